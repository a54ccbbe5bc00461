"""Of several mistakes in one call, the one is told that comes first in the error table of the README.

The walks meet the rows about backups in the model's order. Here are those before them: what is wrong with the server,
the caller and the arguments, in every mixture. The order is the table's own: its rows are read from the README.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.server.cluster import open_cluster
from harness.server.session import Session, SqlError
from properties.recording.tally import Tally
from properties.support.profiles import examples
from properties.support.readme import rows_of

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

SERVERS: Mapping[str, Mapping[str, str]] = {
    "ready": {},
    "not preloaded": {"shared_preload_libraries": ""},
    "wal_level too low": {"wal_level": "minimal", "max_wal_senders": "0"},
}
NOBODY = "nobody_special"
NULL, EMPTY, LONG, CONTROL, GOOD = "NULL", "''", "repeat('x', 1025)", "E'a\\nb'", "'no such backup'"
LABELS = (GOOD, NULL, EMPTY, LONG, CONTROL)
TTLS = (NULL, "'1 h'", "'0'", "'-1 s'", "'300000 years'")
OPTIONS = ("true", NULL)
CALLS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "start": (LABELS, OPTIONS, TTLS),
    "stop": (LABELS, OPTIONS),
    "abort": (LABELS,),
    "renew": (LABELS, TTLS),
    "list": (),
    "starter_list": (),
}
"""The functions, and what may be given as each of their arguments."""
LISTS = ("list", "starter_list")
"""Which need no more than the library."""


class Call(NamedTuple):
    """One call, on one server."""

    server: str
    role: str
    function: str
    arguments: tuple[str, ...]

    def sql(self) -> str:
        """The statement."""
        return f"SELECT shared_backup_{self.function}({', '.join(self.arguments)})"

    def mistakes(self) -> set[str]:
        """Words by which the rows of the table can be told that apply."""
        label, *others = self.arguments or (GOOD,)
        wal_level = self.server == "wal_level too low" and self.function not in LISTS
        found = {
            "no `EXECUTE` privilege": self.role == NOBODY,
            "the library is not in `shared_preload_libraries`": self.server == "not preloaded",
            "`wal_level` is too low": wal_level,
            "is null": NULL in (label, *(one for one in others[:1] if self.function in ("start", "stop"))),
            "the time to live is not positive": label in (EMPTY, LONG, CONTROL) or {"'0'", "'-1 s'"} & {*others},
            "beyond the range of `timestamptz`": "'300000 years'" in others,
            "there is no such backup": self.function in ("stop", "abort", "renew"),
        }
        return {words for words, wrong in found.items() if wrong}


def table() -> list[tuple[str, str]]:
    """The rows: SQLSTATE, and when."""
    return [(state, when) for state, when in rows_of("Errors", "") if re.fullmatch(r"\w{5}", state)]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Any of them: more often wrong than not."""
    function = draw(st.sampled_from(sorted(CALLS)))
    arguments = tuple(draw(st.sampled_from(choices)) for choices in CALLS[function])
    return Call(
        draw(st.sampled_from(sorted(SERVERS))), draw(st.sampled_from(["postgres", NOBODY])), function, arguments
    )


@pytest.fixture(scope="module")
def sessions(instrumented: Build) -> Iterator[dict[tuple[str, str], Session]]:
    """A superuser's session and one of a role without privileges, on each server."""
    with ExitStack() as stack:
        found = {}
        for name, chosen in SERVERS.items():
            server = stack.enter_context(open_cluster(instrumented, settings=chosen))
            found[name, "postgres"] = admin = server.connect()
            admin.execute("CREATE EXTENSION shared_backup")
            admin.execute(f"CREATE ROLE {NOBODY} LOGIN")
            found[name, NOBODY] = server.connect(NOBODY)
        yield found
        for session in found.values():
            session.close()


def test_of_several_mistakes_the_one_is_told_that_comes_first_in_the_table(
    sessions: dict[tuple[str, str], Session], tally: Tally
) -> None:
    rows = table()

    @settings(max_examples=examples(3))
    @given(calls())
    def check(call: Call) -> None:
        with tally.example():
            session = sessions[call.server, call.role]
            mistakes = call.mistakes()
            expected = next((state for state, when in rows if any(words in when for words in mistakes)), None)
            session.execute("BEGIN")
            try:
                session.execute(call.sql())
                said: SqlError | None = None
            except SqlError as error:
                said = error
            finally:
                session.execute("ROLLBACK")
                if call.function == "start" and not mistakes:  # a start that succeeds is not undone by a rollback
                    session.execute(f"SELECT shared_backup_abort({GOOD})")
            tally.steps += 1
            told = said.sqlstate if said else None
            assert told == expected, f"{call.role} on a server that is {call.server}: {call.sql()} gives {said}"

    check()


def test_every_mistake_that_is_made_here_has_its_row() -> None:
    worst = Call("ready", "postgres", "start", (GOOD, "true", NULL))
    everything = [
        worst._replace(role=NOBODY),
        *(worst._replace(server=server) for server in SERVERS),
        worst._replace(arguments=(NULL, NULL, NULL)),
        worst._replace(arguments=(EMPTY, "true", "'0'")),
        worst._replace(arguments=(GOOD, "true", "'300000 years'")),
        worst._replace(function="abort", arguments=(GOOD,)),
    ]
    for words in {words for call in everything for words in call.mistakes()}:
        assert sum(words in when for _, when in table()) == 1, f"the error table has no row, or several, about: {words}"
