"""Settings and arguments that are durations, over their whole range: from a second to what an integer holds.

The walks try a few short ones in every state. Here are few states, and every length: a deadline lies as far away as the
caller says, else the setting; what has ended is remembered for as long as the setting says, to the microsecond.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clients.client import Client
from harness.clients.implementation import UNFENCED
from harness.server.session import Session
from properties.recording.tally import Tally
from properties.support.profiles import examples

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension", "forgetful", "instruments")]

LONGEST = 2**31 - 1
"""Seconds: what a setting can hold."""
MOMENT = timedelta(microseconds=1)
SECONDS = st.integers(0, 31).flatmap(lambda bits: st.integers(max(1, 2**bits // 2), min(2**bits, LONGEST)))
"""As many short ones as long ones."""


@pytest.fixture
def session(client: Client, clean_session: Session) -> Iterator[Session]:
    yield clean_session
    client.freeze()


@pytest.mark.parametrize("ending", ["stopped", "expired"])
def test_a_backup_ends_and_is_forgotten_when_its_durations_say(
    client: Client, session: Session, tally: Tally, ending: str
) -> None:
    implementation = client.implementation

    @settings(max_examples=examples(0.15))
    @given(SECONDS | st.none(), SECONDS, SECONDS)
    def check(given_ttl: int | None, ttl: int, retention: int) -> None:
        with tally.example():
            session.execute("SELECT shared_backup_clock_release()")
            began: datetime = session.execute(str(implementation.freeze_clock))[0][0]
            client.set(ttl=ttl, result_retention=retention)
            life = timedelta(seconds=ttl if given_ttl is None else given_ttl)
            interval = None if given_ttl is None else f"{given_ttl} s"
            session.execute(implementation.start, {"label": "long", "fast": True, "ttl": interval})
            assert shown(session) == [("active", began + life)]
            advance(session, life - MOMENT)
            assert shown(session) == [("active", began + life)]
            if ending == "stopped":
                session.execute(implementation.stop, {"label": "long", "wait": False, **UNFENCED})
            else:
                advance(session, MOMENT)
            assert shown(session) == [(ending, began + life)]
            advance(session, timedelta(seconds=retention) - MOMENT)
            assert shown(session) == [(ending, began + life)]
            advance(session, MOMENT)
            assert shown(session) == []
            tally.steps += 6

    check()


def advance(session: Session, by: timedelta) -> None:
    """Time passes."""
    session.execute("SELECT shared_backup_clock_advance(%s)", (by,))


def shown(session: Session) -> list[tuple[str, datetime]]:
    """What there is, and its deadline."""
    return [(state, expires) for state, expires in session.execute("SELECT state, expires_at FROM shared_backups")]
