"""Histories of designs that are implemented, replayed on a PostgreSQL: ``nox -s explore -- --replay``."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from harness.building.build import Build, Flavour, build
from harness.clients.client import Violation
from harness.clients.designs import IMPLEMENTED, why_not
from harness.clients.implementation import Capability, Implementation
from harness.clients.phases import PhaseController
from harness.machine.postgres import find_postgres, server_user
from harness.machine.project import cache_folder
from harness.schema.exploration import Counterexample, Exploration
from harness.schema.replays import Replay, Replays, Verdict
from harness.server.cluster import ClusterError
from harness.server.session import SqlError
from harness.server.settings import STARTS_AT_ONCE
from model.design import DESIGNS, Design
from model.scope import ALICE, DAVE, ERIN, Scope
from properties.exploration.on_a_server import CannotBeReplayedError, OnServer
from properties.exploration.sampling import kept_paths
from properties.support.servers import installed_server

FILE = "replays.json"


def sampled_scope(design: Design) -> Scope:
    """Small, and still everything happens in it: two sessions amid each other's phases, cuts, crashes, deadlines."""
    return Scope(design, roles=(DAVE, ERIN), ttls=(10,), phases=not design.session_bound, symmetry=True)


def broken_scope(design: Design) -> Scope:
    """Small, one operation after the other: enough for every promise that a design does not keep."""
    return Scope(design, roles=(ALICE,), ttls=(None,), symmetry=True)


def replay_all(results: Exploration, pg_config: str | None) -> Replays:
    """The counterexamples of an exploration, and paths on which promises are kept; raises SetupError."""
    postgres = find_postgres(pg_config)
    server_user()
    built = build(postgres, Flavour.INSTRUMENTED, cache_folder())
    broken = {(one.design, one.promise): one.counterexample for one in results.judgements if one.counterexample}
    replayed: dict[tuple[str, str], Replay] = {}
    kept: list[Replay] = []
    for name in dict.fromkeys(design.name for design in results.designs):
        own = {promise: one for (design, promise), one in broken.items() if design == name}
        if why := why_not(name):
            replayed |= {(name, promise): not_replayed(name, promise, why) for promise in own}
            continue
        with controlled(built, IMPLEMENTED[name]) as controller:
            replayed |= {(name, promise): replay(controller, promise, one) for promise, one in own.items()}
            paths = kept_paths("sampled", sampled_scope(DESIGNS[name]))
            kept += [replay(controller, promise, one) for promise, one in paths]
    return Replays(
        postgresql=postgres.version_string,
        counterexamples=tuple(replayed[key] for key in broken),
        kept=tuple(kept),
    )


@contextmanager
def controlled(built: Build, implementation: Implementation) -> Iterator[PhaseController]:
    """A server with the implementation, whose operations can be held between their phases."""
    at_once = STARTS_AT_ONCE if Capability.STARTERS in implementation.capabilities else {}
    with installed_server(built, implementation, at_once) as cluster:
        controller = PhaseController(cluster, implementation)
        try:
            yield controller
        finally:
            controller.threads.shutdown()


def replay(controller: PhaseController, promise: str, history: Counterexample) -> Replay:
    """A history on the server, and what came of it; the server is made new if it went wrong."""
    design = controller.client.implementation.design.name
    try:
        steps = OnServer(controller, history).play()
        controller.client.end()
    except CannotBeReplayedError as why:
        return not_replayed(design, promise, f"{why}")
    except (Violation, SqlError, ClusterError, TimeoutError) as error:
        controller.client.recover()
        said = " ".join(f"{error}".split())
        return Replay(design=design, promise=promise, verdict=Verdict.DISAGREES, why=said)
    return Replay(design=design, promise=promise, verdict=Verdict.AGREES, steps=steps)


def not_replayed(design: str, promise: str, why: str) -> Replay:
    """It cannot be."""
    return Replay(design=design, promise=promise, verdict=Verdict.NOT_REPLAYED, why=why)


def against(found: Iterable[Replay]) -> list[str]:
    """Those that the server contradicts, in words."""
    return [f"{one.design}, {one.promise}: {one.why}" for one in found if one.verdict is Verdict.DISAGREES]
