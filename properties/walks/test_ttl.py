"""A time to live is any positive interval: the deadline is where SQL's own arithmetic puts it."""

from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.clients.client import Client
from harness.clients.implementation import UNFENCED, Implementation
from harness.server.session import Session, SqlError
from properties.recording.tally import Tally

pytestmark = pytest.mark.server

MONTHS = 2**31 - 1
MICROSECONDS = 2**63 - 1
SHOWN_BEFORE = "9999-01-01 00:00:00+00"
"""A deadline from then on is shown as none: many clients have no date for it."""

small = st.tuples(st.integers(-3, 3), st.integers(-100, 100), st.integers(-10_000_000, 10_000_000))
whole = st.tuples(st.integers(-MONTHS, MONTHS), st.integers(-MONTHS, MONTHS), st.integers(-MICROSECONDS, MICROSECONDS))
zones = st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "America/St_Johns"])


@pytest.fixture
def session(expiring: None, observable: None, clean_session: Session) -> Session:
    return clean_session


def deadline(session: Session, clock: datetime, ttl: str) -> str | None:
    """Where SQL puts the deadline, as text, None if it is not shown, or the SQLSTATE that the ttl deserves."""
    try:
        query = "SELECT CASE WHEN t < %s THEN t::text END, t > %s FROM (SELECT %s::timestamptz + %s::interval) AS d (t)"
        end, positive = session.execute(query, (SHOWN_BEFORE, clock, clock, ttl))[0]
    except SqlError as error:
        return error.sqlstate
    return end if positive else "22023"


def test_the_deadline_is_where_sql_puts_it(session: Session, implementation: Implementation, tally: Tally) -> None:
    assert implementation.freeze_clock is not None
    assert implementation.view is not None
    clock: datetime = session.execute(implementation.freeze_clock)[0][0]

    @given(ttl=small | whole, zone=zones)
    @example(ttl=(0, 0, 0), zone="UTC")
    @example(ttl=(0, 0, 1), zone="UTC")
    @example(ttl=(1, -31, 0), zone="UTC")
    @example(ttl=(1, 0, 0), zone="Europe/Berlin")
    @example(ttl=(-1, 32, 0), zone="UTC")
    def check(ttl: tuple[int, int, int], zone: str) -> None:
        with tally.example():
            session.execute("SELECT set_config('TimeZone', %s, false)", (zone,))
            text = "{} months {} days {} microseconds".format(*ttl)
            expected = deadline(session, clock, text)
            assert given_by_start(session, implementation, text) == expected
            tally.steps += 1

    check()


def given_by_start(session: Session, implementation: Implementation, ttl: str) -> str | None:
    """The deadline, as text, of a backup started with this ttl, or the SQLSTATE; nothing is left behind."""
    try:
        session.execute(implementation.start, {"label": "ttl", "fast": True, "ttl": ttl})
    except SqlError as error:
        assert shown_deadlines(session, implementation) == []
        return error.sqlstate
    (expires_at,) = shown_deadlines(session, implementation)
    session.execute(str(implementation.abort), {"label": "ttl", **UNFENCED})
    return expires_at


def shown_deadlines(session: Session, implementation: Implementation) -> list[str | None]:
    """The deadline of the backup under the label ``ttl``, as text, if there is such a backup."""
    rows = session.execute(f"SELECT expires_at::text FROM ({implementation.view}) AS v WHERE label = 'ttl'")
    return [row[0] for row in rows]


def test_a_deadline_from_the_year_9999_on_is_shown_as_none(session: Session, implementation: Implementation) -> None:
    clock = session.execute(str(implementation.freeze_clock))[0][0]
    query = "SELECT (d - '1 microsecond')::text, d::text FROM (SELECT %s::timestamptz - %s) AS t (d)"
    before, then = session.execute(query, (SHOWN_BEFORE, clock))[0]
    session.execute("SET TimeZone = 'UTC'")
    assert given_by_start(session, implementation, before) == "9998-12-31 23:59:59.999999+00"
    assert given_by_start(session, implementation, then) is None


@pytest.mark.parametrize("setting", [None, 60])
def test_an_infinite_time_to_live_never_ends_whatever_the_setting_says(
    client: Client, session: Session, implementation: Implementation, setting: int | None
) -> None:
    if client.cluster.build.postgres.version[0] < 17:
        pytest.skip("intervals are finite before PostgreSQL 17")
    client.set(ttl=setting)
    assert given_by_start(session, implementation, "infinity") is None
    assert given_by_start(session, implementation, "-infinity") == "22023"
    session.execute(implementation.start, {"label": "ttl", "fast": True, "ttl": "1 hour"})
    renewal = {"label": "ttl", "ttl": "infinity", **UNFENCED}
    assert session.execute(str(implementation.renew), renewal) == [(None,)]
    assert shown_deadlines(session, implementation) == [None]
    session.execute(str(implementation.abort), {"label": "ttl", **UNFENCED})


def test_without_a_time_to_live_the_setting_counts(session: Session, implementation: Implementation) -> None:
    session.execute(implementation.start, {"label": "ttl", "fast": True, "ttl": None})
    assert session.execute(str(implementation.renew), {"label": "ttl", "ttl": None, **UNFENCED}) == [(None,)]
    assert shown_deadlines(session, implementation) == [None]
    session.execute(str(implementation.abort), {"label": "ttl", **UNFENCED})
