"""Free-running: many sessions hammer few labels, and whatever comes of it, the model explains it.

Beside them core's own backups are taken, in sessions and by pg_basebackup, and none of them is ever disturbed.
The order of events is the machine's own, so a failure is not made smaller by trying again: its history is saved, and
the part of it that no interleaving explains is shown.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy

from harness.building.build import Build
from harness.clients.client import Violation
from harness.clients.crowd import Crowd
from harness.clients.history import Event
from harness.clients.implementation import DURABLE, UNFENCED, Implementation
from harness.schema.campaign import Answer, Linearized
from model.linearizability.linearize import Explained, Undecided, Unexplained, Window, linearize
from model.operations import Connect, ListBackups
from properties.concurrency import crowds_and_restarts
from properties.concurrency.crowds import CrowdPlan, carry_out, plans
from properties.concurrency.linearize import came_of, told
from properties.concurrency.overlap import breach
from properties.concurrency.recorded import calls_of, written
from properties.recording.at_once import counted_histories
from properties.recording.tally import Tally
from properties.recording.timeline import Watched, best_part, failed_part
from properties.support.lockstep import ROLES
from properties.support.profiles import UNSHRUNK, examples
from properties.support.servers import installed_server

pytestmark = pytest.mark.server

ANSWERS = {Explained: Answer.EXPLAINED, Undecided: Answer.UNDECIDED, Unexplained: Answer.UNEXPLAINED}

OPERATIONS = {"dev": 800, "gate": 800, "nightly": 5_000}
"""Of a history, at most, by profile."""

ROWS, TURNS = 2_000, 250
"""So many rows take a millisecond to list, in which much happens: when the list was of no one moment, some of so many
turns were seen to overlap."""


Carry = Callable[[Crowd, CrowdPlan, Watched], None]


@pytest.fixture(scope="module")
def crowd(
    instrumented: Build, implementation: Implementation, multi_session: None, observable: None
) -> Iterator[Crowd]:
    """A crowd on a cluster of its own."""
    with installed_server(instrumented, implementation) as cluster:
        yield Crowd(cluster, implementation)


@pytest.fixture(scope="module")
def durable_crowd(instrumented: Build, durable_backups: None) -> Iterator[Crowd]:
    """A crowd whose backups survive restarts."""
    with installed_server(instrumented, DURABLE) as cluster:
        yield Crowd(cluster, DURABLE)


class InexplicableError(Violation):
    """No interleaving explains a history."""

    def __init__(self, window: Window, said: str) -> None:
        super().__init__(f"no interleaving explains these operations:\n{said}")
        self.window = window

    def concerns(self, event: Event) -> bool:
        """Does the operation belong to those that contradict each other?"""
        return any((call.invoked, call.operation) == (event.invoked, event.operation) for call in self.window.calls)


@pytest.mark.usefixtures("expiring")
def test_whatever_a_crowd_does_the_model_explains_it(crowd: Crowd, tally: Tally, tmp_path: Path, profile: str) -> None:
    """... the limit is never exceeded, core's own backups are never disturbed, and nothing is left half done."""
    look(crowd, tally, tmp_path, plans(OPERATIONS[profile]), carry_out)


def test_whatever_a_crowd_does_about_durable_backups_the_model_explains_it(
    durable_crowd: Crowd, tally: Tally, tmp_path: Path, profile: str
) -> None:
    """... while all that they are told is in files first."""
    look(durable_crowd, tally, tmp_path, plans(OPERATIONS[profile]), carry_out, share=0.2)


def test_whatever_a_restart_cuts_off_the_model_explains_it(durable_crowd: Crowd, tally: Tally, tmp_path: Path) -> None:
    """... from what the crowd is told when the server is up again, and goes on."""
    look(durable_crowd, tally, tmp_path, crowds_and_restarts.plans(), crowds_and_restarts.carry_out, share=0.2)


