"""A private copy of a PostgreSQL installation, for a server that the original cannot serve.

Two servers need one: a server of version 15 to 17, which finds extensions only in its own folders (the setting
``extension_control_path`` came with 18), and a server run by an unprivileged user who may not read the original.
PostgreSQL finds its folders relative to its program, so that a copy of the layout works anywhere.
"""

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

from harness.machine.postgres import Postgres, ServerUser, as_user


def may_read(path: Path, user: ServerUser | None) -> bool:
    """Whether that user (None: ourselves) can read the file or folder, all folders above it included."""
    if user is None:
        return os.access(path, os.R_OK)
    return subprocess.run(as_user(user, "test", "-r", path), cwd="/").returncode == 0


def may_run(postgres: Postgres, user: ServerUser | None) -> bool:
    """Whether that user (None: ourselves) can run the installation's programs and read its files."""
    if user is None:
        return True
    runs = all(_answers(postgres, name, user) for name in ("postgres", "initdb"))
    return runs and may_read(postgres.sharedir / "postgres.bki", user)


def _answers(postgres: Postgres, name: str, user: ServerUser) -> bool:
    command = as_user(user, postgres.binary(name), "--version")
    return subprocess.run(command, cwd="/", env=postgres.environment(), capture_output=True).returncode == 0


def copy_install(postgres: Postgres, destination: Path, user: ServerUser | None) -> None:
    """Copies the installation for that user below the folder ``destination``, by hard links where possible.

    The layout is kept from the common parent of its folders on, and the ``*.libs`` folder that a wheel keeps beside
    its package goes along. The original is never written to: replace a file of the copy by a new one, never in place.
    """
    prefix, root = _prefix(postgres), _root(postgres, destination)
    for folder in _folders(postgres, user):
        link_tree(folder, root / folder.relative_to(prefix))
    libraries = prefix.parent.parent / (prefix.parent.name + ".libs")
    if prefix.parent.name and libraries.is_dir():
        link_tree(libraries, destination / libraries.name)


def relocated(postgres: Postgres, destination: Path, user: ServerUser | None) -> Postgres:
    """The installation as ``copy_install`` has copied it below the folder ``destination``."""
    prefix, root, folders = _prefix(postgres), _root(postgres, destination), _folders(postgres, user)
    return dataclasses.replace(
        postgres,
        bindir=root / postgres.bindir.relative_to(prefix),
        sharedir=root / postgres.sharedir.relative_to(prefix),
        pkglibdir=root / postgres.pkglibdir.relative_to(prefix),
        libdir=root / postgres.libdir.relative_to(prefix) if postgres.libdir in folders else postgres.libdir,
    )


def _prefix(postgres: Postgres) -> Path:
    return Path(os.path.commonpath([postgres.bindir, postgres.sharedir, postgres.pkglibdir]))


def _root(postgres: Postgres, destination: Path) -> Path:
    prefix = _prefix(postgres)
    return destination / prefix.parent.name / prefix.name


def _folders(postgres: Postgres, user: ServerUser | None) -> list[Path]:
    """What a server needs: libpq's folder, which may hold the libraries of a whole system, only if out of reach."""
    folders = [postgres.bindir, postgres.sharedir, postgres.pkglibdir]
    if postgres.libdir.is_relative_to(_prefix(postgres)) and not may_read(postgres.libdir, user):
        folders.append(postgres.libdir)
    return folders


def link_tree(source: Path, destination: Path) -> None:
    """Copies a folder, by hard links where possible, readable by everybody; keeps what is already there."""
    _open_folder(destination)
    for entry in os.scandir(source):
        target = destination / entry.name
        if entry.is_dir():
            link_tree(Path(entry.path), target)
        elif not target.exists():
            _link(Path(entry.path).resolve(), target)


def _open_folder(folder: Path) -> None:
    """Makes the folder and those above it, open to everybody whatever the umask says."""
    if not folder.is_dir():
        _open_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)


def _link(source: Path, target: Path) -> None:
    readable_by_all = source.stat().st_mode & 0o444 == 0o444
    try:
        if readable_by_all:
            os.link(source, target)
            return
    except OSError:  # another file system, or a file that is not ours where the kernel protects hard links
        pass
    shutil.copy2(source, target)
    target.chmod(target.stat().st_mode | 0o444)
