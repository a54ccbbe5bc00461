"""The project's commands; each sets itself up in a virtual environment of its own.

    nox -s verify     the main job: the campaign against a real server, with a verdict
    nox -s cassert    the same on a PostgreSQL with assertions, built from a source that you name
    nox -s versions   the same on every version of PostgreSQL that is here, side by side
    nox -s tests      the bench itself, and a short pass of everything
    nox -s package    the extension's Debian packages: built, installed beside the system, used, removed
    nox -s mutants    planted bugs: which property finds each, and how fast
    nox -s replay     a counterexample that verify has found, tried again
    nox -s bench      the benchmarks: the quick set, or --full
    nox -s simulate   what each design costs a fleet of servers, on the rules of the model
    nox -s report     page, summary and figures of a results folder; --compare two
    nox -s explore    the model alone: every state of a small scope
    nox -s scheduler  for verify, explore and simulate on several machines: what hands the work out
    nox -s worker     and a machine that works for it: tcp://HOST:PORT
    nox -s lint       ruff, mypy and the import linter

What follows ``--`` goes to the program: ``nox -s verify -- --pg-config /path/to/pg_config --profile nightly``.
Where the system's Python refuses ``pip install nox`` (PEP 668), use ``pipx install nox`` or a virtual environment.
"""

import hashlib
import os
import sys
from pathlib import Path

import nox

ROOMS = ["model", "harness", "properties", "benchmarks", "reports"]
SHORT_PASS = ["--profile", "short", "--bench-too", "--no-report", "--results", ".cache/tests"]
PATIENCE = 60  # seconds for a session to remove its servers after Ctrl-C, before nox kills it

nox.options.sessions = ["lint", "tests", "verify"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def verify(session: nox.Session) -> None:
    """The campaign against a real server: --profile dev|gate|nightly, --pg-config, --implementation, -x.

    --pg-config A --pg-config B: on each of them, and then side by side.
    --sanitize: with sanitizers in the extension; --gcov: which of its lines and branches are not reached.
    """
    install(session, servers=True)
    run(session, "python", "-m", "properties.campaign", *session.posargs)


@nox.session
def cassert(session: nox.Session) -> None:
    """The campaign on a PostgreSQL with assertions: --source TREE_OR_TARBALL, and what verify takes."""
    install(session, servers=True)
    run(session, "python", "-m", "properties.campaign.cassert", *session.posargs)


@nox.session
def versions(session: nox.Session) -> None:
    """The campaign on every PostgreSQL from 15 to 18 that is here: --source TREE_OR_TARBALL, and what verify takes."""
    install(session, "versions", servers=True)
    run(session, "python", "-m", "properties.campaign.installed", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """The extension's Debian packages, built and tried: --output FOLDER keeps them."""
    install(session, servers=True)
    run(session, "python", "-m", "properties.packaging", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Planted bugs, and how fast each is found: -k WORDS, --all, --since REV, --profile gate|nightly, --examples."""
    install(session, servers=True)
    run(session, "python", "-m", "properties.mutants", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The bench's and the model's own tests, and a short pass of everything; with arguments, which go to pytest, those.

    ``--pg-config PATH`` chooses the server. Pages are looked at in the system's Chromium, if there is one.
    """
    install(session, "browser", servers=True)
    arguments, environment = pg_config_to_environment(session.posargs)
    if arguments:
        run(session, "pytest", *arguments, env=environment)
    else:
        run(session, "python", "-m", "properties.campaign", *SHORT_PASS, env=environment)


@nox.session
def replay(session: nox.Session) -> None:
    """A counterexample, tried again: FILE (failures/*.json in a results folder), --pg-config, --implementation."""
    install(session, servers=True)
    run(session, "python", "-m", "properties.replay", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Benchmarks: --full, --gate, --save-baseline, --pg-config, --implementation, --results."""
    install(session, servers=True)
    run(session, "python", "-m", "benchmarks", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """What each design costs a fleet: --fleet FILE, --servers, --days, --designs, --sweep NAME=V,V, --seed."""
    install(session)
    run(session, "python", "-m", "benchmarks.simulation", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Page, summary and figures of a results folder (default: reports/out/latest): --compare BEFORE AFTER, --output.

    --questions: those of the hackers' thread, answered by all results that there are.
    """
    install(session)
    run(session, "python", "-m", "reports", *session.posargs)


@nox.session
def explore(session: nox.Session) -> None:
    """The model alone: which designs keep which promises. --design, --scope, --set AXIS=VALUE, --keep PROMISE.

    --workers N or --scheduler ADDRESS: so many processes at once, or on the workers of a Dask cluster.
    --replay: what is implemented is carried out on a real PostgreSQL, too.
    """
    install(session, *(["compile"] if "--compiled" in session.posargs else []), servers="--replay" in session.posargs)
    run(session, "python", "-m", "properties.exploration", *session.posargs)


@nox.session
def scheduler(session: nox.Session) -> None:
    """What hands the work of other machines out, until Ctrl-C: --host, --port, and what else dask scheduler takes."""
    install(session)
    run(session, "python", "-m", "dask", "scheduler", "--no-dashboard", *session.posargs)


@nox.session
def worker(session: nox.Session) -> None:
    """This machine works for a scheduler, until that is gone: tcp://HOST:PORT, --nthreads N (default: cores + 1)."""
    install(session, servers=True)
    threads = str(len(os.sched_getaffinity(0)) + 1)  # each has a process, which waits a fifth of its time
    options = ["--no-nanny", "--no-dashboard", "--nthreads", threads, *session.posargs]
    run(session, "python", "-m", "dask", "worker", *options)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, and who imports whom."""
    install(session, "lint", "browser")
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")
    run(session, "mypy", "--strict", "noxfile.py", *ROOMS)
    run(session, "lint-imports")


def install(session: nox.Session, *groups: str, servers: bool = False) -> None:
    """Installs the project's dependencies and those groups of them, unless this environment has them already.

    ``servers``: the session runs some.
    """
    if servers and sys.platform != "linux":
        session.error("The bench's servers run on Linux only: use a Linux machine, a virtual one, or a container.")
    if sys.version_info < (3, 11):  # noqa: UP036 - nox itself may run on an older Python
        session.error("This project needs Python 3.11 or later: install nox with a newer Python.")
    project = nox.project.load_toml("pyproject.toml")
    requirements = [*project["project"]["dependencies"], *nox.project.dependency_groups(project, *groups)]
    stamp = Path(session.virtualenv.location, "installed")
    wanted = hashlib.sha256(repr(requirements).encode()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        session.install(*requirements)
        stamp.write_text(wanted)


def run(session: nox.Session, *command: str, env: dict[str, str] | None = None) -> None:
    """Runs a program and, on Ctrl-C, leaves it time to remove what it started."""
    session.run(*command, env=env, interrupt_timeout=PATIENCE, terminate_timeout=PATIENCE)


def pg_config_to_environment(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Takes --pg-config PATH out of the arguments, for programs that only read the variable PG_CONFIG."""
    rest: list[str] = []
    environment: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        if word == "--pg-config":
            environment["PG_CONFIG"] = next(words, "")
        elif word.startswith("--pg-config="):
            environment["PG_CONFIG"] = word.partition("=")[2]
        else:
            rest.append(word)
    return rest, environment
