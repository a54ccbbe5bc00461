"""What Hypothesis draws from: operations of the model, good and bad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

from model.design import Design, OnRestart, StopPolicy
from model.operations import (
    Abort,
    AddMember,
    Advance,
    Connect,
    Disconnect,
    DropRole,
    Grant,
    Hazard,
    ListBackups,
    Operation,
    Renew,
    Restart,
    RestartKind,
    Revoke,
    Rollback,
    SetLimit,
    SetPolicy,
    SetResults,
    SetRetention,
    SetTtl,
    Start,
    StockStart,
    StockStop,
    Stop,
)
from model.state import Role

Drawn = TypeVar("Drawn")

BAD_LABELS = (None, "", "two\nlines", "tab\t", "delete\x7f", "next\x85line", "x" * 1025, "ü" * 513)
BAD_TTLS = (0, -1)
MOMENTS = (1, 9, 10, 11, 600, 3600)


def weighted(*branches: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
    """One of the branches, each as often as it is named. Smaller examples have earlier ones.

    ``st.one_of`` drops branches that it was given before, and takes equal ones (``st.builds`` twice) for one, too.
    """
    return st.integers(0, len(branches) - 1).flatmap(branches.__getitem__)


def mostly(
    usual: st.SearchStrategy[Drawn], *seldom: st.SearchStrategy[Drawn], often: int = 5
) -> st.SearchStrategy[Drawn]:
    """The usual, ``often`` times as often as each of the others."""
    return weighted(*[usual] * often, *seldom)


def labels(good: Sequence[str]) -> st.SearchStrategy[str | None]:
    """Mostly a good label."""
    return mostly(st.sampled_from(good), st.sampled_from(BAD_LABELS))


def ttls() -> st.SearchStrategy[int | None]:
    """Mostly a good time to live, or none."""
    return mostly(st.sampled_from([None, None, 10, 10, 3600]), st.sampled_from(BAD_TTLS))


def operations(
    design: Design, sessions: int, roles: Sequence[Role], good_labels: Sequence[str], hazards: Sequence[Hazard] = ()
) -> st.SearchStrategy[Operation]:
    """Any operation that a cluster of this design understands, and some that it does not.

    Restarts are as harmless as can be, but for the hazards that the caller knows how to bring about; and only a design
    that remembers backups has to do with any.
    """
    if design.on_restart is OnRestart.FORGET:
        hazards = ()
    session, label = st.integers(0, sessions - 1), labels(good_labels)
    names = st.sampled_from([role.name for role in roles])
    commoners = st.sampled_from([role.name for role in roles if not role.superuser])
    start = st.builds(Start, session, label, ttls() if design.expiry else st.none())
    connect = st.builds(Connect, session, names)
    of_sessions: list[st.SearchStrategy[Operation]] = [
        start,
        start,
        st.builds(Rollback, st.builds(Start, session, label)),
        st.builds(Stop, session, label),
        st.builds(Stop, session, label, st.integers(0, 3)),
        st.builds(Abort, session, label),
        st.builds(Abort, session, label, st.integers(0, 3)),
        st.builds(Renew, session, label, ttls()),
        st.builds(Renew, session, label, st.none(), st.integers(0, 3)),
        st.builds(ListBackups, session),
        st.builds(StockStart, session, st.sampled_from(good_labels)),
        st.builds(StockStop, session),
        connect,
        connect,
        st.builds(Disconnect, session),
    ]
    of_nobody: list[st.SearchStrategy[Operation]] = [
        st.builds(Restart, st.sampled_from(RestartKind), st.sampled_from([None, *hazards])),
        st.builds(Advance, st.sampled_from(MOMENTS)),
        st.builds(Grant, commoners),
        st.builds(Revoke, commoners),
        st.builds(AddMember, commoners, commoners),
        st.builds(DropRole, commoners),
    ]
    if not design.session_bound:
        of_nobody.append(st.builds(SetLimit, st.sampled_from([None, 0, 1, 2])))
        of_nobody.append(st.builds(SetPolicy, st.sampled_from(StopPolicy)))
    if design.expiry:
        of_nobody.append(st.builds(SetTtl, st.sampled_from([None, 10])))
    if design.settings.result_retention > 0 and not design.session_bound:
        of_nobody.append(st.builds(SetRetention, st.sampled_from([0, 10, 600])))
        of_nobody.append(st.builds(SetResults, st.sampled_from([None, 0, 1, 2])))
    return weighted(*of_sessions, *of_nobody)


def histories(
    design: Design, sessions: int, roles: Sequence[Role], good_labels: Sequence[str], hazards: Sequence[Hazard] = ()
) -> st.SearchStrategy[list[Operation]]:
    """What may happen to a cluster: every session is connected first, most of the time."""
    names = st.sampled_from([role.name for role in roles])
    connected = st.tuples(*(st.builds(Connect, st.just(number), names) for number in range(sessions)))
    anything = st.lists(operations(design, sessions, roles, good_labels, hazards), max_size=25)
    return mostly(st.builds(lambda first, rest: [*first, *rest], connected, anything), anything)
