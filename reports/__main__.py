"""The report: turns a results folder into a page, a summary to paste, and figures.

    nox -s report -- [FOLDER] [--compare BEFORE AFTER] [--questions [FOLDER ...]] [--output DIR]

Exit status: 0 it is written; 2 there is nothing to make it of, and one sentence says why.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reports.questions.page import write_questions
from reports.reading import Unreadable
from reports.report import write_comparison, write_report

OUT = Path(__file__).parent / "out"
LATEST = OUT / "latest"
WRITTEN, NOTHING = 0, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a report; returns the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        if chosen.questions is not None:
            page = write_questions(chosen.questions or [OUT], chosen.output or OUT)
        elif chosen.compare:
            before, after = chosen.compare
            page = write_comparison(before, after, chosen.output)
        else:
            page = write_report(chosen.folder or LATEST, chosen.output)
    except Unreadable as error:
        print(error, file=sys.stderr)
        return NOTHING
    print(f"Report: {page}")
    return WRITTEN


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="nox -s report --", description="Turns results into a page, a summary and figures."
    )
    what = result.add_mutually_exclusive_group()
    what.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER", help="the results folder (default: reports/out/latest)"
    )
    what.add_argument(
        "--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"), help="two results folders, side by side"
    )
    what.add_argument(
        "--questions",
        nargs="*",
        type=Path,
        metavar="FOLDER",
        help="the thread's questions, answered by the newest results in these folders (default: all of reports/out)",
    )
    result.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where to write (default: into the results folder; a comparison: into a folder in AFTER; "
        "the questions: into reports/out)",
    )
    return result


if __name__ == "__main__":
    sys.exit(main())
