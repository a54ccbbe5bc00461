"""Counterexamples: what disagreed, as a violation to read and as data; and the same tried again."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import get_args

import msgspec

from harness.clients.client import Client, Violation
from harness.clients.history import Event, described
from harness.clients.implementation import Implementation
from harness.clients.start_points import LONG_AGO
from harness.running.results import recorded
from harness.schema.counterexample import Counterexample, Role, Step
from harness.schema.run import Server
from harness.server.cluster import Cluster
from harness.server.settings import DEFAULTS
from model.operations import Operation
from model.state import Cluster as Model
from model.state import Role as ModelRole
from properties.recording.tally import Tally
from properties.support.lockstep import ROLES, SESSIONS, Lockstep

OPERATIONS: dict[str, type[Operation]] = {kind.__name__: kind for kind in get_args(Operation)}

OF_ITS_FOLDER = ("unix_socket_directories", "archive_command")
"""Settings that name folders of one server."""


def by_hand(violation: Violation, lockstep: Lockstep) -> Violation:
    """The same with the history to paste into psql, and as data."""
    client = lockstep.client
    return Violation(
        f"{violation}\n\nTo see it by hand:\n{client.history.script()}",
        counterexample(client, lockstep.first, tuple(steps(client)), f"{violation}"),
    )


def counterexample(
    client: Client,
    first: Model,
    done: tuple[Step, ...],
    found: str,
    failed: int | None = None,
    points: tuple[tuple[str, str | None], ...] = (),
) -> Counterexample | None:
    """These steps from the beginning, the last of which failed unless that is told; None, if nothing was done."""
    if not done:
        return None
    cluster, implementation = client.cluster, client.implementation
    postgres = cluster.build.postgres
    return Counterexample(
        found=found,
        failed=failed or len(done),
        implementation=recorded(implementation),
        server=Server(postgres.version_string, postgres.bundled, own_settings(cluster, implementation)),
        flavour=cluster.build.flavour,
        roles=tuple(Role(**role._asdict()) for role in first.roles),
        sessions=len(first.sessions),
        settings=first.settings._asdict(),
        points=points,
        steps=done,
    )


def own_settings(cluster: Cluster, implementation: Implementation) -> dict[str, str]:
    """What a server's configuration has beside the bench's own, its folder's, and what a history may change."""
    left_out = {*cluster.build.settings, *OF_ITS_FOLDER, *implementation.settings.values()}
    return {
        name: value for name, value in cluster.settings.items() if name not in left_out and DEFAULTS.get(name) != value
    }


def steps(client: Client) -> Iterator[Step]:
    """What a client has done in this example."""
    return (step(client, event) for event in client.history.events)


def step(client: Client, event: Event) -> Step:
    """One operation of a client's."""
    return Step(
        who=event.who,
        operation=type(event.operation).__name__,
        arguments=msgspec.to_builtins(asdict(event.operation)),
        sql=tuple(without_tokens(client, text) for text in event.sql),
        expected=event.expected,
        came=described(event),
    )


def without_tokens(client: Client, sql: str) -> str:
    """The same with variables of psql in place of what is another one each time: see ``Step.sql``."""
    for number, lsn in enumerate(client.start_points.lsns):
        if lsn in ("", LONG_AGO):
            continue
        sql = sql.replace(f"'{lsn}'", f":'start_{number}_start_lsn'")
        if lsn in client.tokens:
            sql = sql.replace(f"'{client.tokens[lsn]}'", f":'start_{number}_token'")
    return sql


# Tried again


def operation_of(done: Step) -> Operation:
    """The operation of a step; raises ValueError."""
    if done.operation not in OPERATIONS:
        raise ValueError(f'there is no operation "{done.operation}"')
    made: Operation = msgspec.convert(done.arguments, OPERATIONS[done.operation])
    return made


def tried(
    client: Client,
    operations: Sequence[Operation],
    tally: Tally,
    roles: tuple[ModelRole, ...] = ROLES,
    sessions: int = SESSIONS,
) -> Violation | None:
    """One operation after the other on a server made fresh, compared with the model; what disagreed, if anything did.

    Raises SqlError or ClusterError if the server does not go on.
    """
    lockstep = Lockstep(client, tally, roles, sessions)
    try:
        for operation in operations:
            lockstep.step(operation)
    except BaseException as error:
        found = by_hand(error, lockstep) if isinstance(error, Violation) else None
        lockstep.finish(failed=True)
        if found is None:
            raise
        return found
    try:
        lockstep.finish(failed=False)
    except Violation as violation:
        return by_hand(violation, lockstep)
    return None
