"""What processes of a server have counted of lines and branches is collected, however they end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.building.build import Build, Flavour, Special, build
from harness.building.counters import find_gcov, merged, traces
from harness.machine.postgres import Postgres, SetupError
from harness.schema.c_coverage import CCoverage, Kind
from harness.server.cluster import Cluster, open_cluster
from properties.bench.toy import write_toy
from properties.recording.c_coverage import c_coverage

TOY = """
PG_FUNCTION_INFO_V1(weigh);
Datum
weigh(PG_FUNCTION_ARGS)
{
	int32		grams = PG_GETARG_INT32(0);

	if (grams < 0)
		ereport(ERROR,
				(errmsg("less than nothing")));
	if (grams > 1000 &&
		grams < 2000)
		grams = 1000;
	PG_RETURN_INT32(grams);
}
"""
DECLARED = "CREATE FUNCTION weigh(int) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME';\n"


class Toy(NamedTuple):
    """An extension with one function, on a server."""

    build: Build
    cluster: Cluster
    source: bytes


@pytest.fixture(scope="module")
def toy(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """It counts."""
    folder = write_toy(tmp_path_factory.mktemp("toy"), DECLARED, TOY)
    for name in ("Makefile", "shared_backup.c"):  # a name that the extension has not
        text = (
            (folder / name).read_text().replace("MODULES = shared_backup", "MODULE_big = shared_backup\nOBJS = toy.o")
        )
        (folder / name.replace("shared_backup", "toy")).write_text(text)
    (folder / "shared_backup.c").unlink()
    built = build(postgres, Flavour.RELEASE, folder / "cache", sources=folder, special=Special.COUNTERS)
    with open_cluster(built, settings={"shared_preload_libraries": "shared_backup"}) as cluster:
        session = cluster.connect()
        session.execute("CREATE EXTENSION shared_backup")
        session.close()
        yield Toy(built, cluster, (folder / "toy.c").read_bytes())


def weigh(toy: Toy, *grams: int) -> None:
    """Calls the function, and waits until the process has ended."""
    session = toy.cluster.connect()
    for weight in grams:
        session.execute(f"SELECT weigh({weight})")
    pid = session.execute("SELECT pg_backend_pid()")[0][0]
    session.close()
    toy.cluster.wait_until(lambda: not Path(f"/proc/{pid}").exists(), 60, "a session's process to end")


def seen(toy: Toy) -> CCoverage:
    """What was reached of the toy so far."""
    return c_coverage(merged(traces()), {"toy.c": toy.source})


def told(coverage: CCoverage, function: str = "weigh") -> list[tuple[Kind, str, int]]:
    """What was not reached of a function."""
    every = [one for file in coverage.files for one in file.functions if one.name == function]
    return [(one.kind, one.text, one.number) for found in every for one in found.unreached]


@pytest.mark.server
def test_the_lines_and_branches_that_no_process_reached_are_told(toy: Toy) -> None:
    weigh(toy, 5)
    assert told(seen(toy)) == [
        (Kind.BRANCHES, "if (grams < 0)", 1),
        (Kind.LINES, "ereport(ERROR,", 1),
        (Kind.BRANCHES, "if (grams > 1000 &&", 3),
        (Kind.LINES, "grams = 1000;", 1),
    ]
    weigh(toy, 1500)
    assert told(seen(toy)) == [
        (Kind.BRANCHES, "if (grams < 0)", 1),
        (Kind.LINES, "ereport(ERROR,", 1),
        (Kind.BRANCHES, "if (grams > 1000 &&", 1),
    ], "what a later process reaches is added"


@pytest.mark.server
def test_a_process_that_is_killed_as_it_adds_its_counters_spoils_none(toy: Toy) -> None:
    weigh(toy, 5)
    before = seen(toy)
    fresh = Path(toy.build.environment["GCOV_PREFIX"], "fresh")
    assert fresh.is_dir(), "this is where processes add"
    (fresh / "toy.gcda").write_bytes(b"adcg half of what it")
    weigh(toy, 6)
    assert told(seen(toy)) == told(before)


@pytest.mark.server
@pytest.mark.parametrize("kind", ["immediate", "crash"])
def test_what_was_reached_before_the_server_is_killed_counts(toy: Toy, kind: str) -> None:
    before = counts(toy)
    session = toy.cluster.connect()
    session.execute("SELECT weigh(5), weigh(6)")
    toy.cluster.restart(kind)
    assert counts(toy) == before + 2


def counts(toy: Toy) -> int:
    """How often the function has ended so far."""
    trace = json.loads(merged(traces()))
    (found,) = (one for one in trace["files"] if one["file"] == "toy.c")
    last = toy.source.decode().splitlines().index("\tPG_RETURN_INT32(grams);") + 1
    return sum(one["count"] for one in found["lines"] if one["line_number"] == last)


@pytest.mark.server
def test_a_crash_of_the_server_leaves_counters_that_can_be_read(toy: Toy) -> None:
    for _ in range(5):
        toy.cluster.connect().close()  # its process ends just then
        toy.cluster.restart("crash")
    weigh(toy, 7)
    assert seen(toy).lines.reached


def test_only_gcc_counts(tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho '#define __clang__ 1'\necho '#define __GNUC__ 4'\n")
    compiler.chmod(0o755)
    with pytest.raises(SetupError, match=r"is not gcc, which --gcov needs: install gcc, and set CC=gcc\.$"):
        find_gcov(str(compiler))
