"""Whose backup it is, and who asks: always the role that is current, however it came to be that.

The server itself is asked beside each call, in the same context: who is the current user, and has it the privileges of
the owner? Roles become current by logging in, by ``SET ROLE``, by ``SET SESSION AUTHORIZATION``, and within functions
that are ``SECURITY DEFINER``; in one session they change from call to call.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.building.build import Build
from harness.server.cluster import Cluster, open_cluster
from harness.server.injection_points import InjectionPoints
from harness.server.session import Pending, Session, SqlError
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension", "tokens", "instruments")]

PATIENCE = 30.0  # seconds
ROOT = "postgres"
ROLES = (ROOT, "owner", "heir", "nominal", "stranger")
"""A superuser; the usual owner; a member with its privileges; one that would have to become it; nobody to it."""
FUNCTIONS = "shared_backup_start, shared_backup_stop, shared_backup_abort, shared_backup_renew"
SET_UP = (
    "CREATE EXTENSION shared_backup",
    "CREATE EXTENSION shared_backup_instruments",
    "CREATE ROLE owner LOGIN",
    "CREATE ROLE heir LOGIN IN ROLE owner",
    "CREATE ROLE nominal LOGIN NOINHERIT IN ROLE owner",
    "CREATE ROLE stranger LOGIN",
    f"GRANT EXECUTE ON FUNCTION {FUNCTIONS} TO owner, heir, nominal, stranger",
    "GRANT pg_monitor TO owner, heir, nominal, stranger",
)
WRAPPER = (
    "CREATE FUNCTION as_{role}(statement text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER"
    " AS $$ DECLARE answer text; BEGIN EXECUTE statement INTO answer; RETURN answer; END $$"
)
START = "SELECT token FROM shared_backup_start('it', true)"
WORK = {
    "stop": "SELECT lsn FROM shared_backup_stop('it', false)",
    "abort": "SELECT shared_backup_abort('it')",
    "renew": "SELECT shared_backup_renew('it', '1 day')",
    "stop again": "SELECT lsn FROM shared_backup_stop('it', false)",
    "start again": START,
}
AFTERWARDS = ("stop again", "start again")
"""What is done with a backup that has been stopped."""
SHOWN = "SELECT owner, state, token, expires_at FROM shared_backups WHERE label = 'it'"


class Caller(NamedTuple):
    """Who calls, and how it came to be that."""

    login: str
    """The role that has logged in."""
    authorized: str | None = None
    """By SET SESSION AUTHORIZATION, which only a superuser may."""
    current: str | None = None
    """By SET ROLE."""
    definer: str | None = None
    """The owner of the function that does it."""


def callers() -> st.SearchStrategy[Caller]:
    """All that are possible."""
    becomes = {ROOT: ROLES, "owner": ("owner",), "heir": ("heir", "owner"), "nominal": ("nominal", "owner")}

    def caller(login: str) -> st.SearchStrategy[Caller]:
        authorized = st.none() | st.sampled_from(ROLES) if login == ROOT else st.none()
        return authorized.flatmap(
            lambda session_user: st.builds(
                Caller,
                st.just(login),
                st.just(session_user),
                st.none() | st.sampled_from(becomes.get(session_user or login, (session_user or login,))),
                st.none() | st.sampled_from(ROLES),
            )
        )

    return st.sampled_from(ROLES).flatmap(caller)


@pytest.fixture(scope="module")
def server(instrumented: Build) -> Iterator[Cluster]:
    """A server where only owners, and who has their privileges, may stop a backup."""
    settings = {"shared_preload_libraries": "shared_backup", "shared_backup.stop_policy": "owner"}
    with open_cluster(instrumented, settings=settings) as server:
        session = server.connect()
        for statement in SET_UP:
            session.execute(statement)
        for role in ROLES:
            session.execute(WRAPPER.format(role=role))
            session.execute(f"ALTER FUNCTION as_{role} OWNER TO {role}")
        session.close()
        yield server


class Sessions:
    """A session for each role that logs in: it stays, and becomes one role after the other."""

    def __init__(self, server: Cluster) -> None:
        self.of = {role: server.connect(role) for role in ROLES}

    def ask(self, caller: Caller, statement: str) -> object:
        """What the first column of the first row is, if this caller asks; raises SqlError."""
        return self.submit(caller, statement).result(PATIENCE)[0][0]

    def submit(self, caller: Caller, statement: str) -> Pending:
        """The same, without waiting for it."""
        session = self.of[caller.login]
        session.execute("RESET SESSION AUTHORIZATION")
        if caller.authorized:
            session.execute(f"SET SESSION AUTHORIZATION {caller.authorized}")
        session.execute(f"SET ROLE {caller.current or 'NONE'}")
        if caller.definer is None:
            return session.submit(statement)
        return session.submit(f"SELECT as_{caller.definer}(%s)", (statement,))


@pytest.fixture
def sessions(server: Cluster) -> Iterator[Sessions]:
    sessions = Sessions(server)
    yield sessions
    for session in sessions.of.values():
        session.close()


@pytest.fixture
def admin(server: Cluster) -> Iterator[Session]:
    admin = server.connect()
    yield admin
    admin.close()


def test_whoever_is_current_owns_what_it_starts_and_may_stop_what_its_privileges_cover(
    sessions: Sessions, admin: Session, tally: Tally
) -> None:
    @given(starter=callers(), caller=callers(), work=st.sampled_from(sorted(WORK)))
    def check(starter: Caller, caller: Caller, work: str) -> None:
        with tally.example():
            forget(admin)
            sessions.ask(starter, START)
            owner = sessions.ask(starter, "SELECT current_user")
            if work in AFTERWARDS:
                admin.execute(WORK["stop"])
            before = admin.execute(SHOWN)
            assert before[0][0] == owner, f"{starter} is {owner}"
            refused = refusal(sessions, caller, work)
            now, may = current(sessions, caller, str(owner))
            expected = None if may else "42710" if work == "start again" else "42501"
            assert refused == expected, f"{caller} is {now}, and asks to {work} what is {owner}'s"
            after = admin.execute(SHOWN)
            if refused:
                assert after == before, f"{work} was refused to {caller}, and something has changed"
            elif work == "start again":
                assert after[0][0] == now
            tally.steps += 2

    check()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("work", WORK)
def test_the_backup_of_a_role_that_is_gone_is_for_superusers_alone(
    server: Cluster, sessions: Sessions, admin: Session, tally: Tally, role: str, work: str
) -> None:
    """Whoever had its privileges has them no more, and nobody else gets them."""
    with tally.example():
        forget(admin)
        for statement in (
            "CREATE ROLE gone LOGIN",
            f"GRANT EXECUTE ON FUNCTION {FUNCTIONS} TO gone",
            "GRANT gone TO heir",
        ):
            admin.execute(statement)
        session = server.connect("gone")
        session.execute(START)
        session.close()
        for statement in ("DROP OWNED BY gone", "DROP ROLE gone"):
            admin.execute(statement)
        if work in AFTERWARDS:
            admin.execute(WORK["stop"])
        before = admin.execute(SHOWN)
        assert before[0][0].startswith("unknown (OID="), "it has an owner still"
        refused = refusal(sessions, Caller(role), work)
        assert refused == (None if role == ROOT else "42710" if work == "start again" else "42501")
        assert (admin.execute(SHOWN) == before) == (refused is not None or work == "stop again")
        tally.steps += 2


def test_a_start_under_way_is_whose_it_will_be(
    server: Cluster, sessions: Sessions, admin: Session, tally: Tally
) -> None:
    """... and not whose backup it replaces; nobody can end it, and others are not told that it is under way."""
    points = InjectionPoints(admin)
    logins = st.tuples(callers(), callers()).filter(lambda pair: pair[0].login != pair[1].login)

    @given(replaced=st.none() | st.just(Caller("owner")) | st.just(Caller("stranger")), who=logins)
    def check(replaced: Caller | None, who: tuple[Caller, Caller]) -> None:
        with tally.example():
            starter, caller = who
            forget(admin)
            if replaced:
                sessions.ask(replaced, START)
                admin.execute(WORK["stop"])
            owner = str(sessions.ask(starter, "SELECT current_user"))
            if replaced and not current(sessions, starter, replaced.login)[1]:
                return  # it may not use that label
            points.attach("start-reserved", "it")
            pending = sessions.submit(starter, START)
            points.arrived("start-reserved", "it", pending.done)
            try:
                assert admin.execute(SHOWN) == [(owner, "starting", None, None)]
                refused = refusal(sessions, caller, "stop")
                now, may = current(sessions, caller, owner)
                assert refused == ("55006" if may else "42501"), f"{caller} is {now}, it is {owner}'s"
            finally:
                points.detach()
                pending.result(PATIENCE)
            assert admin.execute(SHOWN)[0][:2] == (owner, "active")
            tally.steps += 2

    check()


def refusal(sessions: Sessions, caller: Caller, work: str) -> str | None:
    """The SQLSTATE with which it is refused; None: it is not."""
    try:
        sessions.ask(caller, WORK[work])
    except SqlError as error:
        return error.sqlstate
    return None


def current(sessions: Sessions, caller: Caller, owner: str) -> tuple[str, bool]:
    """Who the caller is, and whether it has the owner's privileges, by the server itself."""
    now = str(sessions.ask(caller, "SELECT current_user"))
    has = sessions.ask(caller, f"SELECT pg_has_role(current_user, '{owner}', 'USAGE')")
    return now, has in (True, "t", "true")


def forget(admin: Session) -> None:
    """Nothing is under the label, not even a result."""
    state = admin.execute("SELECT state FROM shared_backups")
    if not state:
        return
    if state[0][0] != "active":
        admin.execute(START)
    admin.execute("SELECT shared_backup_abort('it')")
