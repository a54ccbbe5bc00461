"""The page to mail, and the same as plain text."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import fill

from harness.schema.exploration import Counterexample, Verdict
from harness.schema.run import Circumstances
from reports.designs import matrix
from reports.designs.page import environment_of_designs
from reports.questions.answers import EXPLORE, SIMULATE, VERIFY, Answer, answers, made_by
from reports.questions.peers import BILL, PROMISES, SCRIPT, UNKNOWN, Peer, peers
from reports.questions.sources import Sources, find_sources
from reports.reading import Unreadable
from reports.words import commit, moment

PAGE, TEXT = "questions.html", "questions.txt"
SHOWN = {"Q3": ("catalog", "success_can_be_restored")}
"""A counterexample to show with an answer, by design and promise."""
WIDTH = 76
"""Letters in a line of a mail."""
MARKS = {
    Verdict.HOLDS: "kept",
    Verdict.UNCLAIMED: "kept, not claimed",
    Verdict.NO: "broken",
    Verdict.BROKEN: "CLAIMED AND BROKEN",
}
SCRIPT_TOLD = f"({SCRIPT}: core's functions, with a psql held open for each backup, and its state in a table.)"
TITLE = "Backups in shared memory: the thread's questions, and what was found"
HEADINGS = [*PROMISES.values(), *(column.heading for column in BILL)]


def write_questions(places: list[Path], output: Path) -> Path:
    """Answers the questions with what is in these folders; returns the page. Raises Unreadable."""
    found = find_sources(places)
    every = answers(found)
    html = questions_page(found, every)
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / TEXT).write_text(questions_text(found, every), encoding="utf-8")
        (output / PAGE).write_text(html, encoding="utf-8")
    except OSError as error:
        raise Unreadable(
            f"The answers cannot be written to {output} ({error.strerror}): name another folder with --output."
        ) from None
    return output / PAGE


def questions_page(found: Sources, every: list[Answer]) -> str:
    """The page."""
    return (
        environment_of_designs()
        .get_template("questions.html.j2")
        .render(
            every=every,
            runs=runs(found),
            peers=peers(found),
            title=TITLE,
            headings=HEADINGS,
            script=SCRIPT,
            shown={number: one for number, names in SHOWN.items() if (one := shown(found, *names)) is not None},
            made_by=f"{EXPLORE}; {found.fleet.command if found.fleet else SIMULATE}",
            explore=EXPLORE,
        )
    )


def shown(found: Sources, design: str, promise: str) -> Counterexample | None:
    """That counterexample, if it was found."""
    judged = found.exploration.exploration.judgements if found.exploration else ()
    return next((one.counterexample for one in judged if (one.design, one.promise) == (design, promise)), None)


def runs(found: Sources) -> list[tuple[str, str, str]]:
    """What the answers are made of: the command, when it ran, and on what commit."""
    ran: list[tuple[str, Circumstances | None]] = [
        (EXPLORE, found.exploration.exploration if found.exploration else None),
        *((made_by(one), one) for one in (found.memory, found.storage) if one),
        *((one.command, one) for one in (found.fleet, found.ttl) if one),
        (VERIFY, found.restarts),
    ]
    told = {(command, one.when): one for command, one in ran if one is not None}
    return [(command, moment(one.when), commit(one)) for (command, _), one in told.items()]


def questions_text(found: Sources, every: list[Answer]) -> str:
    """The same as plain text."""
    return "\n".join(lines(found, every)) + "\n"


def lines(found: Sources, every: list[Answer]) -> Iterator[str]:
    """Its lines."""
    yield from (TITLE, "=" * len(TITLE))
    for one in every:
        yield from ("", f"{one.number}. {one.title}", *wrapped(one.asked), "")
        if one.promises:
            yield from (*verdict_lines(one.promises), f"    [{EXPLORE}]")
        for said in one.said:
            yield from (*wrapped(said.words, "- "), f"    [{said.command}]")
        for missing in one.missing:
            yield from wrapped(f"Missing: {missing.what}. `{missing.command}` makes them.", "- ")
    if rows := peers(found):
        yield from ("", "All of them", "")
        yield from (line for row in rows for line in peer_lines(row))
        yield from wrapped(SCRIPT_TOLD)
        yield from wrapped(f"[{EXPLORE}; {found.fleet.command if found.fleet else SIMULATE}]", "    ")
    yield from ("", "Made by", *(f"  {command}: {when}, {of}" for command, when, of in runs(found)))


def wrapped(words: str, first: str = "") -> list[str]:
    """A paragraph."""
    return fill(words, WIDTH, initial_indent=first, subsequent_indent=" " * len(first)).splitlines()


def verdict_lines(rows: Sequence[matrix.Row]) -> Iterator[str]:
    """A paragraph for each promise: who keeps it, and who does not."""
    for row in rows:
        groups: dict[str, list[str]] = {}
        for cell in row.cells:
            groups.setdefault(MARKS[cell.verdict] + (" so far" if cell.so_far else ""), []).append(
                cell.judgement.design
            )
        told = "; ".join(f"{mark}: {', '.join(names)}" for mark, names in groups.items())
        yield from wrapped(f"{row.title}: {told}.", "- ")


def peer_lines(row: Peer) -> Iterator[str]:
    """A row of the table, as a paragraph."""
    verdicts = [UNKNOWN if one is None else MARKS[one] for one in row.kept]
    told = [f"{heading}: {words}" for heading, words in zip(HEADINGS, [*verdicts, *row.bill], strict=True)]
    yield from wrapped(f"{row.name}: {'; '.join(told)}.", "- ")
