"""The questions of the thread, with what the results say: sentences, verdicts of promises, figures, tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.schema.benchmarks import Benchmark, Benchmarks
from harness.schema.simulation import Bill
from reports.campaign import ends_of
from reports.designs.matrix import Row, rows
from reports.figures.memory import memory_of, memory_pictures
from reports.figures.picture import Picture
from reports.figures.simulation import in_time, simulation_pictures
from reports.figures.survival import survival_pictures
from reports.questions.sources import DYNAMIC, FIXED, Sources
from reports.simulation import TTL, base, curves
from reports.survival import parts
from reports.words import digits, in_bytes, ratio_name, ratio_words

EXPLORE, MEMORY, SIMULATE, VERIFY = "nox -s explore", "nox -s bench -- -k memory", "nox -s simulate", "nox -s verify"
STORAGE = "nox -s bench -- --full"
SWEEP = "nox -s simulate -- --sweep ttl=600,3600,14400,43200 --sweep renewals=0,3"


@dataclass(frozen=True)
class Said:
    """A sentence with figures, and the command that made them."""

    words: str
    command: str


@dataclass(frozen=True)
class Missing:
    """What there are no results of, and the command that makes them."""

    what: str
    command: str


@dataclass(frozen=True)
class Answer:
    """A question, and all that is known of it."""

    number: str
    title: str
    asked: str
    """As the thread has it."""
    said: tuple[Said, ...]
    promises: tuple[Row, ...]
    """What each design promises about it, and keeps."""
    pictures: tuple[Picture, ...]
    missing: tuple[Missing, ...]


@dataclass(frozen=True)
class Question:
    """What is asked, and which promises are about it."""

    number: str
    title: str
    asked: str
    promises: tuple[str, ...]


QUESTIONS = (
    Question(
        "Q1",
        "Preallocated or dynamic memory?",
        "A limit on concurrent backups: shared memory set aside for a maximum, or a dynamic table without one?",
        ("live_backups_are_bounded", "limit_is_kept", "oldest_results_go_first"),
    ),
    Question(
        "Q2",
        "When is a backup dead?",
        "Backups that nobody stops: after what time, if at all, does the server give one up?",
        ("nothing_is_open_for_ever", "nothing_outlives_its_deadline", "deadlines_are_as_told", "a_slow_copy_can_go_on"),
    ),
    Question(
        "Q3",
        "What of a restart?",
        "A restart purges shared memory: does the state belong in a catalogue table instead?",
        ("survives_a_restart", "a_loss_is_told", "success_can_be_restored", "core_counts_what_runs"),
    ),
    Question(
        "Q4",
        "Whose backup is it?",
        "May another role stop a backup and read its label file: a role check, or is EXECUTE enough?",
        ("any_session_stops_it", "only_the_owner_ends_it", "label_files_are_for_those_who_may_stop", "fence_holds"),
    ),
    Question(
        "Q5",
        "What does holding sessions open cost a fleet?",
        "A session per backup, over thousands of servers: what is the bill?",
        ("outlives_its_session", "it_holds_no_connection", "stop_can_be_asked_again"),
    ),
)


def answers(found: Sources) -> list[Answer]:
    """All questions, in their order."""
    makers = (of_memory, of_deadlines, of_restarts, of_roles, of_fleets)
    return [answer(question, found, list(make(found))) for question, make in zip(QUESTIONS, makers, strict=True)]


Part = Said | Missing | Picture
"""What an answer is made of."""


def answer(question: Question, found: Sources, parts: Sequence[Part]) -> Answer:
    """A question with these parts, and the verdicts on its promises."""
    kept, lost = promises(question, found)
    parts = [*keepers(kept), *parts]
    return Answer(
        question.number,
        question.title,
        question.asked,
        tuple(one for one in parts if isinstance(one, Said)),
        kept,
        tuple(one for one in parts if isinstance(one, Picture)),
        (*lost, *(one for one in parts if isinstance(one, Missing))),
    )


def promises(question: Question, found: Sources) -> tuple[tuple[Row, ...], tuple[Missing, ...]]:
    """The rows of the matrix that are about it; without an exploration, what makes one."""
    if found.exploration is None:
        return (), (Missing("which designs keep which promises", EXPLORE),)
    every = {row.promise.name: row for row in rows(found.exploration.exploration)}
    return tuple(every[name] for name in question.promises if name in every), ()


def keepers(every: Sequence[Row]) -> Iterator[Said]:
    """Which designs keep all of these promises."""
    if every:
        broken = {cell.judgement.design for row in every for cell in row.broken}
        names = [cell.judgement.design for cell in every[0].cells if cell.judgement.design not in broken]
        yield Said(f"All of these are kept by {', '.join(names) or 'no design'}.", EXPLORE)


# Q1


def of_memory(found: Sources) -> Iterator[Part]:
    """Memory, and latency, of both ways."""
    if found.memory is None:
        yield Missing("what an open backup costs in memory", MEMORY)
    else:
        yield from memory_said(found.memory)
        yield next(memory_pictures(found.memory))
    if found.storage is None:
        yield Missing("preallocated beside dynamic memory", STORAGE)
        return
    both = [one for one in found.storage.benchmarks if {FIXED, DYNAMIC} <= one.candidates.keys()]
    yield from dict.fromkeys(said for one in both for said in storage_said(one, found.storage))


def memory_said(run: Benchmarks) -> Iterator[Said]:
    """What an open backup costs."""
    measured = memory_of(run)
    assert measured is not None
    one, cost = measured
    first = "" if cost.first is None else f" The first backup of a server takes {in_bytes(cost.first)}."
    yield Said(
        f"In dynamic memory an open backup takes {in_bytes(cost.shared)} (of {digits(number(one, 'open'))} open ones); "
        f"a session held open for each takes {in_bytes(cost.stock)}.{first}",
        made_by(run),
    )


def storage_said(one: Benchmark, run: Benchmarks) -> Iterator[Said]:
    """Both ways, in one benchmark."""
    for ratio in one.ratios:
        if {ratio.candidate, ratio.against} == {FIXED, DYNAMIC}:
            room = f" with room for {digits(number(one, 'room'))}" if "room" in one.parameters else ""
            yield Said(f"{one.title}{room}: {ratio_name(ratio)} = {ratio_words(ratio)}.", made_by(run))
    reserved = {name: one.values.get(f"{name}: bytes reserved at start") for name in (FIXED, DYNAMIC)}
    if None not in reserved.values():
        told = ", ".join(f"{name} {in_bytes(size)}" for name, size in reserved.items() if size is not None)
        yield Said(f"Reserved when the server starts: {told}.", made_by(run))


def number(one: Benchmark, name: str) -> float:
    """A parameter that is a number; zero, if there is none."""
    value = one.parameters.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def made_by(run: Benchmarks) -> str:
    """The command of a run of the benchmarks."""
    chosen = [*(["--full"] if run.mode == "full" else []), *([f"-k {run.selection!r}"] if run.selection else [])]
    return " ".join(["nox -s bench", *(["--", *chosen] if chosen else [])])


# Q2


def of_deadlines(found: Sources) -> Iterator[Part]:
    """Orphans against false expiries, over the time to live."""
    if found.ttl is None:
        yield Missing("hours that orphans stay open against false expiries, over the time to live", SWEEP)
        return
    way, some = curves(found.ttl)
    for curve in some:
        (short, least), *_, (long, most) = curve.points
        yield Said(
            f"{way}, {curve.name}: {expired(short, least)}; {expired(long, most)}.",
            found.ttl.command,
        )
    yield from (one for one in simulation_pictures(found.ttl) if one.name.endswith(TTL))


def expired(ttl: float, bill: Bill) -> str:
    """What a time to live costs."""
    return (
        f"with a time to live of {in_time(ttl)} orphans stay open for {digits(bill.orphan_hours)} hours in all, and "
        f"{bill.causes.get('expiry', 0):,} backups expire whose copy is under way"
    )


# Q3


def of_restarts(found: Sources) -> Iterator[Part]:
    """What real servers made of backups that met a restart."""
    if found.restarts is None:
        yield Missing("backups that met a restart, restored on real servers", VERIFY)
        return
    for one in parts(ends_of(found.restarts)):
        for row in one.rows:
            fates = ", ".join(f"{fate} {count:,}" for fate, count in row.fates.items())
            yield Said(f"{row.name}: {fates}.", VERIFY)
    yield from survival_pictures(found.restarts)


# Q4


def of_roles(found: Sources) -> Iterator[Part]:
    """The promises say it all."""
    yield from ()


# Q5


def of_fleets(found: Sources) -> Iterator[Part]:
    """The bill of a fleet."""
    if found.fleet is None:
        yield Missing("the bill of a simulated fleet", SIMULATE)
        return
    point = base(found.fleet)
    assert point is not None
    days = found.fleet.parameters.get("days")
    for one in point.bills:
        yield Said(
            f"{one.way}: of {one.servers:,} servers in {days:g} days, {one.connections_peak:,} connections are held at "
            f"once at most; {digits(one.repeated_hours)} hours of copying are repeated; {one.useless:,} backups are "
            "handed out that do not restore.",
            found.fleet.command,
        )
    yield from (one for one in simulation_pictures(found.fleet) if one.name.endswith("bill"))
