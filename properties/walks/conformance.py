"""The conformance machine: Hypothesis walks the model beside a cluster, and every step must agree.

What is compared is in ``properties.support.lockstep``. Core's hidden counter of running backups is probed at the end of
every example and now and then inside one.
"""

import time
from collections.abc import Callable

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from harness.clients.client import Client, Violation
from model.design import StopPolicy
from model.explore import STALE
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
from properties.recording.tally import Tally
from properties.support.lockstep import ROLES, SESSIONS, Lockstep
from properties.support.strategies import BAD_LABELS, BAD_TTLS, MOMENTS

NAMES = [role.name for role in ROLES]

sessions = st.integers(0, SESSIONS - 1)
labels = st.sampled_from(["a", "b"]) | st.sampled_from(["a", "b", "c", 'Zürich "7" 東京', "%s\\", "x" * 1024])
bad_labels = st.sampled_from(BAD_LABELS)
any_label = st.one_of(labels, labels, labels, labels, labels, bad_labels)
ttls = st.sampled_from([None, None, 10, 3600])
bad_ttls = st.sampled_from(BAD_TTLS)
any_ttl = st.one_of(ttls, ttls, ttls, ttls, ttls, ttls, bad_ttls)
commoners = st.sampled_from([role.name for role in ROLES if not role.superuser])
settings = st.one_of(
    st.builds(SetLimit, st.sampled_from([None, 0, 1, 2])),
    st.builds(SetTtl, st.sampled_from([None, 3600])),
    st.builds(SetPolicy, st.sampled_from(StopPolicy)),
    st.builds(SetRetention, st.sampled_from([0, 10, 600])),
    st.builds(SetResults, st.sampled_from([None, 0, 1, 2])),
)
changes_of_roles = st.one_of(
    st.builds(Grant, commoners),
    st.builds(Revoke, commoners),
    st.builds(AddMember, commoners, commoners),
    st.builds(DropRole, commoners),
)