def look(
    crowd: Crowd, tally: Tally, tmp_path: Path, drawn: SearchStrategy[CrowdPlan], carry_out: Carry, share: float = 1.0
) -> None:
    """Explains a number of histories; ``share``: of the profile's."""
    saved = tmp_path / "history.jsonl"
    client = crowd.client
    found: dict[CrowdPlan, Exception] = {}  # another run of the same plan would take another course

    @settings(max_examples=examples(share / 10, at_least=2), phases=UNSHRUNK)
    @given(drawn)
    def check(plan: CrowdPlan) -> None:
        if plan in found:
            raise found[plan]
        watched = Watched()
        with tally.example():
            try:
                carry_out(crowd, plan, watched)
                client.end()
                save(crowd, plan, saved)
                explain(crowd, plan, tally, saved)
                tally.keep_timeline(best_part(client.history, watched))
            except Exception as error:
                save(crowd, plan, saved)
                inexplicable = error.concerns if isinstance(error, InexplicableError) else lambda event: False
                tally.keep_timeline(failed_part(client.history, watched, inexplicable))
                tally.saved.append(saved.read_text(encoding="utf-8"))
                error.add_note(f"To check the history again:\npython -m properties.concurrency.linearize {saved}")
                found[plan] = error
                client.recover()
                raise
            finally:
                tally.steps += len(client.history.events)
                tally.keep(client.history, failed=plan in found)

    check()
    counts = counted_histories(tally.linearized)
    assert counts.undecided * 100 <= counts.explained, f"too many histories are undecided: {counts}"


def save(crowd: Crowd, plan: CrowdPlan, file: Path) -> None:
    """Keeps the history, to be checked again."""
    design, first = crowd.client.implementation.design, plan.beginning(crowd)
    file.write_text(written(design, first, calls_of(crowd.client.history)), encoding="utf-8")


def explain(crowd: Crowd, plan: CrowdPlan, tally: Tally, saved: Path) -> None:
    """Is there an interleaving of the model's phases that explains the history? Raises Violation if there is none.

    If that was not found out, the history, which is in the file ``saved``, is kept.
    """
    client = crowd.client
    if found := breach(client.history, plan.limit):
        raise Violation(found)
    calls = calls_of(client.history)
    answer = linearize(client.implementation.design, plan.beginning(crowd), calls)
    tally.linearized.append(
        Linearized(
            operations=len(calls),
            sessions=len(plan.roles),
            unknown=sum(call.outcome is None for call in calls),
            answer=ANSWERS[type(answer)],
        )
    )
    if isinstance(answer, Undecided):
        tally.saved.append(saved.read_text(encoding="utf-8"))
        tally.notes.append(f"a history of {len(calls):,} operations was not decided, and is kept as *.calls.jsonl")
    if isinstance(answer, Unexplained):
        words = {
            (event.invoked, event.operation): f"{event.who}: {event.operation}: {came_of(event.outcome)}"
            for event in client.history.events
        }
        raise InexplicableError(answer.window, told(answer.window, words))


def test_the_view_shows_one_moment(crowd: Crowd, tally: Tally) -> None:
    """Of two labels that one session uses in turn, never both are live: not even in a view that takes long to read."""
    client, implementation = crowd.client, crowd.client.implementation
    crowd.begin(ROLES, 0, implementation.design.settings)
    session = client.cluster.connect()
    live = (
        f"SELECT label FROM ({implementation.view}) AS shown"
        " WHERE label IN ('a', 'b') AND state IN ('starting', 'active', 'stopping')"
    )

    def start(label: str) -> None:
        session.execute(implementation.start, {"label": label, "fast": True, "ttl": None})

    def take_turns() -> None:
        for label in ("a", "b") * TURNS:
            start(label)
            session.execute(str(implementation.abort), {"label": label, **UNFENCED})
            tally.steps += 2
            if crowd.over.is_set():
                return

    def read() -> None:
        while not crowd.over.is_set():
            shown = client.admin.execute(live)
            if len(shown) > 1:
                raise Violation(
                    f"the view showed {shown} at once, and one session used these labels one after the other"
                )

    with tally.example():
        try:
            for number in range(ROWS):
                start(f"of many {number}")
            crowd.rush([take_turns], [read])
        finally:
            session.close()
            client.recover()


def test_what_became_of_an_operation_whose_connection_was_lost_is_unknown(crowd: Crowd) -> None:
    """... and the crowd goes on; the linearizer may take it either way."""
    client = crowd.client
    crowd.begin(ROLES, 1, client.implementation.design.settings)
    crowd.act(Connect(0, "root"))
    session = client.sessions[0]
    assert session is not None
    client.admin.execute("SELECT pg_terminate_backend(%s, 30000)", (session.pid,))
    assert crowd.act(ListBackups(0)) is None
    assert client.history.events[-1].outcome is None
    assert client.history.events[-1].said
    client.end()
