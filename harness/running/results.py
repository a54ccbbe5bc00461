"""Results folders: what a run leaves for people, for CI, and for the reports.

Each run has a folder of its own, named after the time (UTC) at which it began, and ``latest`` beside it leads to the
one that ended last. What the JSON file in it has is told in ``harness.schema``.
"""

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from harness.clients.implementation import Implementation
from harness.machine.postgres import Postgres, SetupError
from harness.machine.project import ROOT
from harness.schema import run as schema
from harness.server.settings import DEFAULTS
from model.design import Settings

RESULTS = ROOT / "reports" / "out"
LATEST = "latest"
LIBRARIES = ("hypothesis", "psycopg", "pytest")

# The folder


def new_folder(parent: Path, when: datetime) -> Path:
    """A folder for the results of a run that began then; raises SetupError."""
    name = when.strftime("%Y-%m-%dT%H-%M-%SZ")
    for number in range(2, 100):
        try:
            (parent / name).mkdir(parents=True)
            return parent / name
        except FileExistsError:
            name = f"{when:%Y-%m-%dT%H-%M-%SZ}-{number}"
        except OSError as error:
            raise SetupError(
                f"The results folder {parent} cannot be written to ({error.strerror}): name another with --results."
            ) from None
    raise SetupError(f"The results folder {parent} is full of runs of this second: name another with --results.")


def remove_folder(folder: Path) -> None:
    """Of a run that never began."""
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raises SetupError if what is written into the folder inside the block cannot be."""
    try:
        yield
    except OSError as error:
        raise SetupError(
            f"The results cannot be written to {folder} ({error.strerror}): make room, or name another with --results."
        ) from None


def write_json(path: Path, results: schema.Circumstances) -> None:
    """Writes a file of results in one step, and leads ``latest`` to its folder."""
    fresh = path.with_name(f".{path.name}")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    fresh.rename(path)
    lead_here(path.parent)


def lead_here(folder: Path) -> None:
    """Makes the link ``latest`` lead to the folder, in one step."""
    fresh = folder.parent / f".{LATEST}-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder.name)
    fresh.replace(folder.parent / LATEST)


# What is in every file


@dataclass(frozen=True)
class Run:
    """A run that has begun."""

    postgres: Postgres
    implementation: Implementation
    selection: str | None
    folder: Path
    when: datetime
    began: float = field(default_factory=time.monotonic)

    @property
    def tested(self) -> str:
        """What it is about, in words."""
        caveat = f" ({self.postgres.caveat})" if self.postgres.caveat else ""
        return f"{self.implementation.name} on PostgreSQL {self.postgres.version_string}{caveat}"

    def seconds(self) -> float:
        """How long ago it began."""
        return time.monotonic() - self.began


def circumstances(run: Run, seconds: float, settings: Mapping[str, str], libraries: Iterable[str] = ()) -> schema.Run:
    """Under which circumstances the results came about; ``settings``: the server's, beside the bench's own."""
    return schema.Run(
        **msgspec.structs.asdict(run_anywhere(run.when, seconds, [*LIBRARIES, *libraries])),
        selection=run.selection,
        postgresql=schema.Server(run.postgres.version_string, run.postgres.bundled, {**DEFAULTS, **settings}),
        implementation=recorded(run.implementation),
    )


def run_anywhere(when: datetime, seconds: float, libraries: Iterable[str] = ()) -> schema.Circumstances:
    """Under which circumstances the results of a run came about that needs no server."""
    return schema.Circumstances(
        when=when.isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        machine=machine(),
        versions=versions(libraries),
        git=git(),
    )


def recorded(implementation: Implementation) -> schema.Implementation:
    """An implementation with its design; the settings of that, a tuple with names, become an object."""
    design = asdict(implementation.design) | {"settings": implementation.design.settings._asdict()}
    return msgspec.convert(asdict(implementation) | {"design": design}, schema.Implementation)


def implementation_of(kept: schema.Implementation) -> Implementation:
    """The implementation that was recorded; raises ValueError if there is no such capability or choice any more."""
    settings = kept.design.get("settings")
    chosen = [settings.get(name) for name in Settings._fields] if isinstance(settings, dict) else []
    design = kept.design | {"settings": chosen}
    return msgspec.convert(msgspec.structs.asdict(kept) | {"design": design}, Implementation)


def machine() -> schema.Machine:
    """What the run took place on."""
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = platform.system()
    return schema.Machine(
        cpu=cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        os=system,
        kernel=platform.release(),
        architecture=platform.machine(),
    )


def cpu() -> str | None:
    """The processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """What the bench runs on."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in libraries}}


def git() -> schema.Git | None:
    """The commit that was tested."""
    commit, status = git_says("rev-parse", "HEAD"), git_says("status", "--porcelain")
    return None if not commit or status is None else schema.Git(commit.strip(), bool(status))


def git_says(*arguments: str) -> str | None:
    """What git answers in the project's folder; None if it does not."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
