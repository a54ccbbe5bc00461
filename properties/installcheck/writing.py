"""Histories as a specification for PostgreSQL's isolation tester: a permutation for each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from textwrap import indent, wrap

from harness.clients.implementation import SHARED
from harness.clients.roles import creating, granted
from model.operations import Connect, SetLimit, SetPolicy, StockStart, StockStop
from model.state import Role
from properties.installcheck.histories import History, Move
from properties.installcheck.statements import STARTS, clearing
from properties.installcheck.steps import ADMINISTRATOR, Step, Taken, role_of, steps_of
from properties.recording.scripts import literal

ROLE_PREFIX = "regress_iso_"
"""Of roles, as PostgreSQL's tests name theirs."""
WIDTH = 100
PATIENCE = "30s"
"""For what should come at once."""
WRITTEN_BY = "Written by python -m properties.installcheck of the shared-backup test bench: change it there."

WORK = "CREATE TABLE iso_work AS SELECT i, repeat('x', 1000) AS filler FROM generate_series(1, 2000) i"
"""Pages that a checkpoint has to write, one in a tenth of a second."""
WAITING = (
    "-- The tester asks by this whether a session waits. It looks for locks; here it is a slow start that waits.\n"
    "DEALLOCATE isolationtester_waiting",
    """PREPARE isolationtester_waiting (int) AS
SELECT EXISTS (SELECT FROM pg_stat_activity
    WHERE pid = $1 AND state = 'active' AND wait_event_type = 'Extension' AND query LIKE '%fast => false%')""",
)
CLEAR = """CREATE PROCEDURE iso_clear(labels text[]) LANGUAGE plpgsql AS $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT label FROM shared_backups WHERE label = ANY (labels) AND state = 'active' LOOP
        PERFORM shared_backup_abort(one);
    END LOOP;
    FOR one IN SELECT label FROM shared_backups WHERE label = ANY (labels) LOOP
        PERFORM shared_backup_start(one, fast => true);
        PERFORM shared_backup_abort(one);
    END LOOP;
END $$"""
"""So that nothing is left under a label: a new backup replaces the result, and is given up."""
LOAD = """-- The second start has a worker that was launched after all had been told of the configuration.
CREATE PROCEDURE iso_load() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_reload_conf();
    FOR i IN 1..2 LOOP
        PERFORM shared_backup_start('iso_load', fast => true);
        PERFORM shared_backup_abort('iso_load');
    END LOOP;
END $$"""
"""The postmaster tells its processes before it launches another one; and one worker was ready before, at most."""


@dataclass(frozen=True)
class Spec:
    """A specification."""

    name: str
    about: tuple[str, ...]
    """Paragraphs for its head."""
    histories: tuple[History, ...]
    bugs: tuple[str, ...]
    """Mutants that it finds."""

    @cached_property
    def permutations(self) -> list[list[Taken]]:
        """The steps of each; raises UnspeakableError."""
        return [steps_of(history, self.labels) for history in self.histories]

    @property
    def steps(self) -> list[Step]:
        """All of them, once; no two have the same name."""
        found = {taken.step.name: taken.step for steps in self.permutations for taken in steps}
        assert all(found[taken.step.name] == taken.step for steps in self.permutations for taken in steps)
        return list(found.values())

    @property
    def labels(self) -> list[str]:
        """All that the operations name, but core's own functions."""
        operations = [one.operation for one in self._moves() if not isinstance(one.operation, StockStart | StockStop)]
        return sorted({label for one in operations if (label := getattr(one, "label", None))})

    @property
    def roles(self) -> list[Role]:
        """Those that sessions have, and those that these are members of."""
        known = {role.name: role for history in self.histories for role in history.first.roles}
        used = {one.operation.role for one in self._moves() if isinstance(one.operation, Connect)}
        used |= {group for name in used for group in known[name].member_of}
        return [renamed(role) for name, role in known.items() if name in used]

    @property
    def holds(self) -> bool:
        """Is a start held in any of them?"""
        return any(history.holds for history in self.histories)

    @property
    def sets(self) -> bool:
        """Is a setting changed?"""
        return any(isinstance(one.operation, SetLimit | SetPolicy) for one in self._moves())

    def _moves(self) -> list[Move]:
        return [move for history in self.histories for move in history.moves]

    def text(self) -> str:
        """What is in the file."""
        return "\n".join(lines(self)) + "\n"


