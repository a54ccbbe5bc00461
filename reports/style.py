"""How figures look: colours that the colour-blind can tell apart (Okabe and Ito's), and shapes for print."""

from typing import Any

BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
INK, GREY, PALE = "#222222", "#767676", "#E4E4E4"

COLOURS = {"shared": BLUE, "not durable": BLUE, "durable": ORANGE, "stock": VERMILLION, "floor": GREEN}
LINES = {"shared": "-", "not durable": "-", "durable": "-.", "stock": "--", "floor": ":"}
MARKERS = {"shared": "o", "not durable": "o", "durable": "D", "stock": "s", "floor": "^"}
SPARE = ((ORANGE, "-.", "D"), (PURPLE, (0, (5, 1, 1, 1, 1, 1)), "v"), (GREY, (0, (1, 3)), "x"))

VERDICT_COLOURS = {"met": BLUE, "missed": VERMILLION, "none": GREY}
VERDICT_MARKERS = {"met": "o", "missed": "X", "none": "D"}

OUTCOME_COLOURS = {"restored whole": BLUE, "refused as expected": ORANGE, "against the model": VERMILLION}
OUTCOME_MARKERS = {"restored whole": "o", "refused as expected": "D", "against the model": "X"}

FATE_COLOURS = {"restored whole": BLUE, "copy not restored": VERMILLION, "stop said no": "#F6DFA8"}
FATE_SIGNS = {"restored whole": "✓", "copy not restored": "✗", "stop said no": "–"}  # noqa: RUF001

MUTANT_COLOURS = {
    "killed": BLUE,
    "survived": VERMILLION,
    "hung": PURPLE,
    "broken": ORANGE,
    "does not apply": "#F6DFA8",
    "equivalent": PALE,
    "not run": "white",
}
MUTANT_HATCHES = {"survived": "////", "hung": "xxxx", "does not apply": "...."}
ORIGIN_COLOURS = {"hand-written": BLUE, "generated": ORANGE}
ORIGIN_LINES = {"hand-written": "-", "generated": "--"}
SIDE_COLOURS, SIDE_MARKERS = (BLUE, ORANGE), ("o", "s")

RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 150,
    "svg.hashsalt": "shared-backup-bench",  # the same figure twice is the same file
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def look(candidate: str, others: int = 0) -> dict[str, Any]:
    """Colour, line and marker of a candidate; ``others``: how many strangers came before it."""
    if candidate in COLOURS:
        return {"color": COLOURS[candidate], "linestyle": LINES[candidate], "marker": MARKERS[candidate]}
    colour, line, marker = SPARE[others % len(SPARE)]
    return {"color": colour, "linestyle": line, "marker": marker}


def looks(candidates: list[str]) -> dict[str, dict[str, Any]]:
    """The looks of all candidates of a figure."""
    strangers = [name for name in candidates if name not in COLOURS]
    return {name: look(name, strangers.index(name) if name in strangers else 0) for name in candidates}
