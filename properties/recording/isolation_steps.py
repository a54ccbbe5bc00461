"""The steps of PostgreSQL's isolation tester for those of a counterexample: see ``isolation_spec``."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.clients.implementation import Capability
from harness.schema.counterexample import Counterexample, Step
from properties.recording.scripts import (
    NAMED_START,
    SETTINGS,
    attaching,
    changed_settings,
    literal,
    named_starts,
    objection,
    tried,
    waking,
)

ADMINISTRATOR = "administrator"
PATIENCE = 30_000
"""Milliseconds for a session to end."""

STARTS = "counterexample_starts"
"""The table of the starts that are named later on."""


class UntellableError(Exception):
    """The isolation tester cannot be told this; says why, as the end of a sentence."""


@dataclass
class Part:
    """A step of the tester's."""

    name: str
    session: str
    sql: str
    marker: str = ""
    remarks: list[str] = field(default_factory=list)


def parts_of(name: str, session: str, statements: Sequence[str]) -> list[Part]:
    """A step for each statement."""
    numbers = [""] if len(statements) == 1 else [f"_{number}" for number in range(1, len(statements) + 1)]
    return [Part(f"{name}{number}", session, text) for number, text in zip(numbers, statements, strict=True)]


class Parts:
    """The steps of the tester's, in their order."""

    def __init__(self, one: Counterexample) -> None:
        self.one = one
        self.sessions: dict[object, str] = {}
        """Of the tester's, by the numbers of ours."""
        self.connected: Counter[object] = Counter()
        """How often ours have connected."""
        self.begun: dict[str, str] = {}
        """The name of the part that began an operation, by what it is."""
        self.waiting: dict[str, tuple[str, object]] = {}
        """Where operations wait, by what they are."""

    def all(self) -> Iterator[Part]:
        """All of them, a last look at the view, and what cannot be put back in a transaction."""
        for number, step in enumerate(tried(self.one), start=1):
            if step.phase and not any(before.phase for before in self.one.steps[: number - 1]):
                for count, place in enumerate(self.one.points, start=1):
                    yield Part(f"attach{count}", ADMINISTRATOR, attaching(*place).rstrip(";"))
            parts = self.step(f"step{number}_{step.operation.lower()}", step)
            parts[-1].remarks = [f"came: {step.came}"] + [objection(self.one)] * (number == self.one.failed)
            yield from parts
            if step.start in named_starts(self.one):
                yield self.remembering(number, step)
        if view := self.one.implementation.view:
            yield Part("view", ADMINISTRATOR, view)
        if self.one.points:
            yield Part("detach", ADMINISTRATOR, "SELECT shared_backup_injection_point_detach()")
        names = changed_settings(self.one)
        for count, name in enumerate(names, start=1):
            yield Part(f"reset{count}", ADMINISTRATOR, f"ALTER SYSTEM RESET {name}")
        if names:
            yield Part("reload", ADMINISTRATOR, "SELECT pg_reload_conf()")

    def step(self, name: str, step: Step) -> list[Part]:
        """One of ours: a part for each statement, at least one."""
        session = self.session(step)
        if step.phase > 1:
            return [self.going_on(name, step)]
        if not step.sql:
            return [Part(name, session, "SELECT 'nothing is sent'")]
        match step.operation:
            case "Connect":
                return [Part(name, session, f"SET SESSION AUTHORIZATION {step.given['role']}")]
            case "Disconnect":
                del self.sessions[step.given["session"]]
                return [Part(name, ADMINISTRATOR, terminating(session))]
            case operation if operation in SETTINGS:
                statements = [text.partition(";")[0] for text in step.sql]
                return [
                    *parts_of(name, ADMINISTRATOR, statements),
                    Part(f"{name}_loaded", ADMINISTRATOR, loading(self.one.implementation.settings_loaded)),
                ]
            case _:
                texts = [NAMED_START.sub(named_start, text) for text in step.sql]
                parts = parts_of(name, session, texts)
                return self.held(name, step, parts) if step.until else parts

    def session(self, step: Step) -> str:
        """Whose step it is."""
        number = step.given.get("session")
        if number is None:
            return "clock" if step.operation == "Advance" else ADMINISTRATOR
        if step.operation == "Connect" and step.sql:
            self.connected[number] += 1
            self.sessions[number] = f"s{number}" + f"_{self.connected[number]}" * (self.connected[number] > 1)
        return self.sessions.get(number, ADMINISTRATOR)

    def held(self, name: str, step: Step, parts: list[Part]) -> list[Part]:
        """An operation that is to wait at a point after its first phase."""
        part = parts[-1]
        part.sql, part.marker = f"/* {part.name} */ {part.sql}", "(*)"
        self.begun[key(step)] = part.name
        return [*parts, Part(f"{name}_arrived", ADMINISTRATOR, self.arriving(step))]

    def going_on(self, name: str, step: Step) -> Part:
        """The next phase of an operation that waits."""
        woken = waking(*self.waiting.pop(key(step)))
        return Part(name, ADMINISTRATOR, f"{woken} {self.arriving(step)}")

    def arriving(self, step: Step) -> str:
        """Waits until somebody more has come to where this operation is to wait, or it is through."""
        begun = literal(f"/* {self.begun[key(step)]} */%")
        over = [f"EXISTS (SELECT FROM pg_stat_activity WHERE state = 'idle' AND query LIKE {begun})"]
        if step.until is not None:
            place = step.until, None if step.operation == "Advance" else step.given.get("label")
            others = list(self.waiting.values()).count(place)
            self.waiting[key(step)] = place
            over.append(
                f"EXISTS (SELECT FROM shared_backup_injection_points() WHERE point = {literal(place[0])}"
                f" AND label IS NOT DISTINCT FROM {literal(place[1])} AND cardinality(waiting) > {others})"
            )
        return f"""DO $$
BEGIN
    WHILE NOT {" AND NOT ".join(over)} LOOP
        PERFORM pg_sleep(0.001), pg_stat_clear_snapshot();
    END LOOP;
END $$"""

    def remembering(self, number: int, step: Step) -> Part:
        """Remembers a start that is named later on, from the view: what a session writes it may roll back."""
        view = self.one.implementation.view
        if view is None:
            raise UntellableError("a start is named later on, and no view tells how")
        token = "token" if Capability.TOKENS in self.one.implementation.capabilities else "NULL"
        names = "label, state, owner, start_lsn, start_time, expires_at, stop_lsn, stop_time, from_standby"
        names += ", token" * (token == "token")
        return Part(
            f"step{number}_remembered",
            ADMINISTRATOR,
            f"INSERT INTO {STARTS} SELECT {step.start}, start_lsn, {token} FROM ({view}) AS shown ({names})"
            f" WHERE label = {literal(step.given['label'])}",
        )


def loading(settings_loaded: str | None) -> str:
    """Has the configuration loaded, and waits until every session has been told of it.

    The server tells one process after the other; it has told all of them when the next round has begun.
    ``settings_loaded``: see ``Implementation``.
    """
    if settings_loaded is None:
        return "SELECT pg_reload_conf(), pg_sleep(1)"
    return f"""DO $$
DECLARE loaded text;
BEGIN
    FOR round IN 1..2 LOOP
        loaded := ({settings_loaded});
        PERFORM pg_reload_conf();
        WHILE loaded IS NOT DISTINCT FROM ({settings_loaded})::text LOOP
            PERFORM pg_sleep(0.001);
        END LOOP;
    END LOOP;
END $$"""


def key(step: Step) -> str:
    """What an operation is."""
    return f"{step.operation} {step.arguments}"


def named_start(found: re.Match[str]) -> str:
    """A start that a statement names, as the table has it."""
    return f"(SELECT {found[2]} FROM {STARTS} WHERE number = {found[1]})"


def terminating(session: str) -> str:
    """Ends a session, and waits until it has gone."""
    name = literal(f"counterexample {session}")
    return f"SELECT pg_terminate_backend(pid, {PATIENCE}) FROM pg_stat_activity WHERE application_name = {name}"
