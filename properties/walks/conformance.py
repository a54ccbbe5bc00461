"""The conformance machine: Hypothesis walks the model beside a cluster, and every step must agree.

What is compared is in ``properties.support.lockstep``. Core's hidden counter of running backups is probed at the end of
every example and now and then inside one.

A rule does what it was given, for what it was given is what Hypothesis prints. So what can be drawn depends on the
walk: on the sessions that are open, and on what the design has (``suited``).
"""

import time
from collections.abc import Callable

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from harness.clients.client import Client, Violation
from harness.clients.implementation import Implementation
from model.design import Design, StopPolicy, Storage
from model.operations import (
    Abort,
    AddMember,
    Advance,
    Connect,
    Disconnect,
    DropRole,
    Fenced,
    Grant,
    Hazard,
    ListBackups,
    Operation,
    Renew,
    Restart,
    RestartKind,
    Revoke,
    Rollback,
    SetLimit,
    SetPolicy,
    SetResults,
    SetRetention,
    SetTtl,
    Start,
    StockStart,
    StockStop,
    Stop,
)
from model.scope import STALE
from model.state import Cluster
from properties.recording.tally import Tally
from properties.support.counterexamples import by_hand
from properties.support.lockstep import ROLES, SESSIONS, Lockstep
from properties.support.minimal import make_minimal
from properties.support.profiles import examples
from properties.support.strategies import BAD_LABELS, BAD_TTLS, MOMENTS, Drawn, mostly

NAMES = [role.name for role in ROLES]


def suited(choose: Callable[["Walk"], st.SearchStrategy[Drawn]]) -> st.SearchStrategy[Drawn]:
    """What there is to draw depends on the walk and on where it is."""
    return st.runner().flatmap(choose)


def on_one_line(label: str | None) -> str | None:
    """Core takes a line feed, and lets it forge a line of the label file."""
    return label and label.replace("\n", " ")


sessions = suited(lambda walk: st.sampled_from(walk.open_sessions()))
free_sessions = suited(lambda walk: st.sampled_from(walk.closed_sessions()))
labels = st.sampled_from(["a", "b"]) | st.sampled_from(["a", "b", "c", 'Zürich "7" 東京', "%s\\", "x" * 1024])
any_label = mostly(labels, st.sampled_from(BAD_LABELS))
labels_to_start = suited(lambda walk: any_label.map(on_one_line) if walk.design.session_bound else any_label)
any_ttl = mostly(st.sampled_from([None, None, 10, 3600]), st.sampled_from(BAD_TTLS), often=6)
ttls_to_start = suited(lambda walk: any_ttl if walk.design.expiry else st.none())
hazards = st.sampled_from([None, None, None, *Hazard])
roles = suited(lambda walk: st.sampled_from([role.name for role in walk.model.roles]))
commoners = st.sampled_from([role.name for role in ROLES if not role.superuser])
SETTINGS: dict[str, st.SearchStrategy[Operation]] = {
    "max_backups": st.builds(SetLimit, st.sampled_from([None, 0, 1, 2])),
    "ttl": st.builds(SetTtl, st.sampled_from([None, 3600])),
    "stop_policy": st.builds(SetPolicy, st.sampled_from(StopPolicy)),
    "result_retention": st.builds(SetRetention, st.sampled_from([0, 10, 600])),
    "max_results": st.builds(SetResults, st.sampled_from([None, 0, 1, 2])),
}
"""By the names that an implementation has for them."""


def beyond_the_room(design: Design) -> list[st.SearchStrategy[Operation]]:
    """Where memory is preallocated, a limit that applies only when the server is restarted."""
    return [st.just(SetLimit(1 + (design.settings.max_backups or 0)))] if design.storage is Storage.FIXED else []


settings = suited(
    lambda walk: st.one_of(
        *(SETTINGS[name] for name in walk.implementation.settings),
        *beyond_the_room(walk.design),
    )
)
changes_of_roles = st.one_of(
    st.builds(Grant, commoners),
    st.builds(Revoke, commoners),
    st.builds(AddMember, commoners, commoners),
    st.builds(DropRole, commoners),
)


