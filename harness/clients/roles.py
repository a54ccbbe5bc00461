"""The SQL that makes the roles of an example, with their privileges and memberships."""

from collections.abc import Iterator, Sequence

from harness.clients.implementation import STOCK
from model.state import Role


def granted(functions: Sequence[str]) -> tuple[str, ...]:
    """What EXECUTE is granted on: an implementation's functions, and core's beside them."""
    return tuple(dict.fromkeys((*functions, *STOCK.functions)))


def creating(roles: Sequence[Role], functions: Sequence[str]) -> Iterator[str]:
    """Creates the roles; those that may take backups get EXECUTE on these functions."""
    for role in roles:
        yield f"CREATE ROLE {role.name} LOGIN {'SUPERUSER' if role.superuser else ''}".rstrip()
        if role.monitor:
            yield f"GRANT pg_monitor TO {role.name}"
        if role.execute:
            yield f"GRANT EXECUTE ON FUNCTION {', '.join(functions)} TO {role.name}"
    for role in roles:
        yield from (f"GRANT {group} TO {role.name}" for group in role.member_of)
