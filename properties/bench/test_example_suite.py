"""The extension's own tests, as PostgreSQL has them: they hold for it as it is, and what they find is told right."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.building.build import Build
from harness.machine.postgres import Postgres, SetupError
from harness.machine.project import EXTENSION, ROOT
from harness.schema.mutants import Suite
from harness.server.cluster import open_cluster
from properties.installcheck.catalogue import specs
from properties.mutants.__main__ import main
from properties.mutants.attempt import Ended, Plan
from properties.mutants.catalogue import HERE, read_patch
from properties.mutants.example_suite import EXAMPLES, LISTS, SPECS, SQL, all_examples, examples, first_failure
from properties.mutants.pg_regress import REGRESSION, Outcome, find_test_programs, read_outcomes, regress
from properties.mutants.trials import PROGRAMS, Trials, copied_tree

SILENCE = 300  # seconds
BEFORE_16 = """
============== running regression test queries        ==============
test token                        ... ok           57 ms
test ttl                          ... FAILED      853 ms
test rights                       ... FAILED (test process exited with exit code 2)       12 ms
"""
SINCE_16 = """
# using postmaster on /tmp/socket, port 5432
ok 1         - token                                      57 ms
not ok 2     - ttl                                       853 ms
not ok 3     - rights                                     12 ms
1..3
"""
DIFFERENCES = """diff -U3 /suite/expected/ttl.out /out/results/ttl.out
--- /suite/expected/ttl.out\t2022-07-01
+++ /out/results/ttl.out\t2022-07-01
@@ -1,3 +1,3 @@
 SELECT state FROM shared_backups;
- expired
+ active
"""


# Without a server


@pytest.mark.parametrize("said", [BEFORE_16, SINCE_16])
def test_both_forms_of_pg_regress_are_read(said: str) -> None:
    token, ttl, rights = read_outcomes(said, DIFFERENCES)
    assert token == Outcome("token")
    assert ttl == Outcome("ttl", "expected: expired; got: active", DIFFERENCES)
    assert (rights.test, rights.finding) == ("rights", said)
    assert rights.reason == said.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        ("ok 1 - a\nok 2 - b\n1..2\n", 0, ""),
        ("ok 1 - a\nnot ok 2 - b\n# got: 1\n# expected: 2\nok 3 - c\n", 1, "not ok 2 - b # got: 1 # expected: 2"),
        ("ok 1 - a\nBail out! waited in vain\n", 255, "Bail out! waited in vain"),
        ("ok 1 - a\n", 0, "it ended early, with exit status 0"),
        ("sh: syntax error\n", 2, "it ended early, with exit status 2"),
    ],
)
def test_a_server_test_passes_only_with_its_plan(said: str, status: int, reason: str) -> None:
    assert first_failure(said, status) == reason


def test_every_example_is_run() -> None:
    tests = examples(EXTENSION)
    written = {spec.name for spec in specs()}
    for kind, names in tests.items():
        there = {file.stem for file in (EXTENSION / kind).parent.iterdir()} - {"node"}
        assert set(names) == there - written, f"the makefile and the files {kind} differ"
    assert all((ROOT / file).is_file() for file in all_examples(EXTENSION))


def test_make_installcheck_runs_every_file_and_expects_something_of_each() -> None:
    makefile = (EXTENSION / "Makefile").read_text(encoding="utf-8")
    run = {}
    for kind, name in LISTS.items():
        run[kind] = " ".join(re.findall(rf"^{name} \+?= (.*)$", makefile, re.MULTILINE)).split()
        assert sorted(run[kind]) == sorted(file.stem for file in (EXTENSION / kind).parent.iterdir())
    expected = sorted(file.stem for file in (EXTENSION / "expected").iterdir())
    assert expected == sorted([*run[SQL], *run[SPECS]])


def test_without_the_programs_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bare = replace(postgres, pgxs=tmp_path / "src" / "makefiles" / "pgxs.mk")
    with pytest.raises(SetupError, match=r"^There are no pg_regress .* install .*postgresql-client-15.*\.$"):
        find_test_programs(bare)


def test_examples_are_not_kept_as_killers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--all", "--examples", "--record"]) == 2
    assert "leave it out, or leave out --examples" in capsys.readouterr().err


# With servers


@pytest.fixture(scope="module")
def trials(postgres: Postgres) -> Iterator[Trials]:
    """Tries the examples, if there are PostgreSQL's programs for them."""
    try:
        find_test_programs(postgres)
    except SetupError as error:
        pytest.skip(str(error))
    with copied_tree() as original:
        yield Trials(original, SILENCE, PROGRAMS[Suite.EXAMPLES])


