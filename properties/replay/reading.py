"""Reading a counterexample, and whether an implementation has what it takes to try it again."""

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import msgspec

from harness.clients.implementation import BUILT_IN, Capability, Implementation, find_implementation
from harness.machine.postgres import SetupError
from harness.running.results import implementation_of
from harness.schema.counterexample import SCHEMA, Counterexample, Step
from properties.support.counterexamples import operation_of

WHAT_IT_IS = "name a counterexample, failures/*.json in a results folder"

SETTINGS = {
    "SetLimit": "max_backups",
    "SetTtl": "ttl",
    "SetPolicy": "stop_policy",
    "SetRetention": "result_retention",
    "SetResults": "max_results",
}
"""The operations that change a setting: its name, as the model has it."""

STATEMENTS = {"Abort": "abort", "Renew": "renew", "ListBackups": "view"}
"""The operations that not everybody offers: the field of their SQL."""


def read(path: Path) -> Counterexample:
    """The counterexample in a file; raises SetupError with what is wrong with it."""
    if path.name.endswith(".jsonl"):
        checker = f"; python -m properties.concurrency.linearize {path} checks it" * path.name.endswith(".calls.jsonl")
        raise SetupError(f"{path} is a history, and no counterexample{checker}: {WHAT_IT_IS}.")
    try:
        one = msgspec.json.decode(path.read_bytes(), type=Counterexample)
    except OSError as error:
        raise SetupError(f"{path} cannot be read ({error.strerror}): {WHAT_IT_IS}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        refuse(path, f"{error}")
    if one.schema != SCHEMA:
        refuse(path, f"its schema is {one.schema}, and {SCHEMA} is known")
    if not 1 <= one.failed <= len(one.steps):
        refuse(path, f"step {one.failed} failed, and there are {len(one.steps)}")
    for number, step in enumerate(one.steps, start=1):
        check(path, one, number, step)
    return one


def check(path: Path, one: Counterexample, number: int, step: Step) -> None:
    """Raises SetupError unless it is a step of it."""
    try:
        operation_of(step)
    except ValueError as error:
        refuse(path, f"step {number}: {error}")
    session = step.given.get("session", 0)
    if not (isinstance(session, int) and 0 <= session < one.sessions):
        refuse(path, f"step {number}: there is no session {session}")


def refuse(path: Path, why: str) -> NoReturn:
    """Raises SetupError."""
    raise SetupError(f"{path} is no counterexample ({why}): {WHAT_IT_IS}.")


# The implementation


def implementation_for(one: Counterexample, named: str | None) -> Implementation:
    """The one that is named, else the one that it was found with, as it is today; raises SetupError."""
    if named is not None:
        return find_implementation(named)
    if one.implementation.name in BUILT_IN:
        return BUILT_IN[one.implementation.name]
    try:
        return implementation_of(one.implementation)
    except (TypeError, ValueError) as error:
        raise SetupError(
            f"The implementation {one.implementation.name} is not understood ({error}): name one with --implementation."
        ) from None


def check_capabilities(one: Counterexample, implementation: Implementation) -> None:
    """Raises SetupError if the implementation lacks something that the one had with which this was found."""
    for number, step in enumerate(one.steps, start=1):
        for what in needs(one, step):
            if what not in offers(implementation):
                raise SetupError(
                    f"Step {number} needs {what}, and {implementation.name} has none: name another --implementation."
                )


def needs(one: Counterexample, step: Step) -> Iterator[str]:
    """What a step needs, as far as the implementation had it with which this was found."""
    made = one.implementation
    if (field := STATEMENTS.get(step.operation)) and getattr(made, field) is not None:
        yield field
    if (name := SETTINGS.get(step.operation)) and name in made.settings:
        yield f"a setting {name}"
    if step.operation == "Advance":
        yield "a clock that can be moved"
    if step.phase:
        yield Capability.INSTRUMENTS
    if step.given.get("hazard") is not None:
        yield Capability.DURABLE_BACKUPS
    if step.given.get("start_point") is not None and made.design.get("fencing"):
        yield "a fence"
    if step.given.get("ttl") is not None and step.operation != "SetTtl" and made.design.get("expiry"):
        yield "a time to live"


def offers(implementation: Implementation) -> set[str]:
    """What an implementation has, in the same words."""
    design = implementation.design
    has = {
        **{field: getattr(implementation, field) is not None for field in STATEMENTS.values()},
        **{f"a setting {name}": True for name in implementation.settings},
        "a clock that can be moved": implementation.has_clock,
        Capability.INSTRUMENTS: Capability.INSTRUMENTS in implementation.capabilities,
        Capability.DURABLE_BACKUPS: implementation.durable,
        "a fence": design.fencing,
        "a time to live": design.expiry,
    }
    return {what for what, there in has.items() if there}
