"""PostgreSQL's own test programs, ``pg_regress`` and ``isolationtester``: where they are, and what they say."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.machine.postgres import Postgres, SetupError
from harness.running.commandline import last_line
from harness.server.cluster import Cluster

REGRESSION, ISOLATION = Path("regress", "pg_regress"), Path("isolation", "pg_isolation_regress")
"""Below ``src/test`` of PGXS."""
TESTER = Path("isolation", "isolationtester")
CONNECT_TIMEOUT, ISOLATION_TIMEOUT = 60, 30  # seconds

OLD = re.compile(r"^test (?P<test>\w+) +\.\.\. (?P<verdict>ok|FAILED)", re.MULTILINE)
TAP = re.compile(r"^(?P<verdict>ok|not ok) \d+ +[-+] (?P<test>\w+) ", re.MULTILINE)
"""A test that has ended, as pg_regress tells of it: before 16, and since."""


@dataclass(frozen=True)
class Outcome:
    """What became of a test."""

    test: str
    """Its name."""
    reason: str = ""
    """Why it failed, in one line; empty: it passed."""
    finding: str = ""
    """All that was said."""


def find_test_programs(postgres: Postgres) -> Path:
    """The folder of PGXS with the programs: those of this PostgreSQL, or else of the ``pg_config`` on the path.

    They are clients, and may drive a server of another version. Raises SetupError if there are none.
    """
    for pgxs in (postgres.pgxs, *on_the_path()):
        folder = pgxs.parents[1] / "test"
        if all((folder / program).is_file() for program in (REGRESSION, ISOLATION, TESTER)):
            return folder
    raise SetupError(
        "There are no pg_regress and isolationtester, which drive the tests of the extension: install those of any "
        "PostgreSQL from 15 on (Debian and Ubuntu: postgresql-client-15), and have its pg_config on the path."
    )


def on_the_path() -> Iterator[Path]:
    """The makefile of PGXS of the ``pg_config`` on the path, if there is one that works."""
    if program := shutil.which("pg_config"):
        run = subprocess.run([program, "--pgxs"], capture_output=True, text=True, errors="replace")
        if run.returncode == 0:
            yield Path(run.stdout.strip())


def regress(program: Path, suite: Path, tests: Sequence[str], cluster: Cluster, out: Path) -> list[Outcome]:
    """Runs the tests of the suite, in that order, on the cluster; what they leave goes to the folder ``out``."""
    server = cluster.parameters()
    command: list[str | Path] = [program, f"--inputdir={suite}", f"--outputdir={out}", *tests]
    command += [f"--bindir={cluster.build.postgres.bindir}", f"--dbname=contrib_{program.parent.name}"]
    command += [f"--host={server['host']}", f"--port={server['port']}", f"--user={server['user']}"]
    limits = {"PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT), "PGISOLATIONTIMEOUT": str(ISOLATION_TIMEOUT)}
    run = subprocess.run(
        command,
        cwd=suite,  # where those of 16 and later look for what is expected
        env=cluster.build.postgres.environment() | limits,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    differences = out / "regression.diffs"
    differing = differences.read_text(encoding="utf-8", errors="replace") if differences.is_file() else ""
    outcomes = read_outcomes(run.stdout, differing)
    # without any, the server refused to have a database made
    return outcomes or [Outcome(tests[0], last_line(run.stdout) or "pg_regress said nothing", run.stdout)]


def read_outcomes(said: str, differing: str) -> list[Outcome]:
    """What became of the tests, by what pg_regress has said, and its ``regression.diffs``."""
    ended = [*OLD.finditer(said), *TAP.finditer(said)]
    blocks = re.split(r"^(?=diff )", differing, flags=re.MULTILINE)
    differences = {named[1]: block for block in blocks if (named := re.match(r"diff .*/(\w+)\.out\s", block))}
    return [
        Outcome(one["test"]) if one["verdict"] == "ok" else failed(one["test"], differences.get(one["test"], said))
        for one in ended
    ]


def failed(test: str, said: str) -> Outcome:
    """A test that failed, with the difference to what was expected, or else with all that was said."""
    return Outcome(test, first_difference(said), said)


def first_difference(said: str) -> str:
    """What was expected and is not there, and what is there instead, in one line."""
    changed = [line for line in said.splitlines() if re.match(r"[-+](?![-+]{2} )", line)]
    missing = next((line[1:].strip() for line in changed if line.startswith("-")), "")
    found = next((line[1:].strip() for line in changed if line.startswith("+")), "")
    return f"expected: {missing or 'nothing'}; got: {found or 'nothing'}" if changed else last_line(said)
