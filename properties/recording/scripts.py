"""What the scripts that tell a counterexample have in common: what they say of it, prepare, and clear up."""

import re
from collections.abc import Iterator

from psycopg.sql import Literal

from harness.clients.client import with_values
from harness.clients.implementation import UNFENCED
from harness.clients.roles import creating, granted
from harness.schema.counterexample import Counterexample, Step
from model.state import Role

SETTINGS = ("SetLimit", "SetTtl", "SetPolicy", "SetRetention", "SetResults")
"""The operations that change the server's configuration."""

ALTERED = re.compile(r"ALTER SYSTEM SET (\S+)")
NAMED_START = re.compile(r":'start_(\d+)_(\w+)'")
"""A start that a statement names: its number, and what of it."""


def about(one: Counterexample) -> Iterator[str]:
    """What is told at the top."""
    yield one.promise or "A promise"
    yield f"is broken at step {one.failed}:"
    yield from (f"    {line}".rstrip() for line in one.found.splitlines())
    if one.server.version:
        yield f"Found with {one.implementation.name} ({one.flavour}) on PostgreSQL {one.server.version}."
    if one.server.settings:
        settings = ", ".join(f"{name} = {value}" for name, value in one.server.settings.items())
        yield f"The server had these settings: {settings}."
    yield ""
    preload = f" that preloads {one.implementation.preload}" if one.implementation.preload else ""
    yield f"For a new database of a test server{preload}, and for a superuser. It makes"
    yield f"roles ({', '.join(role.name for role in roles(one))}), and removes them at its end."


def tried(one: Counterexample) -> tuple[Step, ...]:
    """The steps up to the one that failed."""
    return one.steps[: one.failed]


def objection(one: Counterexample) -> str:
    """What is wrong with the step that failed: it may be something else than its outcome."""
    step = one.steps[one.failed - 1]
    wanted = step.expected.split(" or ")
    agrees = any(step.came == outcome or step.came.startswith(f"{outcome}: ") for outcome in wanted)
    return in_one_line(f"but then: {one.found}" if agrees else f"expected: {step.expected}")


def needs_instruments(one: Counterexample) -> bool:
    """Is time moved, or an operation held between its phases?"""
    return any(step.operation == "Advance" or step.phase for step in tried(one))


def roles(one: Counterexample) -> list[Role]:
    """The roles that it is about, with those that they are members of."""
    known = {role.name: role for role in one.roles}
    named = {str(step.given.get(key)) for step in tried(one) for key in ("role", "group")} & known.keys()
    while more := {group for name in named for group in known[name].member_of} - named:
        named |= more
    return [
        Role(role.name, role.superuser, role.execute, role.monitor, role.member_of)
        for role in one.roles
        if role.name in named
    ]


def preparation(one: Counterexample, *, instruments: bool) -> Iterator[str]:
    """The statements that come before the first step."""
    made = one.implementation
    for statement in (*made.prepare, *(made.prepare_instruments if instruments else ())):
        yield re.sub(r"^CREATE EXTENSION (?!IF\b)", "CREATE EXTENSION IF NOT EXISTS ", statement)
    yield from creating(roles(one), granted(made.functions))
    if made.freeze_clock and any(step.operation == "Advance" for step in tried(one)):
        yield made.freeze_clock


def changed_settings(one: Counterexample) -> list[str]:
    """The settings that it changes."""
    found = [name for step in tried(one) for text in step.sql for name in ALTERED.findall(text)]
    return list(dict.fromkeys(found))


def named_starts(one: Counterexample) -> set[int]:
    """The starts that a later statement names."""
    return {int(number) for step in tried(one) for text in step.sql for number, _ in NAMED_START.findall(text)}


def aborting(one: Counterexample) -> str | None:
    """Gives up whatever is left under the labels that it uses; None, if there is nothing to be given up."""
    abort = one.implementation.abort
    begun = [step.given["label"] for step in tried(one) if step.operation in ("Start", "Rollback")]
    labels = [label for label in dict.fromkeys(begun) if label]
    if abort is None or not labels:
        return None
    statements = [literal(with_values(abort, {"label": label, **UNFENCED})) for label in labels]
    return f"""DO $$
DECLARE one text;
BEGIN
    FOREACH one IN ARRAY ARRAY[{", ".join(statements)}] LOOP
        BEGIN
            EXECUTE one;
        EXCEPTION WHEN OTHERS THEN  -- there is none
        END;
    END LOOP;
END $$"""


def dropping_roles(one: Counterexample) -> str:
    """Drops the roles, as far as they are there."""
    names = ", ".join(literal(role.name) for role in roles(one)) or "NULL"
    return f"""DO $$
DECLARE one text;
BEGIN
    FOR one IN SELECT rolname FROM pg_roles WHERE rolname IN ({names}) LOOP
        EXECUTE format('DROP OWNED BY %I', one);
        EXECUTE format('DROP ROLE %I', one);
    END LOOP;
END $$"""


def in_one_line(text: str) -> str:
    """For a comment."""
    return " ".join(text.split())


def attaching(point: str, label: object) -> str:
    """How a point is armed."""
    return f"SELECT shared_backup_injection_point_attach('{point}', label => {literal(label)});"


def waking(point: str, label: object) -> str:
    """How those are let go who wait there."""
    return f"SELECT shared_backup_injection_point_wakeup('{point}', {literal(label)});"


def literal(value: object) -> str:
    """A value in SQL."""
    return Literal(value).as_string()
