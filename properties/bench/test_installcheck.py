"""The isolation tests that are written from interleavings and counterexamples, of ``make installcheck``.

They are as the bench writes them today, what is expected of them is what the model says, and each of them fails if the
extension has the bug that it is about.
"""

from pathlib import Path

import pytest

from harness.building.build import Build, Flavour, build
from harness.machine.postgres import Postgres, SetupError
from harness.machine.project import EXTENSION
from harness.server.cluster import open_cluster
from model.design import SHARED as DESIGN
from model.operations import Abort, Connect, SetLimit, Start, Stop
from model.state import initial
from properties.bench.planted import made_up, plant
from properties.concurrency.interleavings import ROLES, Scope
from properties.installcheck.agreement import disagreements
from properties.installcheck.catalogue import COUNTEREXAMPLES, specs
from properties.installcheck.files import expected_of, file_of
from properties.installcheck.histories import History, Move, Part, UnheldError, of_counterexample, of_schedule
from properties.installcheck.statements import UnspeakableError
from properties.installcheck.steps import steps_of
from properties.installcheck.writing import WRITTEN_BY, Spec
from properties.mutants.pg_regress import ISOLATION, find_test_programs, regress

SPECS = {spec.name: spec for spec in specs()}
BUGS = [(name, bug) for name, spec in SPECS.items() for bug in spec.bugs]
FIRST = initial(DESIGN, ROLES, 3)


@pytest.fixture(params=SPECS)
def spec(request: pytest.FixtureRequest) -> Spec:
    """Each of them."""
    return SPECS[request.param]


# As they are written


def test_they_are_what_the_bench_writes_today(spec: Spec) -> None:
    assert file_of(spec).read_text(encoding="utf-8") == spec.text(), "python -m properties.installcheck writes it anew"


def test_none_is_left_that_nobody_writes_any_more() -> None:
    said = f"# {WRITTEN_BY}\n"
    written = {file.stem for file in (EXTENSION / "specs").iterdir() if said in file.read_text(encoding="utf-8")}
    assert written == set(SPECS)
    used = {bug.replace("/", "-", 1) for spec in SPECS.values() for bug in spec.bugs}
    assert {file.stem for file in COUNTEREXAMPLES.iterdir()} <= used


def test_what_is_expected_is_what_the_model_says(spec: Spec) -> None:
    assert list(disagreements(spec, expected_of(spec).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "flaw"),
    [
        ("beyond_the_limit", "ERROR:  too many shared backups\n", "", "bob_start_b: it should fail with CONFIGURATION"),
        ("beyond_the_limit", "|regress_iso_alice|     |t ", "|regress_iso_bob  |     |t ", "view: it shows"),
        ("beyond_the_limit", "    1\n(1 row)", "    2\n(1 row)", "checkpoint: it shows [('2',)]"),
        ("late_callers", "f       |    1\n", "ERROR:  no\n", "alice_stop_b_of_1: it should not fail"),
        ("late_callers", "starting permutation", "beginning permutation", "it has 0 permutations, not 4"),
    ],
)  # fmt: skip
def test_what_the_model_does_not_say_is_found(name: str, old: str, new: str, flaw: str) -> None:
    output = expected_of(SPECS[name]).read_text(encoding="utf-8")
    assert old in output
    found = list(disagreements(SPECS[name], output.replace(old, new)))
    assert any(flaw in one for one in found), found


# What can be written


def test_what_an_ordinary_build_cannot_hold_is_not_written() -> None:
    stop = Scope(("start", "stop"), ("a", "b"), (("a", "absent"), ("b", "active")), 2)
    with pytest.raises(UnheldError, match="nothing holds this one: Stop"):
        of_schedule(stop, (1, 0, 1, 0, 1, 0))
    abort = Scope(("start", "abort"), ("a", "a"), (("a", "absent"),), 2)
    with pytest.raises(UnheldError, match="nothing holds it at its second phase: Start"):
        of_schedule(abort, (0, 0, 1, 0))
    one, other = Start(0, "a"), Start(1, "b")
    both = (Move(Connect(0, "alice")), Move(Connect(1, "bob")), Move(one, Part.BEGINS))
    with pytest.raises(UnheldError, match="its checkpoint lets the start go"):
        History(FIRST, (*both, Move(other), Move(one, Part.ENDS))).foretold()
    with pytest.raises(UnheldError, match="two starts are held at once"):
        History(FIRST, (*both, Move(other, Part.BEGINS))).foretold()


def test_what_the_tester_cannot_say_is_not_written() -> None:
    changed = made_up(Connect(0, "root"), Start(0, "a"), SetLimit(1))
    with pytest.raises(UnspeakableError, match="a setting is changed while there are backups"):
        steps_of(of_counterexample(changed), ["a"])
    again = made_up(Connect(0, "root"), Connect(0, "root"), Abort(0, "a"), Stop(0, "a"))
    with pytest.raises(UnspeakableError, match="a session connects a second time"):
        steps_of(of_counterexample(again), ["a"])


# What they find


@pytest.fixture
def program(postgres: Postgres) -> Path:
    """What drives them."""
    try:
        return find_test_programs(postgres) / ISOLATION
    except SetupError as error:
        pytest.skip(str(error))


@pytest.mark.server
def test_they_hold_for_an_ordinary_build(
    program: Path, release: Build, tmp_path: Path, only_the_extension: None
) -> None:
    with open_cluster(release) as cluster:
        outcomes = regress(program, EXTENSION, list(SPECS), cluster, tmp_path)
    assert [one.test for one in outcomes] == list(SPECS)
    assert {one.test: one.finding for one in outcomes if one.reason} == {}


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize(("name", "bug"), BUGS, ids=[f"{name}-{bug}" for name, bug in BUGS])
def test_each_fails_with_the_bugs_that_it_is_about(
    name: str, bug: str, tmp_path: Path, program: Path, postgres: Postgres, workdir: Path, only_the_extension: None
) -> None:
    planted = build(postgres, Flavour.RELEASE, workdir, sources=plant(bug, tmp_path))
    out = tmp_path / "out"
    out.mkdir()
    with open_cluster(planted) as cluster:
        (outcome,) = regress(program, EXTENSION, [name], cluster, out)
    assert outcome.reason.startswith("expected: "), outcome.finding
