"""Copies of the work tree, patched or not; and which of its files a change touches."""

import compileall
import os
import py_compile
import shutil
import subprocess
from pathlib import Path

from harness.machine.postgres import SetupError
from harness.machine.project import ROOT
from harness.running.commandline import last_line

LEFT_OUT = ("benchmarks/", "reports/", "properties/bench/", "properties/mutants/patches/")
"""Folders that no property needs."""
MAIN = "main"
"""The branch that changes are made from."""


class StaleError(Exception):
    """A patch that does not apply; the message is git's."""


def copy_work_tree(destination: Path) -> None:
    """Copies what properties may need of the files that git tracks, or neither tracks nor ignores; raises SetupError.

    Modules are compiled there, once for all copies of the copy. Python compares the sources' contents, not their times,
    with what it has compiled: a patch may be made within a second.
    """
    for name in git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        source, target = ROOT / name, destination / name
        if name and not name.startswith(LEFT_OUT) and source.is_file():  # and not removed since it was last committed
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(destination, quiet=2, invalidation_mode=mode)


def apply(diff: str, folder: Path, *, only_check: bool = False) -> None:
    """Applies a diff to a copy of the tree; raises StaleError."""
    run = subprocess.run(
        ["git", "apply", *["--check"] * only_check, "-"],
        cwd=folder,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent), "LC_ALL": "C"},  # it is no repository
        input=diff,
        capture_output=True,
        text=True,
    )
    if run.returncode != 0:
        raise StaleError(" ".join(run.stderr.split()).removeprefix("error: "))


def base(since: str | None) -> str:
    """The commit that changes are counted from: the one named; else the one where this branch left the main one; on the
    main one, the commit before. Raises SetupError.
    """
    if since is not None:
        commit = answer("rev-parse", "--verify", "--quiet", f"{since}^{{commit}}")
        if not commit:
            raise SetupError(f"There is no commit {since}: name one that git knows with --since.")
        return commit
    current, left = head(), answer("merge-base", "HEAD", MAIN)
    return left if left and left != current else answer("rev-parse", "--verify", "--quiet", "HEAD~1") or current


def head() -> str:
    """The commit that the work tree is at; empty if there is none."""
    return answer("rev-parse", "HEAD")


def changed_since(commit: str) -> set[str]:
    """The files of the work tree that differ from the commit, and those that are new; raises SetupError."""
    differing = git("diff", "--name-only", "-z", commit)
    return set(filter(None, (differing + git("ls-files", "-z", "--others", "--exclude-standard")).split("\0")))


def git(*arguments: str) -> str:
    """What git answers in the project's folder; raises SetupError if it refuses."""
    run = ask_git(*arguments)
    if run.returncode != 0:
        raise SetupError(
            f"git {arguments[0]} failed ({last_line(run.stderr)}): mutants need a clone of the repository."
        )
    return run.stdout


def answer(*question: str) -> str:
    """The same in one line; empty if it refuses."""
    run = ask_git(*question)
    return run.stdout.strip() if run.returncode == 0 else ""


def ask_git(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Raises SetupError if there is no git."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError as error:
        raise SetupError(f"There is no git to copy the tree with ({error.strerror}): install it.") from None
