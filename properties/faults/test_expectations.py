"""Each fault has its expectation, and each expectation its fault."""

import pytest

from harness.faults.nemesis import FAULTS
from properties.faults.expectations import EXPECTATIONS, Expectation

EVERYWHERE = Expectation().points()


def test_each_fault_has_an_expectation_and_the_reverse() -> None:
    names = [fault.name for fault in FAULTS]
    assert [name for name in names if name not in EXPECTATIONS] == [], "faults without an expectation"
    assert [name for name in EXPECTATIONS if name not in names] == [], "expectations without a fault"
    assert len(names) == len(set(names)), "two faults have one name"


@pytest.mark.parametrize("name", EXPECTATIONS)
def test_an_expectation_says_where_its_fault_strikes_and_why_not_elsewhere(name: str) -> None:
    expected = EXPECTATIONS[name]
    struck = expected.points()
    assert struck, "it strikes nowhere"
    assert set(expected.briefly_at) <= set(struck), "if there is little time, it strikes at other points"
    assert bool(expected.not_elsewhere) == (struck != EVERYWHERE), "it strikes at some points only, or it does not"
