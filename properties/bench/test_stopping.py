"""With -x a campaign stops at its first failure, and nothing that it left out counts as looked at."""

from pathlib import Path

import pytest

from properties.bench.made_campaigns import HOLDING, WITH_PAGE, Ended, campaign

LEFT = "it stopped at the first failure, and the rest was not run"
FAILING = "def test_one_is_even():\n    assert 1 % 2 == 0\n"
TOUR = """
from model.tour import TransitionClass

def test_a_tour_with_a_hole(tally):
    with tally.example():
        tally.reachable.add(TransitionClass("Renew", "expired", "other", "55000"))
"""
UNTIDY = """
import pytest

@pytest.fixture
def untidy():
    yield
    raise RuntimeError("cannot clear up")

def test_what_leaves_a_mess(untidy):
    pass
"""
LATER = "def test_what_comes_later():\n    pass\n\ndef test_what_comes_last():\n    pass\n"


def verdicts(run: Ended) -> list[str]:
    """Of the properties, in their order."""
    return [one["verdict"] for one in run.json["properties"]]


@pytest.mark.parametrize(
    ("bad", "verdict"), [(FAILING, "fails"), (TOUR, "fails"), (UNTIDY, "crashed")], ids=["fails", "sees less", "untidy"]
)
def test_what_comes_after_the_first_failure_is_not_run(tmp_path: Path, bad: str, verdict: str) -> None:
    run = campaign(tmp_path, "-x", test_a=HOLDING, test_b=bad, test_c=FAILING + LATER)
    assert run.status == 1
    assert verdicts(run) == ["holds", verdict, "not run", "not run", "not run"]
    assert (run.json["verdict"], run.json["reason"]) == (verdict, LEFT)
    assert run.one("what comes last")["reason"] == "the campaign stopped at its first failure"
    assert f"Verdict   {verdict.upper()}: {LEFT}; 1 holds, 1 {verdict}, 3 not run" in " ".join(run.output.split("\n  "))


def test_the_report_says_so(tmp_path: Path) -> None:
    run = campaign(tmp_path, "-x", WITH_PAGE, test_b=FAILING, test_c=LATER)
    summary, page = [(run.results / "latest" / name).read_text() for name in ("summary.md", "index.html")]
    assert f"Why: {LEFT}." in summary
    assert "(1 fails, 2 not run;" in summary
    assert "what comes last" not in summary, "a mail lists what fails, not all that was not run"
    assert f"{LEFT}." in page
    assert "1 fails, 2 not run" in page
    assert page.count('class="mark not-run"') == 2


def test_a_file_that_cannot_be_loaded_is_the_first_failure(tmp_path: Path) -> None:
    run = campaign(tmp_path, "-x", test_a=HOLDING, test_b="import nothing_of_that_name\n", test_c=LATER)
    assert run.status == 1
    assert (run.json["verdict"], run.json["reason"]) == ("crashed", LEFT)


@pytest.mark.parametrize(("last", "status", "verdict"), [(LATER, 0, "holds"), (FAILING, 1, "fails")])
def test_where_nothing_was_left_nothing_is_said_of_it(tmp_path: Path, last: str, status: int, verdict: str) -> None:
    run = campaign(tmp_path, "--exitfirst", test_a=HOLDING, test_b=last)
    assert (run.status, run.json["verdict"]) == (status, verdict)
    assert LEFT not in run.output
    assert "not run" not in verdicts(run)
