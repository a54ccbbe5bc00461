"""A counterexample as a specification for PostgreSQL's isolation tester (src/test/isolation/README there).

The tester has a connection for each of its sessions, from the beginning to the end. So a session that connects begins
to act as its role then, one that disconnects is terminated, and one that connects again is another session of the
tester. Each statement is a step of its own: what the tester sends at once is one transaction.

An operation that is held between its phases waits where the tester does not look (it knows of locks, and from 17 on
of core's own injection points): the query by which it asks whether a session waits is prepared anew. A step that is to
be held is marked with a star, so that the tester goes on without it; the administrator's next step then ends when
somebody has come to the point, or the session is through.
"""

from collections.abc import Iterator

from harness.schema.counterexample import Counterexample
from properties.recording.isolation_steps import STARTS, Part, Parts, UntellableError
from properties.recording.scripts import (
    aborting,
    about,
    changed_settings,
    dropping_roles,
    in_one_line,
    literal,
    named_starts,
    needs_instruments,
    preparation,
    tried,
)

WAITING = (
    "DEALLOCATE isolationtester_waiting",
    "PREPARE isolationtester_waiting (int) AS SELECT EXISTS (SELECT FROM pg_stat_activity"
    " WHERE pid = $1 AND state = 'active' AND wait_event_type = 'Extension')",
)
"""Has the tester take for waiting who waits in the extension, too."""


def isolation_spec(one: Counterexample) -> str:
    """The specification; raises UntellableError."""
    if any(step.operation == "Restart" for step in tried(one)):
        raise UntellableError("the server is restarted, which ends the tester's connections")
    parts = list(Parts(one).all())
    if any("}" in part.sql for part in parts):
        raise UntellableError("a statement has a closing brace, which ends a step of the tester's")
    return "\n".join(lines(one, parts)) + "\n"


def lines(one: Counterexample, parts: list[Part]) -> Iterator[str]:
    """Its lines."""
    yield from (f"# {line}".rstrip() for line in about(one))
    yield "# isolationtester CONNINFO < this file"
    if instruments := needs_loading(one):
        yield "# It needs the extension built with INSTRUMENTS=1."
    yield ""
    yield from (f"setup {{ {statement}; }}" for statement in preparing(one, instruments))
    yield from ("teardown", "{", *clearing_up(one), "}")
    for session in dict.fromkeys(part.session for part in parts):
        yield f"\nsession {session}"
        yield f"setup {{ SET application_name = {literal(f'counterexample {session}')}; }}"
        for part in (part for part in parts if part.session == session):
            yield from (f"# {in_one_line(remark)}" for remark in part.remarks)
            yield f"step {part.name} {{ {part.sql}; }}"
    yield "\npermutation " + " ".join(part.name + part.marker for part in parts)


def needs_loading(one: Counterexample) -> bool:
    """Does it need the instruments? To know when new settings have been loaded, too."""
    return needs_instruments(one) or bool(changed_settings(one) and one.implementation.settings_loaded)


def preparing(one: Counterexample, instruments: bool) -> Iterator[str]:
    """The statements that come first."""
    yield from preparation(one, instruments=instruments)
    if named_starts(one):
        yield f"CREATE TABLE {STARTS} (number int, start_lsn text, token text)"
        yield f"GRANT SELECT ON {STARTS} TO PUBLIC"
    if one.points:
        yield from WAITING


def clearing_up(one: Counterexample) -> Iterator[str]:
    """Nothing is left behind; the settings have been put back by then."""
    if abort := aborting(one):
        yield f"{abort};"
    if named_starts(one):
        yield f"DROP TABLE {STARTS};"
    yield f"{dropping_roles(one)};"
