"""The axes of the design space: what each may be, from bare to costly. A named design is a point among them.

An axis is declared here, once; what it does is in ``transition``, by a field of ``Design`` or of its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from model.design import STOCK, Design, OnRestart, StopPolicy, Storage


@dataclass(frozen=True, slots=True)
class Axis:
    """One choice."""

    name: str
    sentence: str
    """What it is about."""
    costs: Mapping[str, int]
    """Its values; of each, roughly what it takes to build, to run and to understand. The first is the barest."""
    read: Callable[[Design], str]
    """What a design has."""
    write: Callable[[Design, str], Design]
    """The design with that value; raises ValueError if there is no such value."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """Without which feature (``axis=value``) a value means nothing, by the value."""

    @property
    def barest(self) -> str:
        """The value that costs nothing."""
        return next(iter(self.costs))

    def having(self, design: Design, value: str) -> Design:
        """The design with that value; raises ValueError with a sentence."""
        try:
            return self.write(design, value)
        except ValueError:
            known = " or ".join(self.costs)
            raise ValueError(f"{self.name} is {known}, not {value}: {self.sentence}") from None


def on(value: str) -> bool:
    """Is a switch on? Raises ValueError."""
    if value not in ("off", "on"):
        raise ValueError(value)
    return value == "on"


def switch(
    name: str,
    sentence: str,
    cost: int,
    needs: str,
    read: Callable[[Design], bool],
    write: Callable[[Design, bool], Design],
) -> Axis:
    """What is on or off."""
    return Axis(
        name,
        sentence,
        {"off": 0, "on": cost},
        lambda design: "on" if read(design) else "off",
        lambda design, value: write(design, on(value)),
        {"on": needs},
    )


def number(
    name: str,
    sentence: str,
    tried: int,
    read: Callable[[Design], int | None],
    write: Callable[[Design, int | None], Design],
) -> Axis:
    """What is off or a number; ``tried``: the number that a search tries."""

    def in_words(design: Design) -> str:
        return str(read(design) or "off")

    def from_words(design: Design, value: str) -> Design:
        found = None if value == "off" else int(value)
        if found is not None and found <= 0:
            raise ValueError(value)
        return write(design, found)

    return Axis(name, sentence, {"off": 0, str(tried): 1}, in_words, from_words, {str(tried): MULTI_SESSION})


MULTI_SESSION = "session_bound=off"

AXES = (
    Axis(
        "session_bound",
        "does a backup belong to the session that started it?",
        {"on": 0, "off": 3},
        lambda design: "on" if design.session_bound else "off",
        lambda design, value: replace(design, session_bound=on(value)),
    ),
    number(
        "limit",
        "how many live backups may there be at once?",
        2,
        lambda design: design.settings.max_backups,
        lambda design, limit: replace(design, settings=design.settings._replace(max_backups=limit)),
    ),
    Axis(
        "storage",
        "is the memory for backups taken as it is needed, or set aside for as many as the limit says?",
        {"dynamic": 0, "fixed": 2},
        lambda design: design.storage.value,
        lambda design, value: replace(design, storage=Storage(value)),
        {"fixed": "limit=2"},
    ),
    switch(
        "expiry",
        "may a backup have a time to live?",
        2,
        MULTI_SESSION,
        lambda design: design.expiry,
        lambda design, on: replace(design, expiry=on),
    ),
    switch(
        "lease",
        "may the time to live be renewed?",
        1,
        "expiry=on",
        lambda design: design.lease,
        lambda design, on: replace(design, lease=on),
    ),
    switch(
        "fence",
        "may a stop, an abort and a renewal name the start that they mean?",
        1,
        MULTI_SESSION,
        lambda design: design.fencing,
        lambda design, on: replace(design, fencing=on),
    ),
    number(
        "retention",
        "for how many seconds is a result remembered?",
        600,
        lambda design: design.settings.result_retention,
        lambda design, seconds: replace(design, settings=design.settings._replace(result_retention=seconds or 0)),
    ),
    Axis(
        "policy",
        "may anyone with EXECUTE stop a backup, or its owner alone?",
        {"any": 0, "owner": 1},
        lambda design: design.settings.stop_policy.value,
        lambda design, value: replace(design, settings=design.settings._replace(stop_policy=StopPolicy(value))),
        {"owner": MULTI_SESSION},
    ),
    Axis(
        "on_restart",
        "what does a restart of the server leave of open backups?",
        {"forget": 0, "keep": 2, "resume": 5},
        lambda design: design.on_restart.value,
        lambda design, value: replace(design, on_restart=OnRestart(value)),
        {"keep": MULTI_SESSION, "resume": MULTI_SESSION},
    ),
)
"""All of them."""

BY_NAME: dict[str, Axis] = {axis.name: axis for axis in AXES}


def point(design: Design) -> dict[str, str]:
    """Where a design is: what it has of each axis."""
    return {axis.name: axis.read(design) for axis in AXES}


def moved(design: Design, features: Mapping[str, str]) -> Design:
    """The design with these values of these axes, and a name that tells them; raises ValueError with a sentence."""
    unknown = [name for name in features if name not in BY_NAME]
    if unknown:
        raise ValueError(f"there is no axis {unknown[0]}: there are {', '.join(BY_NAME)}")
    if not features:
        return design
    name = " ".join([design.name, *(f"{axis}={value}" for axis, value in features.items())])
    for axis, value in features.items():
        design = BY_NAME[axis].having(design, value)
    if design.storage is Storage.FIXED and design.settings.max_backups is None:
        raise ValueError("storage=fixed needs a limit, for as many backups as memory is set aside for: add limit=2")
    return replace(design, name=name)


BAREST = replace(moved(STOCK, {axis.name: axis.barest for axis in AXES}), name="barest")
"""The design that costs nothing: core's own."""