class Walk(RuleBasedStateMachine):
    """Every operation of the model, in any order, by four sessions as four roles."""

    implementation: Implementation
    restarts = 0
    """So many may still come."""

    @property
    def design(self) -> Design:
        """What the walk is to follow."""
        return self.implementation.design

    @property
    def model(self) -> Cluster:
        """Where the walk is."""
        raise NotImplementedError

    def step(self, operation: Operation) -> None:
        """One step."""
        raise NotImplementedError

    def probe_core(self) -> None:
        """A look at core's hidden counter."""
        raise NotImplementedError

    def open_sessions(self) -> list[int]:
        """Those that are connected: there is always one, as what nobody can send tests nothing."""
        return [number for number, session in enumerate(self.model.sessions) if session is not None]

    def closed_sessions(self) -> list[int]:
        """Those that are not connected."""
        return [number for number, session in enumerate(self.model.sessions) if session is None]

    # Where an example begins

    @initialize(
        roles=st.lists(st.sampled_from(NAMES), min_size=SESSIONS, max_size=SESSIONS),
        chance=st.integers(0, 7),
        running=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, SESSIONS - 1), max_size=3),
    )
    def connect_everyone(self, roles: list[str], chance: int, running: dict[str, int]) -> None:
        """``running``: what sessions have started already, for Hypothesis lets many a walk do without either start."""
        often = self.implementation.durable or self.design.storage is Storage.FIXED
        self.restarts = chance % 3 if often else chance // 7  # forgets all, and changes nothing else: seldom
        for number, role in enumerate(roles):
            self.step(Connect(number, role))
        for label, session in running.items():
            self.step(Start(session, label))

    # Backups

    @rule(session=sessions, label=labels_to_start, ttl=ttls_to_start)
    def start(self, session: int, label: str | None, ttl: int | None) -> None:
        self.step(Start(session, label, ttl))

    @rule(session=sessions, label=st.sampled_from(["a", "b"]))
    def start_plainly(self, session: int, label: str) -> None:
        """Starts are to be likelier; this is a rule of its own, as Hypothesis leaves out rules by their names."""
        self.step(Start(session, label))

    @rule(session=sessions, label=any_label)
    def stop(self, session: int, label: str | None) -> None:
        self.step(Stop(session, label))

    @precondition(lambda self: self.design.fencing)
    @rule(kind=st.sampled_from([Stop, Stop, Abort, Renew]), session=sessions, label=labels, stale=st.booleans())
    def fenced(self, kind: type[Fenced], session: int, label: str, stale: bool) -> None:
        backup = self.model.backup(label)
        start_point = STALE if stale or backup is None else backup.start_point
        self.step(kind(session, label, start_point=start_point))

    @precondition(lambda self: not self.design.session_bound)
    @rule(session=sessions, label=any_label)
    def abort(self, session: int, label: str | None) -> None:
        self.step(Abort(session, label))

    @precondition(lambda self: self.design.lease)
    @rule(session=sessions, label=any_label, ttl=any_ttl)
    def renew(self, session: int, label: str | None, ttl: int | None) -> None:
        self.step(Renew(session, label, ttl))

    @rule(session=sessions, label=labels)
    def start_and_roll_back(self, session: int, label: str) -> None:
        self.step(Rollback(Start(session, label)))

    @precondition(lambda self: not self.design.session_bound)
    @rule(session=sessions)
    def list_backups(self, session: int) -> None:
        self.step(ListBackups(session))

    # Core's own functions in the same sessions

    @rule(session=sessions, label=labels)
    def stock_start(self, session: int, label: str) -> None:
        self.step(StockStart(session, label))

    @rule(session=sessions)
    def stock_stop(self, session: int) -> None:
        self.step(StockStop(session))

    # Sessions, time and the server

    @precondition(lambda self: bool(self.closed_sessions()))
    @rule(session=free_sessions, role=st.sampled_from(NAMES))
    def connect(self, session: int, role: str) -> None:
        self.step(Connect(session, role))

    @precondition(lambda self: len(self.open_sessions()) > 1)
    @rule(session=sessions)
    def disconnect(self, session: int) -> None:
        self.step(Disconnect(session))

    @precondition(lambda self: self.restarts > 0)
    @rule(
        kind=st.sampled_from(RestartKind),
        hazard=suited(lambda walk: hazards if walk.implementation.durable else st.none()),
        role=roles,
        label=st.sampled_from([None, "a", "b"]),
    )
    def restart(self, kind: RestartKind, hazard: Hazard | None, role: str, label: str | None) -> None:
        self.restarts -= 1
        self.step(Restart(kind, hazard))
        self.step(Connect(0, role))
        if label is not None:
            self.step(Stop(0, label))

    @precondition(lambda self: self.implementation.has_clock)
    @rule(seconds=st.sampled_from(MOMENTS))
    def advance(self, seconds: int) -> None:
        self.step(Advance(seconds))

    @rule()
    def probe(self) -> None:
        self.probe_core()

    # Administration

    @precondition(lambda self: bool(self.implementation.settings))
    @rule(setting=settings)
    def set(self, setting: Operation) -> None:
        self.step(setting)

    @rule(change=changes_of_roles)
    def change_role(self, change: Operation) -> None:
        self.step(change)


class ConformanceMachine(Walk):
    """A walk on the model beside a cluster."""

    client: Client
    tally: Tally

    def __init__(self) -> None:
        super().__init__()
        self.began = time.perf_counter()
        self.failed = False
        self.implementation = self.client.implementation
        self.lockstep = Lockstep(self.client, self.tally)

    @property
    def model(self) -> Cluster:
        return self.lockstep.model

    def step(self, operation: Operation) -> None:
        """One step; a failure carries the history to paste into psql."""
        self.checked(lambda: self.lockstep.step(operation))

    def probe_core(self) -> None:
        self.checked(self.lockstep.probe)

    def checked(self, check: Callable[[], object]) -> None:
        """A check; a failure carries the history to paste into psql."""
        try:
            check()
        except Violation as violation:
            self.failed = True
            raise by_hand(violation, self.lockstep) from None
        except BaseException:
            self.failed = True
            raise

    def teardown(self) -> None:
        try:
            self.checked(lambda: self.lockstep.finish(self.failed))
        finally:
            self.tally.keep(self.client.history, self.failed)
            self.tally.end_example(self.began, self.failed)


def walk(client: Client, tally: Tally, share: float = 1.0, at_most: int | None = None) -> None:
    """Random walks; ``share``: of the profile's number of examples."""

    class Machine(ConformanceMachine):
        pass

    Machine.client = client
    Machine.tally = tally
    try:
        run_state_machine_as_test(Machine, settings=hypothesis.settings(max_examples=examples(share, at_most=at_most)))
    except Exception as error:
        make_minimal(error, client, tally)
        raise
    tally.notes.append(f"{tally.steps / tally.stepping:.0f} steps/s")