class ConformanceMachine(RuleBasedStateMachine):
    """Every operation of the model, in any order, by four sessions as four roles."""

    client: Client
    tally: Tally

    def __init__(self) -> None:
        super().__init__()
        self.began = time.perf_counter()
        self.failed = False
        self.restarts = 0
        self.lockstep = Lockstep(self.client, self.tally)
        self.design = self.lockstep.design

    def step(self, operation: Operation) -> None:
        """One step; a failure carries the history to paste into psql."""
        self.checked(lambda: self.lockstep.step(operation))

    def checked(self, check: Callable[[], object]) -> None:
        """A check; a failure carries the history to paste into psql."""
        try:
            check()
        except Violation as violation:
            self.failed = True
            raise Violation(f"{violation}\n\nTo see it by hand:\n{self.client.history.script()}") from None
        except BaseException:
            self.failed = True
            raise

    def connected(self, number: int) -> int:
        """That session if it is connected, else another that is: what a session can not send tests nothing."""
        open_sessions = [n for n, session in enumerate(self.lockstep.model.sessions) if session is not None]
        return number if number in open_sessions or not open_sessions else open_sessions[number % len(open_sessions)]

    def teardown(self) -> None:
        try:
            self.checked(lambda: self.lockstep.finish(self.failed))
        finally:
            self.tally.keep(self.client.history, self.failed)
            self.tally.examples += 1
            self.tally.failures += self.failed
            self.tally.stepping += time.perf_counter() - self.began

    # Where an example begins

    @initialize(
        roles=st.lists(st.sampled_from(NAMES), min_size=SESSIONS, max_size=SESSIONS),
        chance=st.integers(0, 7),
    )
    def connect_everyone(self, roles: list[str], chance: int) -> None:
        self.restarts = chance % 3 if self.client.implementation.durable else chance // 7  # forgets all: seldom
        for number, role in enumerate(roles):
            self.step(Connect(number, role))

    # Backups

    @rule(session=sessions, label=any_label, ttl=any_ttl)
    def start(self, session: int, label: str | None, ttl: int | None) -> None:
        if self.design.session_bound and label is not None:
            label = label.replace("\n", " ")  # core takes it, and lets it forge a line of the label file
        self.step(Start(self.connected(session), label, ttl if self.design.expiry else None))

    @rule(session=sessions, label=st.sampled_from(["a", "b"]))
    def start_plainly(self, session: int, label: str) -> None:
        self.step(Start(self.connected(session), label))

    @rule(session=sessions, label=any_label)
    def stop(self, session: int, label: str | None) -> None:
        self.step(Stop(self.connected(session), label))

    @precondition(lambda self: self.design.fencing)
    @rule(kind=st.sampled_from([Stop, Stop, Abort, Renew]), session=sessions, label=labels, stale=st.booleans())
    def fenced(self, kind: type[Fenced], session: int, label: str, stale: bool) -> None:
        backup = self.lockstep.model.backup(label)
        start_point = STALE if stale or backup is None else backup.start_point
        self.step(kind(self.connected(session), label, start_point=start_point))

    @precondition(lambda self: not self.design.session_bound)
    @rule(session=sessions, label=any_label)
    def abort(self, session: int, label: str | None) -> None:
        self.step(Abort(self.connected(session), label))

    @precondition(lambda self: self.design.lease)
    @rule(session=sessions, label=any_label, ttl=any_ttl)
    def renew(self, session: int, label: str | None, ttl: int | None) -> None:
        self.step(Renew(self.connected(session), label, ttl))

    @rule(session=sessions, label=labels)
    def start_and_roll_back(self, session: int, label: str) -> None:
        self.step(Rollback(Start(self.connected(session), label)))

    @precondition(lambda self: not self.design.session_bound)
    @rule(session=sessions)
    def list_backups(self, session: int) -> None:
        self.step(ListBackups(self.connected(session)))

    # Core's own functions in the same sessions

    @rule(session=sessions, label=labels)
    def stock_start(self, session: int, label: str) -> None:
        self.step(StockStart(self.connected(session), label))

    @rule(session=sessions)
    def stock_stop(self, session: int) -> None:
        self.step(StockStop(self.connected(session)))

    # Sessions, time and the server

    @precondition(lambda self: None in self.lockstep.model.sessions)
    @rule(role=st.sampled_from(NAMES))
    def connect(self, role: str) -> None:
        self.step(Connect(self.lockstep.model.sessions.index(None), role))

    @rule(session=sessions)
    def disconnect(self, session: int) -> None:
        self.step(Disconnect(self.connected(session)))

    @precondition(lambda self: self.restarts > 0)
    @rule(
        kind=st.sampled_from(RestartKind),
        hazard=st.sampled_from([None, None, None, *Hazard]),
        role=st.sampled_from(NAMES),
        label=st.sampled_from([None, "a", "b"]),
    )
    def restart(self, kind: RestartKind, hazard: Hazard | None, role: str, label: str | None) -> None:
        self.restarts -= 1
        self.step(Restart(kind, hazard if self.client.implementation.durable else None))
        self.step(Connect(0, role))
        if label is not None:
            self.step(Stop(0, label))

    @precondition(lambda self: self.client.implementation.has_clock)
    @rule(seconds=st.sampled_from(MOMENTS))
    def advance(self, seconds: int) -> None:
        self.step(Advance(seconds))

    @rule()
    def probe(self) -> None:
        self.checked(self.lockstep.probe)

    # Administration

    @precondition(lambda self: bool(self.client.implementation.settings))
    @rule(setting=settings)
    def set(self, setting: Operation) -> None:
        if isinstance(setting, SetResults) and "max_results" not in self.client.implementation.settings:
            setting = SetRetention(600)
        self.step(setting)

    @rule(change=changes_of_roles)
    def change_role(self, change: Operation) -> None:
        self.step(change)


def walk(client: Client, tally: Tally, share: float = 1.0) -> None:
    """Random walks; ``share``: of the profile's number of examples."""

    class Machine(ConformanceMachine):
        pass

    Machine.client = client
    Machine.tally = tally
    profile = hypothesis.settings.default
    assert profile is not None
    run_state_machine_as_test(
        Machine, settings=hypothesis.settings(max_examples=max(1, int(profile.max_examples * share)))
    )
    tally.notes.append(f"{tally.steps / tally.stepping:.0f} steps/s")
