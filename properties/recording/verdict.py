"""Verdicts: what became of each property, as pytest tells it.

``Recorder`` is a pytest plugin. It leaves out the harness's own tests, keeps a ``Property`` for each of the others, and
decides: an assertion (or the server's unexpected refusal) makes a property *fail*; any other error, in its set-up or in
the checker itself, means that it *crashed*; and one that looked at nothing, or saw less than it undertook to see, does
not hold because pytest let it pass.
"""

import re
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from dataclasses import replace as altered
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.clients.violation import Violation
from harness.machine.project import ROOT
from harness.running.commandline import last_line
from harness.schema.campaign import Verdict
from harness.schema.counterexample import Counterexample
from harness.schema.totals import Coverage
from harness.server.session import SqlError
from model.tour import TransitionClass
from properties.recording.tally import Tally

BENCH_TESTS = "bench"
"""The folder of the tests of the bench itself, which say nothing of an implementation: ``nox -s tests`` runs them."""

LONGEST_REASON = 200  # letters

PLURALS = {
    "branch": "branches",
    "property": "properties",
    "statement of this text": "statements of this text",
    "transition class": "transition classes",
}

HERE = "here"
"""This process, as one that runs properties."""

SAME_AGAIN = re.compile(r"@reproduce_failure\('[^']*', b'[^']*'\)|@seed\(\d+\)")
"""Decorators with which Hypothesis tries the same again, as it names them."""

NOT_BEGUN = "it had not begun"
STOPPED = "it stopped at the first failure, and the rest was not run"

FINDINGS = (AssertionError, pytest.fail.Exception, SqlError)
"""Exceptions by which a property says that it does not hold; any other is an error of its own."""


@dataclass
class Property:
    """One property and what is known of it; until it has ended it counts as interrupted."""

    sentence: str
    group: str
    """What it is about: the file it comes from."""
    test: str
    """pytest's name for it."""
    case: str = ""
    """Which of the cases that the sentence was checked for."""
    description: str = ""
    verdict: Verdict = Verdict.INTERRUPTED
    reason: str = NOT_BEGUN
    """Why it does not hold, in one line."""
    seconds: float = 0.0
    """With set-up and clearing up."""
    tally: Tally | None = None
    finding: str = ""
    """The essential part of a failure: the message, and the history to try by hand."""
    counterexamples: list[Counterexample] = field(default_factory=list)
    """The failure as data, where there is a history to try again."""
    same_again: list[str] = field(default_factory=list)
    """Decorators with which Hypothesis tries again what failed."""
    report: str = ""
    """All that pytest says of a failure, with the ends of its servers' logs."""
    part: int | None = None
    """Which part of its examples did not hold, if they were drawn in parts."""

    @property
    def name(self) -> str:
        """The sentence with its case."""
        return f"{self.sentence}: {self.case}" if self.case else self.sentence


def coverage(properties: Iterable[Property]) -> Coverage:
    """What each property undertook to see and did not: one tour does not answer for another's."""
    tallies = [one.tally for one in properties if one.tally is not None]
    missing = tuple(found for tally in tallies for found in sorted(tally.missing()))
    reachable = sum(len(tally.reachable) for tally in tallies)
    percent = round(100 * (1 - len(missing) / reachable), 3) if reachable else None
    return Coverage(percent, reachable, reachable - len(missing), missing)


def totals(properties: Iterable[Property]) -> Tally:
    """All tallies together: examples, steps, the seconds spent in them, restores, and what was done at once."""
    everything = Tally()
    for tally in (one.tally for one in properties if one.tally is not None):
        everything.add_counts(tally)
    return everything


def together(parts: Sequence[Property]) -> Property:
    """A property whose examples were drawn in parts; of those at most the last one does not hold."""
    whole = Tally()
    for tally in (one.tally for one in parts if one.tally is not None):
        whole.add(tally)
    seconds = sum(one.seconds for one in parts)
    return altered(parts[-1], seconds=seconds, tally=whole if parts[-1].tally else None)


