"""A campaign as ``results.json`` tells it (the file is described in ``properties.results``)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from model.tour import TransitionClass
from reports.at_once import (
    Histories,
    Injection,
    Interleaving,
    Linearized,
    read_injection,
    read_interleaving,
    read_linearized,
)
from reports.reading import Foreign, count, field, field_or, listed, many, number, optional, schema, text
from reports.restores import Restore, read_restore
from reports.run import Run, read_run
from reports.survival import End, read_refusal

SCHEMA = 1
HOLDS, SKIPPED, NOT_RUN = "holds", "skipped", "not run"
VERDICTS = (HOLDS, "fails", SKIPPED, "crashed", "interrupted", NOT_RUN)


@dataclass(frozen=True)
class Property:
    """One property and its verdict."""

    name: str
    sentence: str
    case: str
    group: str
    test: str
    verdict: str
    reason: str
    seconds: float
    examples: int | None
    steps: int | None
    steps_per_second: float | None
    notes: tuple[str, ...]
    restores: tuple[Restore, ...]
    refusals: tuple[End, ...]
    faults: tuple[Injection, ...]
    interleavings: tuple[Interleaving, ...]
    linearized: tuple[Linearized, ...]
    seen: frozenset[TransitionClass]
    reachable: int
    """How many transition classes it undertook to see."""
    missing: frozenset[TransitionClass]
    failure: str | None
    """A file in the results folder."""
    history: str | None
    """A file in the results folder."""
    timeline: str | None
    """A file in the results folder."""

    @property
    def bad(self) -> bool:
        """It does not hold, and was not left out either."""
        return self.verdict not in (HOLDS, SKIPPED, NOT_RUN)


@dataclass(frozen=True)
class Campaign:
    """All of it."""

    run: Run
    verdict: str
    reason: str
    profile: str
    selection: str | None
    properties: tuple[Property, ...]
    percent: float | None
    """Of the transition classes that were to be seen; None: no tour was taken."""
    reachable: int
    missing: tuple[TransitionClass, ...]
    examples: int | None
    steps: int | None
    steps_per_second: float | None

    @property
    def restores(self) -> list[Restore]:
        """Of all properties; empty in results of before there were any."""
        return [restore for one in self.properties for restore in one.restores]

    @property
    def ends(self) -> list[End]:
        """What became of the backups of which it is known what they went through."""
        restored = [End(one.passage, one.said) for one in self.restores if one.passage is not None]
        return restored + [refusal for one in self.properties for refusal in one.refusals]

    @property
    def faults(self) -> list[Injection]:
        """Of all properties; empty in results of before they were counted."""
        return [injection for one in self.properties for injection in one.faults]

    @property
    def interleavings(self) -> list[Interleaving]:
        """Of all properties; empty in results of before they were counted."""
        return [interleaving for one in self.properties for interleaving in one.interleavings]

    @property
    def linearized(self) -> list[Histories]:
        """By property; empty in results of before they were counted."""
        return [Histories(one.name, one.linearized) for one in self.properties if one.linearized]

    def of(self, verdict: str) -> list[Property]:
        """The properties with that verdict."""
        return [one for one in self.properties if one.verdict == verdict]

    @property
    def bad(self) -> list[Property]:
        """What does not hold."""
        return [one for one in self.properties if one.bad]

    @property
    def skipped(self) -> list[Property]:
        """What was not checked."""
        return self.of(SKIPPED)

    @property
    def told(self) -> str:
        """How many there are of each verdict: ``119 hold, 2 skipped``."""
        words = {HOLDS: ("holds", "hold"), "fails": ("fails", "fail")}
        numbers = {verdict: len(self.of(verdict)) for verdict in VERDICTS}
        found = [f"{n:,} {words.get(verdict, (verdict,) * 2)[n != 1]}" for verdict, n in numbers.items() if n]
        return ", ".join(found) or "no property ran"


def read_campaign(data: object) -> Campaign:
    """The contents of results.json; raises Foreign."""
    schema(data, SCHEMA)
    if "properties" not in (data if isinstance(data, dict) else {}):
        raise Foreign("it has no properties, so no campaign of this bench wrote it")
    return Campaign(
        run=read_run(data),
        verdict=field(data, "verdict", verdict),
        reason=field_or(data, "reason", text, ""),
        profile=field(data, "profile", text),
        selection=field_or(data, "selection", optional(text), None),
        properties=field(data, "properties", listed(read_property)),
        percent=field(data, "coverage", lambda found: field_or(found, "percent", optional(number), None)),
        reachable=field(data, "coverage", lambda found: field(found, "reachable", count)),
        missing=field(data, "coverage", lambda found: field(found, "missing", listed(read_class))),
        examples=field_or(data, "examples", optional(count), None),
        steps=field_or(data, "steps", optional(count), None),
        steps_per_second=field_or(data, "steps_per_second", optional(number), None),
    )


def read_property(data: object) -> Property:
    """One of the properties; raises Foreign."""
    return Property(
        name=field(data, "name", text),
        sentence=field(data, "sentence", text),
        case=field_or(data, "case", text, ""),
        group=field(data, "group", text),
        test=field(data, "test", text),
        verdict=field(data, "verdict", verdict),
        reason=field_or(data, "reason", text, ""),
        seconds=field(data, "seconds", number),
        examples=field_or(data, "examples", optional(count), None),
        steps=field_or(data, "steps", optional(count), None),
        steps_per_second=field_or(data, "steps_per_second", optional(number), None),
        notes=many(data, "notes", text),
        restores=many(data, "restores", read_restore),
        refusals=many(data, "refusals", read_refusal),
        faults=many(data, "faults", read_injection),
        interleavings=many(data, "interleavings", read_interleaving),
        linearized=many(data, "linearized", read_linearized),
        seen=frozenset(field(data, "classes", lambda found: field(found, "seen", listed(read_class)))),
        reachable=field(data, "classes", lambda found: field(found, "reachable", count)),
        missing=frozenset(field(data, "classes", lambda found: field(found, "missing", listed(read_class)))),
        failure=field_or(data, "failure", optional(text), None),
        history=field_or(data, "history", optional(text), None),
        timeline=field_or(data, "timeline", optional(text), None),
    )


def verdict(value: object) -> str:
    """One of the verdicts there are."""
    found = text(value)
    if found not in VERDICTS:
        raise Foreign(f"{found} is no verdict")
    return found


def read_class(value: object) -> TransitionClass:
    """A transition class: four strings."""
    words = listed(text)(value)
    if len(words) != len(TransitionClass._fields):
        raise Foreign(f"a transition class has {len(TransitionClass._fields)} parts, and this one {len(words)}")
    return TransitionClass(*words)


def groups(properties: Iterable[Property]) -> Iterator[tuple[str, list[list[Property]]]]:
    """The properties by what they are about; those that are cases of one sentence together."""
    found: dict[str, dict[str, list[Property]]] = {}
    for one in properties:
        found.setdefault(one.group, {}).setdefault(one.sentence, []).append(one)
    for group, sentences in found.items():
        yield group, list(sentences.values())