def tried(trials: Trials, postgres: Postgres, diff: str = "") -> Ended:
    """What comes of the examples with this change."""
    server = () if postgres.bundled else (f"--pg-config={postgres.pg_config}",)
    return trials.attempt(Plan(tests=EXAMPLES, shrink=0, options=server), diff)


def changed(name: str, old: str, new: str) -> str:
    """A diff of one of the extension's files."""
    before = (EXTENSION / name).read_text(encoding="utf-8")
    assert old in before
    lines = before.splitlines(keepends=True), before.replace(old, new, 1).splitlines(keepends=True)
    return "".join(difflib.unified_diff(*lines, f"a/{EXAMPLES}/{name}", f"b/{EXAMPLES}/{name}"))


@pytest.mark.server
@pytest.mark.slow
def test_the_examples_hold(trials: Trials, postgres: Postgres, only_the_extension: None) -> None:
    ended = tried(trials, postgres)
    assert (ended.kill, ended.error) == (None, "")
    assert list(ended.held) == all_examples(EXTENSION)


@pytest.mark.server
@pytest.mark.slow
def test_the_regression_tests_hold_on_a_server_that_remembers_their_last_run(
    postgres: Postgres, release: Build, tmp_path: Path, only_the_extension: None
) -> None:
    try:
        program = find_test_programs(postgres) / REGRESSION
    except SetupError as error:
        pytest.skip(str(error))
    with open_cluster(release) as cluster:
        for time in ("first", "second"):
            out = tmp_path / time
            out.mkdir()
            outcomes = regress(program, EXTENSION, examples(EXTENSION)[SQL], cluster, out)
            assert {one.test: one.finding for one in outcomes if one.reason} == {}, time


@pytest.mark.server
def test_a_regression_test_finds_a_bug(trials: Trials, postgres: Postgres, only_the_extension: None) -> None:
    one = read_patch(HERE / "patches" / "packaging" / "abort-not-revoked.patch")
    ended = tried(trials, postgres, one.diff)
    assert ended.kill is not None, ended
    assert (ended.kill.property, ended.kill.test) == ("the regression test rights", f"{EXAMPLES}/sql/rights.sql")
    assert ended.kill.before == examples(EXTENSION)[SQL].index("rights") == len(ended.held)
    assert ended.kill.reason.startswith("expected: ERROR:  permission denied for function shared_backup_abort; got: ")


@pytest.mark.server
def test_an_extension_that_a_server_does_not_start_with_is_found(
    trials: Trials, postgres: Postgres, only_the_extension: None
) -> None:
    ended = tried(
        trials, postgres, changed("shared_backup.c", "_PG_init(void)\n{", '_PG_init(void)\n{\n\telog(FATAL, "no");')
    )
    assert ended.kill is not None, ended
    assert ended.kill.reason == "the server did not start:"


@pytest.mark.server
def test_an_extension_that_does_not_compile_is_no_kill(
    trials: Trials, postgres: Postgres, only_the_extension: None
) -> None:
    ended = tried(trials, postgres, changed("shared_backup.c", "_PG_init(void)\n{", "_PG_init(void)\n{{"))
    assert ended.kill is None
    assert "does not compile" in ended.error
