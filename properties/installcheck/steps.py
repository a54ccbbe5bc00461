"""The steps of PostgreSQL's isolation tester for a history: who does what, when it is held, and how the view looks."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from model.operations import Connect, Operation, SetLimit, SetPolicy, Start
from properties.installcheck.histories import Foretold, History, Move, Part
from properties.installcheck.statements import Sent, UnspeakableError, clearing, look, named, setting, statement
from properties.recording.scripts import literal

ADMINISTRATOR = "admin"
VIEW, RELOAD, CHECKPOINT, WORK = "view", "reload", "checkpoint", "work"


class Step(NamedTuple):
    """A step of the tester's."""

    name: str
    session: str
    sql: str


class Taken(NamedTuple):
    """A step in its place."""

    step: Step
    marker: str = ""
    """What the tester is to know of when it ends."""
    told: Foretold | None = None
    """What the model says of it: of the view, how it looks then; of a checkpoint, what the start that it lets go comes
    to; of others, what they come to."""

    @property
    def word(self) -> str:
        """As a permutation has it."""
        return self.step.name + self.marker


def steps_of(history: History, labels: Sequence[str]) -> list[Taken]:
    """The steps of a permutation; ``labels``: what the view is to show. Raises UnspeakableError."""
    sessions, found, begun = sessions_of(history), list[Taken](), False
    for told in history.foretold():
        operation = told.move.operation
        if isinstance(operation, SetLimit | SetPolicy):
            if begun:
                raise UnspeakableError("a setting is changed while there are backups")
            found += changing(operation)
        elif not isinstance(operation, Connect):
            found += taking(told, sessions)
            begun = True
            held = any(one.step.name == WORK for one in found)
            if held or not history.holds:
                found.append(Taken(Step(VIEW, ADMINISTRATOR, look(labels)), told=told))
    return [*found, *resetting(history, labels)]


def taking(told: Foretold, sessions: dict[int, str]) -> Iterator[Taken]:
    """The steps of a move."""
    move, operation = told.move, told.move.operation
    if not isinstance(operation, Sent):
        raise UnspeakableError(f"there is no statement for {operation}")
    session = sessions[operation.session]
    step = Step(step_name(session, move), session, statement(operation, held=move.part is not Part.WHOLE))
    if move.part is Part.BEGINS:
        yield Taken(Step(WORK, ADMINISTRATOR, "UPDATE iso_work SET i = -i"))
        yield Taken(step, "(*)")
        yield Taken(arriving(operation))
    elif move.part is Part.ENDS:
        yield Taken(Step(CHECKPOINT, ADMINISTRATOR, "CHECKPOINT"), f"({step.name})", told)
    else:
        yield Taken(step, told=told)


def changing(operation: SetLimit | SetPolicy) -> Iterator[Taken]:
    """A setting is changed, for everybody."""
    name, value = setting(operation)
    sql = f"ALTER SYSTEM SET shared_backup.{name} = {literal(value)}"
    yield Taken(Step(f"{name}_{value.replace('-', 'minus_')}", ADMINISTRATOR, sql))
    yield Taken(Step(RELOAD, ADMINISTRATOR, "CALL iso_load()"))


def resetting(history: History, labels: Sequence[str]) -> Iterator[Taken]:
    """What has been changed is put back: a teardown is a transaction, in which that cannot be done."""
    names = dict.fromkeys(setting(one.operation)[0] for one in history.moves
                          if isinstance(one.operation, SetLimit | SetPolicy))  # fmt: skip
    if names:
        yield Taken(Step("clear", ADMINISTRATOR, clearing(labels)))
    for name in names:
        yield Taken(Step(f"reset_{name}", ADMINISTRATOR, f"ALTER SYSTEM RESET shared_backup.{name}"))
    if names:
        yield Taken(Step(RELOAD, ADMINISTRATOR, "CALL iso_load()"))


def arriving(operation: Operation) -> Step:
    """Waits until the start has reserved its label."""
    assert isinstance(operation, Start)
    sql = (
        "DO $$ BEGIN\n"
        "  WHILE NOT EXISTS (SELECT FROM shared_backups\n"
        f"    WHERE label = {named(operation.label)} AND state = 'starting')\n"
        "  LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"
    )
    return Step(f"starting_{operation.label}", ADMINISTRATOR, sql)


def sessions_of(history: History) -> dict[int, str]:
    """The tester's sessions, by the numbers of the history's: named by their roles. Raises UnspeakableError."""
    found: dict[int, str] = {}
    for move in history.moves:
        if isinstance(one := move.operation, Connect):
            if one.session in found:
                raise UnspeakableError("a session connects a second time")
            alike = [name for name in found.values() if role_of(name) == one.role]
            found[one.session] = one.role + f"_{len(alike) + 1}" * bool(alike)
    return found


def role_of(session: str) -> str:
    """The role of a session of the tester's."""
    return session.partition("_")[0]


def step_name(session: str, move: Move) -> str:
    """What a step is called: who does what, to which label, and to which start of it."""
    operation = move.operation
    kind = type(operation).__name__.lower().replace("stock", "own_")
    words = [session, *["slow"] * (move.part is not Part.WHOLE), kind]
    words += [label] if (label := getattr(operation, "label", None)) else []
    if (fence := getattr(operation, "start_point", None)) is not None:
        words.append(f"of_{fence or 'nobody'}")
    return "_".join(words)
