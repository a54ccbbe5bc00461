"""One attempt with examples in place of properties: the tests that the extension has itself, as PostgreSQL has them.

    python -m properties.mutants.example_suite FOLDER

They are in ``harness/extension``: ``sql/`` for pg_regress, ``specs/`` for isolationtester, and ``t/``, which back up,
restore and restart servers of their own. As in ``properties.mutants.attempt``, the plan is in the folder, and what came
of it is left there; a "test" is a file now. The first that fails ends it. What the bench has written itself, from what
its properties have found (``properties.installcheck``), is no example: the makefile adds it to the others.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.building.build import Build, Flavour, build
from harness.machine.postgres import SetupError, as_user, find_postgres, server_user
from harness.machine.processes import end_server
from harness.machine.project import EXTENSION, ROOT, cache_folder
from harness.machine.scratch import temporary_folder
from harness.schema.mutants import Kill
from harness.server.cluster import ClusterError, open_cluster
from harness.server.node import give, give_all
from harness.server.settings import quote
from properties.mutants.attempt import ALIVE, ENDED, PLAN, Ended, Plan, carry_out
from properties.mutants.pg_regress import ISOLATION, REGRESSION, Outcome, find_test_programs, regress

EXAMPLES = str(EXTENSION.relative_to(ROOT))
"""The folder of the tests, from the tree's."""
SQL, SPECS, SERVERS = "sql/{}.sql", "specs/{}.spec", "t/{}.sh"
"""Where a test is in it."""
WORDS = {SQL: "the regression test {}", SPECS: "the isolation test {}", SERVERS: "the server test {}"}
LISTS = {SQL: "REGRESS", SPECS: "ISOLATION"}
"""The makefile's variables that name the tests in their order, before anything is added."""


def examples(suite: Path) -> Mapping[str, Sequence[str]]:
    """The names of the tests in the folder, by kind, in their order."""
    makefile = (suite / "Makefile").read_text(encoding="utf-8")
    listed = {kind: re.findall(rf"^{name} = (.*)$", makefile, re.MULTILINE)[0].split() for kind, name in LISTS.items()}
    return {**listed, SERVERS: sorted(file.stem for file in suite.glob(SERVERS.format("0*")))}


def all_examples(suite: Path) -> list[str]:
    """The files of all tests, as results name them."""
    return [file_of(kind, name) for kind, names in examples(suite).items() for name in names]


def file_of(kind: str, name: str) -> str:
    """A test's file, from the tree's folder."""
    return f"{EXAMPLES}/{kind.format(name)}"


def attempt(folder: Path) -> None:
    """Carries out the plan in the folder, and leaves there what came of it."""
    plan = msgspec.json.decode((folder / PLAN).read_bytes(), type=Plan)
    began, held, kill = time.monotonic(), list[str](), None
    try:
        with contextlib.closing(outcomes(plan)) as ended:
            for kind, one in ended:
                (folder / ALIVE).touch()
                test = file_of(kind, one.test)
                if not one.reason:
                    held.append(test)
                elif not plan.only or test in plan.only:
                    kill = Kill(
                        property=WORDS[kind].format(one.test),
                        test=test,
                        reason=one.reason,
                        finding=one.finding,
                        seconds=round(time.monotonic() - began, 3),
                        before=len(held),
                    )
                    break
        what_came = Ended(kill=kill, held=tuple(held))
    except SetupError as error:
        what_came = Ended(error=str(error))
    (folder / ENDED).write_bytes(msgspec.json.encode(what_came))


def outcomes(plan: Plan) -> Generator[tuple[str, Outcome], None, None]:
    """Runs the tests, and yields what became of each, with its kind; raises SetupError."""
    named = [option.partition("=")[2] for option in plan.options if option.startswith("--pg-config=")]
    postgres = find_postgres(*named)
    programs = find_test_programs(postgres)
    built = build(postgres, Flavour.RELEASE, cache_folder(), sources=EXTENSION)
    tests = examples(EXTENSION)
    yield from on_one_server(built, programs, tests)
    for name in tests[SERVERS]:
        yield SERVERS, server_test(built, name)


def on_one_server(built: Build, programs: Path, tests: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Outcome]]:
    """What pg_regress and isolationtester drive. A server that does not start with the extension fails the first."""
    try:
        with open_cluster(built) as cluster, temporary_folder() as out:
            for kind, program in ((SQL, REGRESSION), (SPECS, ISOLATION)):
                for one in regress(programs / program, EXTENSION, tests[kind], cluster, out):
                    yield kind, one
    except ClusterError as error:
        yield SQL, Outcome(tests[SQL][0], str(error).partition("\n")[0], str(error))


def server_test(built: Build, name: str) -> Outcome:
    """Runs one of the tests that start servers of their own; none of these is left."""
    user = server_user()
    with temporary_folder() as folder:
        give(folder, user)
        scripts, settings = folder / "scripts", folder / "settings"
        shutil.copytree(EXTENSION / "t", scripts)
        settings.write_text("".join(f"{name} = {quote(value)}\n" for name, value in built.settings.items()))
        give_all(folder, user)
        places = {"BINDIR": built.postgres.bindir, "TEMP_CONFIG": settings, "TESTDIR": folder}
        process = subprocess.Popen(
            as_user(user, "sh", scripts / f"{name}.sh"),
            cwd="/",
            env=built.postgres.environment() | {name: str(place) for name, place in places.items()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            said, _ = process.communicate()
        finally:
            end_all(process, folder)
    return Outcome(name, first_failure(said, process.returncode), said)


def first_failure(said: str, status: int) -> str:
    """What went wrong first, in one line, by the Test Anything Protocol; empty: nothing did."""
    if wrong := re.search(r"^(?:not ok|Bail out!).*(?:\n# .*)*", said, re.MULTILINE):
        return " ".join(wrong[0].split())
    planned = re.search(r"^1\.\.\d+$", said, re.MULTILINE)
    return "" if status == 0 and planned else f"it ended early, with exit status {status}"


def end_all(process: "subprocess.Popen[str]", folder: Path) -> None:
    """Ends the test, if it has not, and its servers."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for file in folder.glob("*/data/postmaster.pid"):
        end_server(file.parent)


if __name__ == "__main__":
    carry_out(attempt, *sys.argv[1:])