@dataclass(eq=False)
class Recorder:
    """The pytest plugin that gives the verdicts. ``finished`` is called with each property that has one."""

    finished: Callable[[Property], None] = lambda one: None
    bench_too: bool = False
    """Whether the tests of the bench itself are run as well."""
    properties: list[Property] = field(default_factory=list)
    running: dict[str, Property] = field(default_factory=dict)
    """What runs right now, by who runs it: this process, or workers."""
    began: float = 0.0
    """When what is running in this process began (monotonic)."""
    interrupted: bool = False
    """By Ctrl-C or a signal."""
    stopped: bool = False
    """At the first failure, as it was told to, and before all had been run."""
    setup_error: str = ""
    """One sentence, if the bench could not be set up."""
    internal_error: str = ""
    """What pytest says, if it broke down."""
    by_test: dict[str, Property] = field(default_factory=dict, repr=False)

    def verdict(self) -> tuple[Verdict, str]:
        """The verdict on everything, and the reason unless it holds."""
        verdicts = [one.verdict for one in self.properties]
        if self.interrupted:
            return Verdict.INTERRUPTED, "the campaign was interrupted"
        if self.setup_error or self.internal_error:
            return Verdict.CRASHED, self.setup_error or f"pytest broke down: {last_line(self.internal_error)}"
        for bad in (Verdict.FAILS, Verdict.CRASHED, Verdict.NOT_CHECKED, Verdict.INTERRUPTED):
            if bad in verdicts:
                return bad, STOPPED if self.stopped else told(verdicts)
        if self.stopped:
            return Verdict.INTERRUPTED, STOPPED
        if not verdicts:
            return Verdict.FAILS, "no property was found to run"
        if Verdict.HOLDS not in verdicts:
            return Verdict.FAILS, "every property was skipped, so nothing was checked"
        return Verdict.HOLDS, ""

    # What is told of other processes

    def begins(self, who: str, test: str) -> None:
        """A test begins; what else is told on the same scheduler is not of this campaign."""
        one = self.by_test.get(str(test))
        if one is None:
            return
        self.running[who] = one
        if one.reason == NOT_BEGUN:
            one.reason = "it was interrupted"

    def take(self, one: Property) -> None:
        """Takes what another process knows of a test that has ended there."""
        self.running = {who: other for who, other in self.running.items() if other.test != one.test}
        mine = self.by_test[one.test]
        for part in fields(Property):
            setattr(mine, part.name, getattr(one, part.name))

    def not_checked(self, tests: Iterable[str], reason: str) -> None:
        """What was to run these tests was lost, for this reason."""
        for test in tests:
            one = self.by_test[test]
            self.running = {who: other for who, other in self.running.items() if other is not one}
            if one.verdict is Verdict.FAILS:
                continue
            one.verdict, one.reason, one.finding = Verdict.NOT_CHECKED, in_one_line(reason), reason
            one.report += reason
            self.finished(one)

    # What pytest calls

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return True if collection_path.name == BENCH_TESTS and not self.bench_too else None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.passed:
            return
        one = Property(f"{Path(report.nodeid).name} can be loaded", group_of(report.nodeid), report.nodeid)
        if report.skipped:
            one.verdict, one.reason = Verdict.SKIPPED, reason_of_skip(report)
        else:
            one.verdict, one.reason = Verdict.CRASHED, last_line(report.longreprtext).removeprefix("E").strip()
            one.finding, one.report = one.reason, report.longreprtext
        self.properties.append(one)
        self.finished(one)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.by_test = {item.nodeid: property_of(item) for item in session.items}
        self.properties += self.by_test.values()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.began = time.monotonic()
        self.begins(HERE, nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        tally = getattr(item, "funcargs", {}).get("tally")
        self.by_test[item.nodeid].tally = tally if isinstance(tally, Tally) else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        one = self.by_test[item.nodeid]
        one.seconds += report.duration
        judge(one, report, call.excinfo.value if call.excinfo else None)
        return report

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        del self.running[HERE]
        self.finished(self.by_test[nodeid])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not session.shouldfail:
            return
        left = [one for one in self.properties if one.verdict is Verdict.INTERRUPTED]
        for one in left:
            one.verdict, one.reason = Verdict.NOT_RUN, "the campaign stopped at its first failure"
        self.stopped = bool(left) or not self.by_test

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if isinstance(excinfo.value, pytest.exit.Exception):
            self.setup_error = str(excinfo.value.msg)
        elif not isinstance(excinfo.value, pytest.Session.Interrupted):  # which is pytest's word for files with errors
            self.interrupted = True
        if HERE in self.running:
            self.running[HERE].seconds = time.monotonic() - self.began

    def pytest_internalerror(self, excrepr: object) -> None:
        self.internal_error = str(excrepr)


def judge(one: Property, report: pytest.TestReport, error: BaseException | None) -> None:
    """Takes one phase's report (set-up, call, clearing up) into the verdict on a property."""
    if report.skipped:
        one.verdict, one.reason = Verdict.SKIPPED, reason_of_skip(report)
    elif report.failed:
        judge_failure(one, report, error)
    elif report.when == "call":
        judge_pass(one, report)


def judge_failure(one: Property, report: pytest.TestReport, error: BaseException | None) -> None:
    """A failure found by the property, or its own breakdown; the first finding is not covered up by what follows it."""
    causes = list(leaves(error)) if error else []
    said = all_that_is_said(report)
    one.report += said
    one.same_again = [*dict.fromkeys([*one.same_again, *SAME_AGAIN.findall(said)])]
    if one.verdict is Verdict.FAILS:
        return
    found = [cause for cause in causes if isinstance(cause, FINDINGS)] if report.when == "call" else []
    one.verdict = Verdict.FAILS if found else Verdict.CRASHED
    one.finding = "\n\n".join(essence(cause) for cause in found or causes) or report.longreprtext
    known = [cause.counterexample for cause in found if isinstance(cause, Violation)]
    one.counterexamples = [replace(each, promise=one.name, test=one.test) for each in known if each is not None]
    if found and isinstance(error, BaseExceptionGroup) and len(causes) == 1:
        one.finding = f"{error.message}\n\n{one.finding}"
    where = {"setup": "in its set-up: ", "teardown": "in clearing up: "}.get(str(report.when), "")
    one.reason = where + in_one_line(one.finding)


def judge_pass(one: Property, report: pytest.TestReport) -> None:
    """What pytest lets pass holds, unless it saw nothing, or less than it undertook to see."""
    one.verdict, one.reason = Verdict.HOLDS, ""
    if one.tally is None:
        return
    if missing := one.tally.missing():
        one.verdict, one.reason = Verdict.FAILS, f"{count(len(missing), 'transition class')} not seen"
        one.finding = "\n".join(["These transition classes were not seen:", *map(class_name, sorted(missing))])
    elif not one.tally.examples and not one.tally.steps:
        one.verdict, one.reason = Verdict.CRASHED, "it passed without looking at a single example"
        one.finding = one.reason
    if one.verdict is not Verdict.HOLDS:  # and so in JUnit
        report.outcome, report.longrepr = "failed", one.finding
        one.report = one.finding


# Words


def property_of(item: pytest.Item) -> Property:
    """The property that a test checks."""
    name = getattr(item, "originalname", None) or item.name
    sentence = name.removeprefix("test_").replace("_", " ")
    callspec = getattr(item, "callspec", None)
    case = callspec.id if callspec else ""
    if case.isidentifier():  # the name of a function, and not SQL
        case = case.replace("_", " ")
    description = getattr(getattr(item, "obj", None), "__doc__", None) or ""
    return Property(sentence, group_of(item.nodeid), item.nodeid, case, " ".join(description.split()))


def group_of(test: str) -> str:
    """What the file of a test is about."""
    return Path(test.partition("::")[0]).stem.removeprefix("test_").replace("_", " ")


def told(verdicts: Iterable[Verdict]) -> str:
    """How many there are of each verdict."""
    numbers = Counter(verdicts)
    words = {Verdict.HOLDS: "hold", Verdict.FAILS: "fail"}
    return ", ".join(
        f"{numbers[each]} {words.get(each, each) if numbers[each] != 1 else each}" for each in Verdict if numbers[each]
    )


def failure_file(one: Property) -> str:
    """The name of the file with all that is known of a failure; cases have files of their own."""
    words = "".join(letter if letter.isalnum() else " " for letter in f"{one.group} {one.sentence}").split()
    case = f"-{zlib.crc32(one.test.encode()):08x}" if one.case else ""
    return "-".join(words)[:100] + case + ".txt"


def class_name(found: TransitionClass) -> str:
    """A transition class in one line."""
    return " | ".join(found)


def count(number: int, thing: str) -> str:
    """A number of things, in words."""
    if number != 1:
        thing = PLURALS.get(thing, f"{thing}s")
    return f"{number:,} {thing}"


def in_one_line(text: str) -> str:
    """The beginning of a text, up to its first empty line, as one line that is not too long."""
    line = " ".join(text.partition("\n\n")[0].split())
    return line if len(line) <= LONGEST_REASON else line[:LONGEST_REASON] + " ..."


def reason_of_skip(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why it was skipped."""
    if expected := getattr(report, "wasxfail", None):
        return f"expected to fail: {expected}"
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else last_line(report.longreprtext)
    return said.removeprefix("Skipped: ")


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in an error: Hypothesis reports several failures, or one that comes and goes, as a group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def essence(error: BaseException) -> str:
    """What a person needs of an error: the message, and the history or the example that shows it."""
    message = str(error)
    if "To see it by hand" in message:
        return message
    if not isinstance(error, AssertionError | pytest.fail.Exception):
        message = f"{type(error).__name__}: {message}"
    notes = [note for note in getattr(error, "__notes__", []) if not SAME_AGAIN.search(note)]
    return "\n".join([message, *notes, *place(error)])


def place(error: BaseException) -> Iterator[str]:
    """Where it was raised: the innermost line that is not a library's."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    ours = [f for f in frames if "site-packages" not in f.filename and "importlib" not in f.filename]
    for frame in ours[-1:]:
        path = Path(frame.filename)
        yield f"at {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}:{frame.lineno}"


def all_that_is_said(report: pytest.TestReport) -> str:
    """Everything that pytest has on a failure: the traceback, what was printed, and what servers have logged."""
    sections = "".join(f"\n----- {title} -----\n{text}\n" for title, text in report.sections if text.strip())
    return f"{report.longreprtext}\n{sections}\n"
