"""Lines and branches of the extension that a campaign has reached, by file."""

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.schema.c_coverage import CCoverage, File, Kind, Share
from reports.c_coverage import gaps
from reports.figures.picture import Picture, picture
from reports.style import BLUE, ORANGE, VERMILLION

BAR = 0.62
COLOURS = (BLUE, ORANGE, VERMILLION)
HATCHES = ("", "////", "xxxx")
NAMES = ("reached", "not reached, with a reason", "not reached, without a reason")


def c_coverage_pictures(found: CCoverage) -> Iterator[Picture]:
    """One figure, with a row for each file."""
    yield picture(
        "c-coverage",
        "Lines and branches of the extension, by file",
        "Left: lines with code. Right: branches, where the source itself decides something; those of a line that was "
        "not reached count as not reached. The number is that of what was not reached, of all there are. The table "
        "below has each, with its reason.",
        lambda: draw(found),
    )


def draw(found: CCoverage) -> Figure:
    """Two panels that share their rows."""
    files = sorted(found.files, key=lambda file: -file.lines.all)
    figure = Figure(figsize=(11.5, 1.5 + 0.3 * len(files)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    draw_shares(left, [file.lines for file in files], [without_reason(found, file, Kind.LINES) for file in files])
    draw_shares(
        right, [file.branches for file in files], [without_reason(found, file, Kind.BRANCHES) for file in files]
    )
    left.set_xlabel(f"lines ({found.lines.reached:,} of {found.lines.all:,} reached)")
    right.set_xlabel(f"branches ({found.branches.reached:,} of {found.branches.all:,} reached)")
    left.set_yticks(range(len(files)), [file.name for file in files])
    left.set_ylim(len(files) - 0.4, -0.6)
    patches = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=name)
        for colour, hatch, name in zip(COLOURS, HATCHES, NAMES, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=3)
    return figure


def without_reason(found: CCoverage, file: File, kind: Kind) -> int:
    """How many of a file's lines or branches are not reached and have no reason, of their own or of their lines."""
    bare = [one for gap in gaps(found) if gap.file == file.name and not gap.reason for one in gap.unreached]
    return sum(one.number if one.kind is kind else one.within * (kind is Kind.BRANCHES) for one in bare)


def draw_shares(axes: Axes, shares: Sequence[Share], bare: Sequence[int]) -> None:
    """A bar for each file, in parts, and the number that was not reached."""
    longest = max([share.all for share in shares] + [1])
    for y, (share, number) in enumerate(zip(shares, bare, strict=True)):
        missed = share.all - share.reached
        left = 0
        for part, colour, hatch in zip((share.reached, missed - number, number), COLOURS, HATCHES, strict=True):
            axes.barh(y, part, BAR, left, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
            left += part
        axes.annotate(f"{missed:,} of {share.all:,}", (share.all, y), (4, 0), textcoords="offset points", va="center",
                      fontsize=8)  # fmt: skip
    axes.set_xlim(0, 1.2 * longest)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.grid(axis="y", visible=False)
