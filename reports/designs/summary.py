"""The summary of an exploration: Markdown to paste into a mail."""

from collections.abc import Iterator

from harness.schema.exploration import Step, Verdict
from harness.schema.replays import Verdict as Replayed
from reports.designs.folder import Explored
from reports.designs.matrix import Row, doing, rows, under_way, who
from reports.designs.page import CONCLUSIONS
from reports.summary import joined, table
from reports.words import commit, duration, machine, moment

SIGNS = {Verdict.HOLDS: "kept", Verdict.UNCLAIMED: "(kept)", Verdict.NO: "no", Verdict.BROKEN: "**BROKEN**"}
LEGEND = (
    "kept: claimed and kept; (kept): not claimed, and not broken; no: not claimed, and broken; …: as far as was looked"
)


def designs_summary(found: Explored) -> str:
    """The summary."""
    run, every = found.exploration, rows(found.exploration)
    states, transitions = sum(one.states for one in run.explored), sum(one.transitions for one in run.explored)
    head = ["promise", *(design.name for design in run.designs)]
    cells = [[row.title, *(SIGNS[cell.verdict] + ("…" if cell.so_far else "") for cell in row.cells)] for row in every]
    return joined(
        [
            "## Which design keeps which promise",
            f"**{CONCLUSIONS[run.verdict]}** ({states:,} situations, {transitions:,} transitions).",
            table(head, cells),
            f"({LEGEND}.)",
            *broken_claims(every),
            *on_a_server(found),
            f"`nox -s explore`, {commit(run)}, {moment(run.when)}, {duration(run.seconds)}; {machine(run)}.",
        ]
    )


def broken_claims(every: list[Row]) -> Iterator[str]:
    """What is claimed and broken, step by step."""
    for row in every:
        for cell in row.cells:
            one = cell.judgement.counterexample
            if cell.verdict is Verdict.BROKEN and one is not None:
                steps = "\n".join(map(in_a_line, one.steps))
                yield f"{cell.judgement.design} claims “{row.promise.sentence}” and breaks it:\n\n{steps}"


def in_a_line(step: Step) -> str:
    """A step."""
    by, phase = f"{who(step)}: " if who(step) else "", f" [{step.phase}]" if step.phase else ""
    return f"{step.number}. {by}{doing(step)}{phase}: {'under way' if under_way(step) else step.outcome}"


def on_a_server(found: Explored) -> Iterator[str]:
    """What was replayed."""
    if found.replays is None:
        return
    tried = found.replays.tried()
    agree = [one for one in tried if one.verdict is Replayed.AGREES]
    server = f"**On PostgreSQL {found.replays.postgresql}**"
    yield f"{server}: {len(agree)} of {len(tried)} histories came out as the model says."
    if against := [one for one in tried if one.verdict is Replayed.DISAGREES]:
        yield "\n".join(f"- {one.design}, {one.promise}: {one.why}" for one in against)
