"""Numbers in words: three digits are enough for a person."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from harness.schema.benchmarks import Benchmark, Ratio, Spread
from harness.schema.campaign import Answer, Property
from harness.schema.mutants import Mutant
from harness.schema.run import Circumstances, Scalar
from reports.at_once import Fault, Histories, Orders
from reports.mutant_pairs import Pairs
from reports.mutants import TARGET_STEPS, Group
from reports.restores import OUTCOMES, Scenario
from reports.survival import Reason

LONGEST_QUOTE = 240  # letters


def digits(value: float) -> str:
    """Three significant digits; whole thousands are kept."""
    if value == 0 or abs(value) >= 1e15:
        return f"{value:g}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-4 else f"{value:.2e}"


def quantity(value: float, unit: str) -> str:
    """A value with its unit; bytes in the unit that suits them."""
    if unit == "bytes":
        return in_bytes(value)
    return f"{digits(value)} {unit}".strip()


def in_bytes(value: float) -> str:
    """``1.9 KiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{digits(value)} {unit}"


def spread(one: Spread, unit: str = "") -> str:
    """``1.03 (0.98 to 1.11)``."""
    if one.p5 == one.p95:
        return quantity(one.median, unit)
    return f"{quantity(one.median, unit)} ({digits_in(one.p5, unit)} to {digits_in(one.p95, unit)})"


def digits_in(value: float, unit: str) -> str:
    """Bytes need a unit of their own, other numbers share one."""
    return in_bytes(value) if unit == "bytes" else digits(value)


def ratio_digits(value: float) -> str:
    """Two decimals, so that 1.10 and 1.05 look alike; three digits where those say too little or too much."""
    return f"{value:.2f}" if 0.1 <= abs(value) < 100 else digits(value)


def ratio_words(one: Spread) -> str:
    """``1.03 (0.98 to 1.11)``."""
    if one.p5 == one.p95:
        return ratio_digits(one.median)
    return f"{ratio_digits(one.median)} ({ratio_digits(one.p5)} to {ratio_digits(one.p95)})"


def ratio_name(ratio: Ratio) -> str:
    """``shared / stock``."""
    return f"{ratio.candidate} / {ratio.against}"


def restores(found: Scenario) -> str:
    """``24 restored whole, 9 refused as expected, 1,203 torn pages survived, median 0.92 s, longest 2.10 s``."""
    counts = [f"{found.of(outcome):,} {outcome}" for outcome in OUTCOMES if found.of(outcome)]
    times = [f"median {found.median:.2f} s", f"longest {found.longest:.2f} s"]
    return ", ".join([*counts, f"{found.torn_pages:,} torn pages survived", *times])


def fates(found: dict[str, int]) -> str:
    """``restored whole: 41, stop said no: 3``."""
    return ", ".join(f"{fate}: {number:,}" for fate, number in found.items())


def refused(found: Sequence[Reason]) -> str:
    """``37 stops said no, for 11 reasons``; what two designs call by the same words counts once."""
    stops, different = sum(one.refused for one in found), len({one.reason for one in found})
    return f"{stops:,} stops said no, for {different:,} {'reason' if different == 1 else 'reasons'}"


def faults(found: Fault) -> str:
    """``262 faults injected (26 kinds), 262 survived``."""
    kinds = len({one.fault for one in found.injections})
    return f"{found.injected:,} faults injected ({kinds} kinds), {found.survived:,} survived"


def orders(found: Orders) -> str:
    """``2,114 interleavings replayed``."""
    return f"{found.replayed:,} interleavings replayed"


def histories(found: Histories) -> str:
    """``40 histories linearized, the longest of 876 operations by 34 sessions, 0 undecided``."""
    longest = f"the longest of {found.longest.operations:,} operations by {found.longest.sessions} sessions"
    bad = [f"{found.of(answer):,} {answer}" for answer in (Answer.UNDECIDED, Answer.UNEXPLAINED) if found.of(answer)]
    return ", ".join([f"{len(found.found):,} histories linearized", longest, *(bad or ["none undecided"])])


def labels(number: int) -> str:
    """``one label``."""
    return {0: "no label", 1: "one label", 2: "two labels"}.get(number, f"{number} labels")


def excerpt(said: str) -> str:
    """What was said, in one line; only the beginning, if it is long."""
    said = " ".join(said.split())
    return said if len(said) <= LONGEST_QUOTE else said[:LONGEST_QUOTE] + " …"


def setting(value: Scalar) -> str:
    """A setting's or a parameter's value."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "–" if value is None else str(value)  # noqa: RUF001


def duration(seconds: float) -> str:
    """``4 min 20 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def moment(when: str) -> str:
    """An ISO time for people; left as it is if it is none."""
    try:
        return f"{datetime.fromisoformat(when):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return when


