"""What the exploration says of a design, a real server says of its implementation: step by step, phase by phase.

Each promise that a design does not keep is broken on the server, too, in the very way that the exploration has found;
and of what it keeps, each kind of step is taken once: phases amid each other, cuts, crashes, time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from harness.building.build import Build
from harness.clients.designs import IMPLEMENTED, NOT_IMPLEMENTED
from harness.clients.implementation import BUILT_IN, DURABLE, SHARED_FIXED, STOCK, THREAD, Implementation
from harness.clients.phases import PhaseController
from harness.schema.replays import Replay, Verdict
from model.design import DESIGNS
from model.explore import explore
from properties.exploration.records import counterexample
from properties.exploration.replaying import against, broken_scope, controlled, replay, sampled_scope
from properties.exploration.sampling import Path, kept_paths
from properties.recording.tally import Tally

Serve = Callable[[Implementation], PhaseController]


@pytest.fixture(scope="module")
def serve(instrumented: Build) -> Iterator[Serve]:
    """A server for each implementation that is asked for."""
    found: dict[str, PhaseController] = {}
    with ExitStack() as servers:

        def serving(one: Implementation) -> PhaseController:
            if one.name not in found:
                found[one.name] = servers.enter_context(controlled(instrumented, one))
            return found[one.name]

        yield serving


def counterexamples(implementation: Implementation) -> list[Path]:
    """What a small scope shows that the design does not keep."""
    scope = broken_scope(implementation.design)
    broken = explore(scope).broken
    assert broken, "the scope is too small"
    return [(promise, counterexample("small", scope, path)) for promise, path in broken.items()]


def replayed(controller: PhaseController, tally: Tally, paths: Sequence[Path]) -> None:
    """Each of them on the server, which must say what the model says."""
    found: list[Replay] = []
    for promise, history in paths:
        with tally.example():
            found.append(replay(controller, promise, history))
            tally.steps += found[-1].steps
            assert against(found) == []
    reasons = {one.why: one for one in found if one.verdict is Verdict.NOT_REPLAYED}
    tally.notes += [f"not replayed: {why}" for why in reasons]
    assert len(found) > 2 * len([one for one in found if one.verdict is Verdict.NOT_REPLAYED])


@pytest.mark.server
def test_what_a_design_does_not_keep_its_implementation_breaks(
    serve: Serve, implementation: Implementation, instruments: None, observable: None, tally: Tally
) -> None:
    replayed(serve(implementation), tally, counterexamples(implementation))


@pytest.mark.server
def test_what_core_s_own_functions_do_not_keep_they_break(serve: Serve, tally: Tally) -> None:
    replayed(serve(STOCK), tally, counterexamples(STOCK))


@pytest.mark.server
def test_what_durable_backups_do_not_keep_they_break(
    serve: Serve, instruments: None, durable_backups: None, forgetful: None, tally: Tally
) -> None:
    replayed(serve(DURABLE), tally, counterexamples(DURABLE))


@pytest.mark.server
@pytest.mark.parametrize("one", [SHARED_FIXED, THREAD], ids=lambda one: one.name)
def test_what_other_designs_of_the_extension_do_not_keep_they_break(
    serve: Serve, only_the_extension: None, tally: Tally, one: Implementation
) -> None:
    replayed(serve(one), tally, counterexamples(one))


@pytest.mark.server
def test_what_a_design_keeps_its_implementation_keeps_phase_by_phase(
    serve: Serve, implementation: Implementation, instruments: None, observable: None, tally: Tally
) -> None:
    replayed(serve(implementation), tally, kept_paths("small", sampled_scope(implementation.design)))


@pytest.mark.server
def test_what_durable_backups_keep_they_keep_phase_by_phase(
    serve: Serve, instruments: None, durable_backups: None, forgetful: None, tally: Tally
) -> None:
    replayed(serve(DURABLE), tally, kept_paths("small", sampled_scope(DURABLE.design)))


def test_each_design_is_implemented_or_it_is_told_why_not() -> None:
    assert IMPLEMENTED.keys() | NOT_IMPLEMENTED.keys() == DESIGNS.keys()
    assert not IMPLEMENTED.keys() & NOT_IMPLEMENTED.keys()
    assert {one.design.name for one in BUILT_IN.values()} == IMPLEMENTED.keys()