def lines(spec: Spec) -> Iterator[str]:
    """The lines of its file."""
    for paragraph in (*spec.about, WRITTEN_BY):
        yield from ["#"] * (paragraph != spec.about[0])
        yield from (f"# {line}" for line in wrap(paragraph, WIDTH, break_on_hyphens=False))
    yield from ("", "setup", "{", *(indent(f"{one};", "    ") for one in preparation(spec)), "}")
    yield from ("", "teardown", "{", *(indent(f"{one};", "    ") for one in clearing_up(spec)), "}")
    for session in dict.fromkeys(step.session for step in spec.steps):
        yield from ("", f"session {session}", opening(session))
        for step in spec.steps:
            if step.session == session:
                yield from written(step)
        if session != ADMINISTRATOR:
            yield "teardown\t{ RESET SESSION AUTHORIZATION; }"
    yield ""
    for permutation in spec.permutations:
        yield from wrapped([taken.word for taken in permutation])


def preparation(spec: Spec) -> Iterator[str]:
    """What is made before each permutation."""
    core = any(isinstance(move.operation, StockStart) for history in spec.histories for move in history.moves)
    functions = granted(SHARED.functions) if core else SHARED.functions
    yield "CREATE EXTENSION IF NOT EXISTS shared_backup"
    for statement in creating(spec.roles, [function.partition("(")[0] for function in functions]):
        yield statement.replace(" TO ", "\n    TO ") if statement.startswith("GRANT EXECUTE") else statement
    yield f"CREATE TABLE {STARTS} (number int, token uuid, start_lsn pg_lsn)"
    yield f"GRANT SELECT, INSERT ON {STARTS} TO PUBLIC"
    if spec.holds:
        yield WORK
        yield from WAITING
    yield CLEAR
    yield from [LOAD] * spec.sets


def clearing_up(spec: Spec) -> Iterator[str]:
    """What is removed after each; the settings have been put back by then."""
    yield clearing(spec.labels)
    yield "DROP PROCEDURE " + ", ".join(["iso_clear", *["iso_load"] * spec.sets])
    yield "DROP TABLE " + ", ".join([STARTS, *["iso_work"] * spec.holds])
    names = ", ".join(role.name for role in spec.roles)
    yield f"DROP OWNED BY {names}"
    yield f"DROP ROLE {names}"


def opening(session: str) -> str:
    """How a session begins."""
    more = (f"SET statement_timeout = {literal(PATIENCE)}" if session == ADMINISTRATOR
            else f"SET SESSION AUTHORIZATION {ROLE_PREFIX}{role_of(session)}")  # fmt: skip
    return f"setup\t\t{{ SET client_min_messages = warning; {more}; }}"


def renamed(role: Role) -> Role:
    """A role as it is called on the server."""
    return role._replace(name=ROLE_PREFIX + role.name, member_of=tuple(ROLE_PREFIX + group for group in role.member_of))


def written(step: Step) -> Iterator[str]:
    """A step, over as many lines as its statement has."""
    if "\n" in step.sql:
        yield from (f"step {step.name}", "{", indent(f"{step.sql};", "    "), "}")
    else:
        yield f"step {step.name}\t{{ {step.sql}; }}"


def wrapped(words: Sequence[str]) -> list[str]:
    """A permutation."""
    text = " ".join(["permutation", *words])
    return wrap(text, WIDTH, subsequent_indent="\t", break_long_words=False, break_on_hyphens=False)
