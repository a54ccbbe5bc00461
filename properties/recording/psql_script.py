"""A counterexample as a script for psql, by session."""

from collections.abc import Iterator

from harness.clients.implementation import Capability
from harness.schema.counterexample import Counterexample, Step
from properties.recording.scripts import (
    aborting,
    about,
    attaching,
    changed_settings,
    dropping_roles,
    in_one_line,
    named_starts,
    needs_instruments,
    objection,
    preparation,
    roles,
    tried,
    waking,
)

# A new session knows of settings that were changed before it connected: the server tells everybody first.
ONE_PSQL = "psql -X -f runs it. Where another session has its turn, psql connects anew, which ends the one before."
MANY = """\
Here a session has something to lose, or waits, while others have their turn: paste what each of them says into a psql
of its own. (psql's variables, such as :'start_1_token', are to be set in each.)"""


def psql_script(one: Counterexample) -> str:
    """The script."""
    return "\n".join(lines(one)) + "\n"


def lines(one: Counterexample) -> Iterator[str]:
    """Its lines."""
    single, instruments = in_one_psql(one), needs_instruments(one)
    yield from (f"-- {line}".rstrip() for line in about(one))
    yield from (f"-- {line}" for line in (ONE_PSQL if single else MANY).splitlines())
    if instruments:
        yield "-- It needs the extension built with INSTRUMENTS=1."
    yield from ("", r"\encoding UTF8", r"\set VERBOSITY verbose", r"\set ON_ERROR_STOP on", "")
    yield from (f"{statement};" for statement in preparation(one, instruments=instruments))
    yield r"\set ON_ERROR_STOP off"
    yield from Sections(one, single).lines()
    yield from clearing_up(one)


def in_one_psql(one: Counterexample) -> bool:
    """Does nobody lose anything who is left while others have their turn?"""
    bound = one.implementation.design.get("session_bound") or any(step.operation == "StockStart" for step in tried(one))
    turns = [step.who for number, step in enumerate(tried(one)) if number == 0 or step.who != one.steps[number - 1].who]
    comes_again = len(turns) > len(set(turns))
    phases = any(step.phase for step in tried(one))
    return not phases and not (bound and comes_again) and not connected(one) & dropped(one)


def connected(one: Counterexample) -> set[object]:
    """The roles of sessions."""
    return {step.given["role"] for step in tried(one) if step.operation == "Connect"}


def dropped(one: Counterexample) -> set[object]:
    """The roles that are dropped: whoever has one and comes again could not become it any more."""
    return {step.given["role"] for step in tried(one) if step.operation == "DropRole"}


class Sections:
    """What each session says in its turn."""

    def __init__(self, one: Counterexample, single: bool) -> None:
        self.one = one
        self.single = single
        self.speaker = ""
        """Who has had the last word; empty: nobody that goes on."""
        self.users: dict[object, str] = {}
        """Of the sessions, by number."""
        self.waiting: dict[str, str] = {}
        """Where operations wait, by what they are."""

    def lines(self) -> Iterator[str]:
        """All of it, and a last look at the view."""
        for number, step in enumerate(tried(self.one), start=1):
            if step.phase and self.one.points and not any(one.phase for one in self.one.steps[: number - 1]):
                yield from self.turn("an administrator", f"step {number}, an administrator")
                yield from (attaching(point, label) for point, label in self.one.points)
            yield from self.step(number, step)
        if view := self.one.implementation.view:
            yield from self.turn("an administrator", "an administrator looks at what there is")
            yield f"{view};"

    def turn(self, who: str, title: str, session: object = None) -> Iterator[str]:
        """Somebody has the word."""
        yield f"\n-- {title}:"
        if self.single and who != self.speaker:
            yield r"\connect -"
            if session in self.users:
                yield f"SET SESSION AUTHORIZATION {self.users[session]};"
        self.speaker = who

    def step(self, number: int, step: Step) -> Iterator[str]:
        """A step, and what came of it."""
        session, key = step.given.get("session"), f"{step.operation} {step.arguments}"
        if step.operation == "Connect" and step.sql:
            self.users[session] = str(step.given["role"])
            self.speaker = "" if self.single else self.speaker
        if step.phase > 1:
            yield from self.turn("an administrator", f"step {number}, {step.who} goes on")
            yield waking(self.waiting[key], step.given.get("label"))
        else:
            yield from self.turn(step.who, f"step {number}, {step.who}", session)
            yield from self.said(step)
        if step.until is not None:
            self.waiting[key] = step.until
        if step.operation in ("Restart", "Disconnect"):
            self.speaker = ""
        if step.operation == "Restart":
            self.users.clear()
        if step.operation == "Disconnect":
            self.users.pop(session, None)
        yield f"--   {in_one_line(step.came)}"
        if number == self.one.failed:
            yield f"--   {objection(self.one)}"

    def said(self, step: Step) -> Iterator[str]:
        """What is sent, as psql is to send it."""
        match step.operation:
            case "Connect":
                if step.sql and not self.single:
                    yield f"SET SESSION AUTHORIZATION {step.given['role']};"
            case "Disconnect":
                if step.sql and not self.single:
                    yield r"\quit"
            case "Restart":
                yield rf"\prompt 'Restart the server ({how(step)}), then press Enter: ' answer"
            case _:
                start = started(self.one, step)
                for text in step.sql:
                    if start in named_starts(self.one) and text not in ("BEGIN", "ROLLBACK"):
                        yield from self.remembering(start, text)
                    else:
                        yield f"{text};"

    def remembering(self, number: int | None, start: str) -> Iterator[str]:
        """A start that is named later on."""
        columns = "start_lsn, token" if Capability.TOKENS in self.one.implementation.capabilities else "start_lsn"
        yield rf"SELECT * FROM ({start}) AS start_{number} ({columns}) \gset start_{number}_"
        yield r"\echo " + " ".join(f":start_{number}_{column}" for column in columns.split(", "))


def started(one: Counterexample, step: Step) -> int | None:
    """The number of the start that a step begins, perhaps to be taken in a later phase."""
    phases = [other for other in tried(one) if (other.operation, other.arguments) == (step.operation, step.arguments)]
    return step.start if not step.phase else next((other.start for other in phases if other.start is not None), None)


def clearing_up(one: Counterexample) -> Iterator[str]:
    """Nothing is left behind."""
    yield from ("\n-- Clearing up:", r"\connect -")
    if one.points:
        yield "SELECT shared_backup_injection_point_detach();"
    if names := changed_settings(one):
        yield from (f"ALTER SYSTEM RESET {name};" for name in names)
        yield "SELECT pg_reload_conf();"
    if abort := aborting(one):
        yield f"{abort};"
    if roles(one):
        yield f"{dropping_roles(one)};"


def how(restart: Step) -> str:
    """The kind of a restart, and what else happens on its way."""
    return ", ".join(str(word) for word in restart.arguments.values() if word is not None)