def a_count(value: float | None) -> str:
    """A number of things; empty if it was not counted."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else digits(value)


def percent(number: float) -> str:
    """100 % only if nothing is missing."""
    return "100 %" if number == 100 else f"{min(number, 99.99):.4g} %"


def unique(cases: Iterable[Property]) -> list[str]:
    """The verdicts there are among cases."""
    return list(dict.fromkeys(one.verdict for one in cases))


def total(cases: Iterable[Property], name: str) -> str:
    """A count over all cases that have it."""
    found = [number for one in cases if (number := getattr(one, name)) is not None]
    return a_count(sum(found)) if found else ""


# Of planted bugs


def killed_of(found: Group) -> str:
    """``28 of 30``: killed, of those that were tried."""
    return f"{found.killed:,} of {found.tried:,}" if found.tried else "none tried"


def kill_rate(found: Group) -> str:
    """``330 of 338 killed (97.63 %)``."""
    return "none tried" if found.percent is None else f"{killed_of(found)} killed ({percent(found.percent)})"


def kill_speed(found: Group) -> str:
    """``median 40 steps, 2.1 s``; empty if there is no kill."""
    if found.median_seconds is None:
        return ""
    steps = "" if found.median_steps is None else f"{digits(found.median_steps)} steps, "
    return f"median {steps}{digits(found.median_seconds)} s"


def counted_steps(found: Group) -> str:
    """``12 of 320 kills count none``."""
    without = len(found.kills) - len(found.steps)
    return f"{without:,} of {len(found.kills):,} kills count none" if without else "every kill counts them"


def within_target(found: Group) -> str:
    """``290 of 308 kills took at most 200 steps``."""
    return f"{found.within_target:,} of {len(found.steps):,} kills that count steps took at most {TARGET_STEPS}"


def pairs_told(found: Pairs) -> str:
    """``316 mutants were tried by both. Killed: properties 310 (98.1 %), example-based tests 120 (37.97 %).``"""
    every = found.all
    if every is None:
        return "No mutant was tried by both."
    told = [f"{name} {number:,} ({percent(share)})"
            for name, number, share in zip(found.names, every.killed, every.percent, strict=True)]  # fmt: skip
    return f"{len(found.pairs):,} mutants were tried by both. Killed: {', '.join(told)}."


def left_out_told(found: Pairs) -> str:
    """``Left out: 20 only in B, 2 equivalent (both).``; empty if none is."""
    reasons = ", ".join(f"{number:,} {why}" for why, number in found.left_out.items())
    return f"Left out: {reasons}." if reasons else ""


def one_line(one: Mutant) -> str:
    """A mutant, what a developer did wrong, and what became of it."""
    return f"{one.name}: {one.mistake} ({one.outcome}{f': {one.reason}' if one.reason else ''})"


# Of a run


def commit(run: Circumstances) -> str:
    """The commit, short."""
    if run.git is None:
        return "no commit"
    return run.git.commit[:12] + (" with uncommitted changes" if run.git.dirty else "")


def machine(run: Circumstances) -> str:
    """The machine in one line."""
    found = run.machine
    memory = f"{found.memory / 2**30:.0f} GiB" if found.memory else None
    return ", ".join(filter(None, [found.cpu, f"{found.cores} cores" if found.cores else None, memory, found.os]))


# Of a benchmark

PARAMETERS = {"open": "open backups", "callers": "callers at once"}
"""Parameters whose names alone do not tell."""
THINGS = {
    "open backups": "open backup",
    "callers at once": "caller at once",
    "tablespaces": "tablespace",
    "backups": "backup",
}
"""What parameters count: many, and one."""


def name_in_words(name: str) -> str:
    """What a parameter counts."""
    return PARAMETERS.get(name, name.replace("_", " "))


def parameter_in_words(name: str, value: Scalar) -> str:
    """``fsync on``, ``64 callers``, ``mode quick``."""
    words = name_in_words(name)
    if isinstance(value, bool):
        return f"{words} {'on' if value else 'off'}"
    if isinstance(value, int | float):
        counted = THINGS[words] if value == 1 and words in THINGS else words
        return f"{value:,} {counted}" if words in THINGS else f"{words} = {value:,}"
    return f"{words} {value}"


def parameters(one: Benchmark) -> str:
    """``fsync on, 64 callers``."""
    return ", ".join(parameter_in_words(name, value) for name, value in one.parameters.items())


def short(one: Benchmark) -> str:
    """The name with the parameters: ``start latency, fsync on``."""
    return ", ".join(filter(None, [one.name.replace("_", " "), parameters(one)]))


def titled(one: Benchmark) -> str:
    """The title with the parameters."""
    return f"{one.title} ({parameters(one)})" if one.parameters else one.title
