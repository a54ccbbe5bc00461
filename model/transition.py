"""The transition relation: what each operation does to a cluster, phase by phase.

An operation is a short sequence of atomic phases::

    start:  reserve the label -> take the start point -> publish
    stop:   claim the backup  -> end it               -> publish the result
    abort:  claim the backup  -> release it
    others: one phase

Run without interruption (``run``) the phases give the sequential semantics; interleaved with those of other
operations (``invoke`` and ``resume``) they give the concurrent one, and a fault may cut them off (``give_up``). The
relation is total: every operation has an outcome in every state. It returns alternatives, more than one only where a
server may honestly do either.

The order of the checks is the order of the error table in the extension's README.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import NamedTuple, assert_never

from model.design import Design, OnRestart, Settings, StopPolicy, Storage
from model.numbers import StartPoint, Time
from model.operations import (
    Abort,
    AddMember,
    Advance,
    Connect,
    Disconnect,
    DropRole,
    Fenced,
    Grant,
    Hazard,
    ListBackups,
    Operation,
    Renew,
    Restart,
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
from model.outcomes import BackupRow, Failed, Ok, Outcome, SqlState, StopRow
from model.state import (
    ACTIVE,
    EXPIRED,
    LOST,
    STARTING,
    STOPPED,
    STOPPING,
    Backup,
    Cluster,
    Role,
    Session,
    StockBackup,
)

MAX_LABEL_BYTES = 1024
"""The longest label, in bytes of UTF-8 (core's MAXPGPATH)."""


ANY = StopPolicy.ANY
DONE = Ok()

# The rows of the error table
NO_PRIVILEGE = Failed(SqlState.INSUFFICIENT_PRIVILEGE)
NULL_LABEL = Failed(SqlState.NULL_VALUE_NOT_ALLOWED)
BAD_LABEL = Failed(SqlState.INVALID_PARAMETER_VALUE)
BAD_TTL = Failed(SqlState.INVALID_PARAMETER_VALUE)
NO_LIMIT = Failed(SqlState.INVALID_PARAMETER_VALUE)
LABEL_IN_USE = Failed(SqlState.DUPLICATE_OBJECT)
LIMIT_REACHED = Failed(SqlState.CONFIGURATION_LIMIT_EXCEEDED)
NO_SUCH_LABEL = Failed(SqlState.UNDEFINED_OBJECT)
NOT_YOURS = Failed(SqlState.INSUFFICIENT_PRIVILEGE)
HAS_EXPIRED = Failed(SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE)
WAS_LOST = Failed(SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE)
FENCED_OFF = Failed(SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE)
STOPPED_ALREADY = Failed(SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE)
BUSY = Failed(SqlState.OBJECT_IN_USE)
HOLDS_A_STOCK_BACKUP = Failed(SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE)

# What is refused by others than the extension
NOT_OFFERED = Failed(SqlState.UNDEFINED_FUNCTION)
HOLDS_NO_STOCK_BACKUP = Failed(SqlState.OBJECT_NOT_IN_PREREQUISITE_STATE)
NOT_CONNECTED = Failed(SqlState.CONNECTION_DOES_NOT_EXIST)
CONNECTED_ALREADY = Failed(SqlState.CONNECTION_EXCEPTION)
NOBODY_TO_BE = Failed(SqlState.INVALID_AUTHORIZATION)
NO_SUCH_ROLE = Failed(SqlState.UNDEFINED_OBJECT)
CIRCULAR_MEMBERSHIP = Failed(SqlState.INVALID_GRANT_OPERATION)


class Pending(NamedTuple):
    """An operation between two of its phases."""

    operation: Start | Stop | Abort
    next_phase: Callable[[Design, Cluster, Pending], Steps]
    start_point: StartPoint = StartPoint(0)


Steps = tuple[tuple[Cluster, Outcome | Pending], ...]
"""The alternatives of one phase: the cluster afterwards, and the outcome or what is still to be done."""


def run(design: Design, cluster: Cluster, operation: Operation) -> list[tuple[Cluster, Outcome]]:
    """All phases of one operation, with nothing in between: the sequential semantics."""
    return finish(design, invoke(design, cluster, operation))


def finish(design: Design, steps: Steps) -> list[tuple[Cluster, Outcome]]:
    """All the phases that are left, with nothing in between."""
    finished: list[tuple[Cluster, Outcome]] = []
    for cluster, result in steps:
        if isinstance(result, Pending):
            finished += finish(design, resume(design, cluster, result))
        else:
            finished.append((cluster, result))
    return finished


def resume(design: Design, cluster: Cluster, pending: Pending) -> Steps:
    """The next phase of an operation under way."""
    return pending.next_phase(design, cluster, pending)


def give_up(cluster: Cluster, pending: Pending) -> Cluster | None:
    """An operation is cut off between two phases and leaves no trace; None: too late, core has ended the backup."""
    label = name(pending.operation.label)
    backup = known(cluster.backup(label))
    if backup.state is STARTING:
        released = release_core(cluster) if pending.next_phase is publish_start else cluster
        return reap(put(released, label, backup.before))
    if pending.next_phase is publish_stop:
        return None
    return reap(put(cluster, label, backup._replace(state=ACTIVE, aborting=False)))


def invoke(design: Design, cluster: Cluster, operation: Operation) -> Steps:
    """The first phase of an operation."""
    match operation:
        case Stop():
            return stop_stock(cluster, operation) if design.session_bound else claim_to_stop(design, cluster, operation)
        case Start():
            return start_stock(cluster, operation) if design.session_bound else reserve(design, cluster, operation)
        case Rollback(start):
            return invoke(design, cluster, start)
        case Renew():
            return renew(design, cluster, operation)
        case Abort():
            return claim_to_abort(design, cluster, operation)
        case ListBackups():
            return list_backups(design, cluster, operation)
        case StockStart():
            return start_stock(cluster, operation)
        case StockStop():
            return stop_stock(cluster, operation)
        case Connect():
            return connect(cluster, operation)
        case Disconnect():
            return disconnect(cluster, operation)
        case Restart(_, hazard):
            return restart(design, cluster, hazard)
        case Advance(seconds):
            return done(reap(cluster._replace(now=Time(cluster.now + seconds))))
        case SetLimit(max_backups):
            return set_limit(design, cluster, max_backups, cluster.settings._replace(max_backups=max_backups))
        case SetTtl(ttl):
            return done(with_settings(cluster, cluster.settings._replace(ttl=ttl)))
        case SetPolicy(stop_policy):
            return done(with_settings(cluster, cluster.settings._replace(stop_policy=stop_policy)))
        case SetRetention(result_retention):
            return done(with_settings(cluster, cluster.settings._replace(result_retention=result_retention)))
        case SetResults(max_results):
            return set_limit(design, cluster, max_results, cluster.settings._replace(max_results=max_results))
        case Grant(role):
            return alter_role(cluster, role, lambda found: found._replace(execute=True))
        case Revoke(role):
            return alter_role(cluster, role, lambda found: found._replace(execute=False))
        case AddMember(role, group):
            return add_member(cluster, role, group)
        case DropRole(role):
            return drop_role(cluster, role)
        case _:
            assert_never(operation)


# Start


def reserve(design: Design, cluster: Cluster, start: Start) -> Steps:
    """Phase 1 of a start: the checks, and the label is STARTING.

    Nothing is overdue here, and takes no room under the limit: what is due when time passes ends with that (``reap``).
    """
    if start.ttl is not None and not design.expiry:
        return fail(cluster, NOT_OFFERED)
    if error := refused(cluster, start.session) or bad_label(start.label) or bad_ttl(start.ttl):
        return fail(cluster, error)
    session, label = cluster.sessions[start.session], start.label
    assert session is not None
    assert label is not None
    backup = cluster.backup(label)
    if backup is not None and (backup.live or not may_stop(cluster, session, backup)):
        return fail(cluster, LABEL_IN_USE)
    limit = cluster.max_backups
    if limit is not None and cluster.live_backups() >= limit:
        return fail(cluster, LIMIT_REACHED)
    starting = Backup(STARTING, owner=session.role, before=backup)
    return ((put(cluster, label, starting), Pending(start, take_start_point)),)


def take_start_point(design: Design, cluster: Cluster, pending: Pending) -> Steps:
    """Phase 2 of a start: core counts the backup, takes a checkpoint and gives out its redo point."""
    cluster = count_backup(cluster)
    return ((cluster, Pending(pending.operation, publish_start, cluster.start_points)),)


def publish_start(design: Design, cluster: Cluster, pending: Pending) -> Steps:
    """Phase 3 of a start: the backup is ACTIVE, and its time to live is counted from here."""
    assert isinstance(pending.operation, Start)
    label = name(pending.operation.label)
    active = Backup(
        ACTIVE,
        owner=known(cluster.backup(label)).owner,
        start_point=pending.start_point,
        start_time=cluster.now,
        expires_at=deadline(cluster, pending.operation.ttl),
    )
    return ((put(cluster, label, active), Ok(pending.start_point)),)


# Stop


def claim_to_stop(design: Design, cluster: Cluster, stop: Stop) -> Steps:
    """Phase 1 of a stop: the checks, and the backup is STOPPING. A finished one gives its result again."""
    if stop.start_point is not None and not design.fencing:
        return fail(cluster, NOT_OFFERED)
    if error := refused(cluster, stop.session) or bad_label(stop.label):
        return fail(cluster, error)
    session, label = cluster.sessions[stop.session], stop.label
    assert session is not None
    assert label is not None
    backup = cluster.backup(label)
    if backup is None:
        return fail(cluster, NO_SUCH_LABEL)
    if error := not_yours_or_useless(cluster, session, backup):
        return fail(cluster, error)
    if error := fenced_off(stop, backup):
        return fail(cluster, error)
    if backup.state is STOPPED:
        return ((cluster, Ok(handed_out(label, backup, repeated=True))),)
    if error := busy_or_poisoned(session, backup):
        return fail(cluster, error)
    return ((put(cluster, label, backup._replace(state=STOPPING)), Pending(stop, end_backup)),)


def end_backup(design: Design, cluster: Cluster, pending: Pending) -> Steps:
    """Phase 2 of a stop: core writes the end of the backup and forgets it. State files say so first.

    The time is taken before core lets go of it, so that what was copied until then is covered.
    """
    label, ending = name(pending.operation.label), design.on_restart is OnRestart.RESUME
    ended = known(cluster.backup(label))._replace(stop_time=cluster.now, ending=ending)
    cluster = put(cluster, label, ended)
    return ((release_core(cluster), Pending(pending.operation, publish_stop)),)


def publish_stop(design: Design, cluster: Cluster, pending: Pending) -> Steps:
    """Phase 3 of a stop: the result is kept, STOPPED, for as long as it is to be remembered."""
    label = name(pending.operation.label)
    backup = stopped(cluster, known(cluster.backup(label)))
    return ((forget(put(cluster, label, backup)), Ok(handed_out(label, backup, repeated=False))),)


def stopped(cluster: Cluster, backup: Backup) -> Backup:
    """The backup as it is when its result is kept from now on."""
    return backup._replace(
        state=STOPPED,
        forget_at=Time(cluster.now + cluster.settings.result_retention),
        ended=ended_last(cluster),
        ending=False,
    )


def ended_last(cluster: Cluster) -> int:
    """The place of a backup that ends now: also after those that a start is about to replace, which may come back."""
    return 1 + max(cluster.places(), default=0)


def ended_together(cluster: Cluster, backup: Backup) -> int:
    """The place of a backup that ends in a restart, with others: they end in the order in which they started."""
    return ended_last(cluster) + backup.start_point


def handed_out(label: str, backup: Backup, *, repeated: bool) -> StopRow:
    """The result of a stop: of this one, or of an earlier one that it repeats."""
    return StopRow(label, backup.start_point, backup.restorable, backup.carried, repeated, backup.stop_time)


# Abort and renew


def claim_to_abort(design: Design, cluster: Cluster, abort: Abort) -> Steps:
    """Phase 1 of an abort: the checks, and the backup is STOPPING."""
    if design.session_bound or (abort.start_point is not None and not design.fencing):
        return fail(cluster, NOT_OFFERED)
    if error := refused(cluster, abort.session) or bad_label(abort.label):
        return fail(cluster, error)
    session, label = cluster.sessions[abort.session], abort.label
    assert session is not None
    assert label is not None
    backup = cluster.backup(label)
    if backup is None:
        return fail(cluster, NO_SUCH_LABEL)
    if error := not_yours_or_useless(cluster, session, backup) or fenced_off(abort, backup) or finished(backup):
        return fail(cluster, error)
    if error := busy_or_poisoned(session, backup):
        return fail(cluster, error)
    return ((put(cluster, label, backup._replace(state=STOPPING, aborting=True)), Pending(abort, release)),)


def release(design: Design, cluster: Cluster, pending: Pending) -> Steps:
    """Phase 2 of an abort: core is released, and the label is absent."""
    return ((put(release_core(cluster), name(pending.operation.label), None), Ok()),)


def renew(design: Design, cluster: Cluster, operation: Renew) -> Steps:
    """An ACTIVE backup gets a new deadline, counted from now."""
    if not design.lease or (operation.start_point is not None and not design.fencing):
        return fail(cluster, NOT_OFFERED)
    if error := refused(cluster, operation.session) or bad_label(operation.label) or bad_ttl(operation.ttl):
        return fail(cluster, error)
    session, label = cluster.sessions[operation.session], operation.label
    assert session is not None
    assert label is not None
    backup = cluster.backup(label)
    if backup is None:
        return fail(cluster, NO_SUCH_LABEL)
    if error := not_yours_or_useless(cluster, session, backup) or fenced_off(operation, backup):
        return fail(cluster, error)
    if error := finished(backup) or busy(backup):
        return fail(cluster, error)
    expires_at = deadline(cluster, operation.ttl)
    if expires_at == backup.expires_at:
        return ((cluster, Ok(expires_at)),)
    return ((put(cluster, label, backup._replace(expires_at=expires_at)), Ok(expires_at)),)


# The view


def list_backups(design: Design, cluster: Cluster, operation: ListBackups) -> Steps:
    """The rows of the view, by label, for members of pg_monitor."""
    if design.session_bound:
        return fail(cluster, NOT_OFFERED)
    session = cluster.sessions[operation.session]
    if session is None:
        return fail(cluster, NOT_CONNECTED)
    if not any(role.superuser or role.monitor for role in acting_as(cluster, session.role)):
        return fail(cluster, NO_PRIVILEGE)
    return ((cluster, Ok(view(cluster))),)


def view(cluster: Cluster) -> tuple[BackupRow, ...]:
    """The rows of the view ``shared_backups``, by label."""
    return tuple([row(label, backup, cluster.role(backup.owner) is not None) for label, backup in cluster.backups])


@lru_cache(maxsize=1024)
def row(label: str, backup: Backup, owner_exists: bool) -> BackupRow:
    """One row of the view: a backup that is starting has no start point or times yet."""
    owner = backup.owner if owner_exists else None
    if backup.state is STARTING:
        return BackupRow(label, backup.state.value, owner, None, None, None, None)
    stop_time = backup.stop_time if backup.state is STOPPED else None
    return BackupRow(
        label, backup.state.value, owner, backup.start_point, backup.start_time, backup.expires_at, stop_time
    )


# Core's own functions: the backup belongs to the session


def start_stock(cluster: Cluster, operation: Start | StockStart) -> Steps:
    """pg_backup_start(): one backup a session."""
    session = cluster.sessions[operation.session]
    if session is not None and operation.label is None:
        return done(cluster)  # the function is strict: the planner drops the call, and with it the check of EXECUTE
    if error := refused(cluster, operation.session):
        return fail(cluster, error)
    assert session is not None
    assert operation.label is not None
    if session.stock is not None:
        return fail(cluster, HOLDS_A_STOCK_BACKUP)
    if len(operation.label.encode()) > MAX_LABEL_BYTES:
        return fail(cluster, BAD_LABEL)
    cluster = count_backup(cluster)
    stock = StockBackup(operation.label, cluster.start_points)
    started = put_session(cluster, operation.session, Session(session.role, stock))
    return ((started, Ok(cluster.start_points)),)


def stop_stock(cluster: Cluster, operation: Stop | StockStop) -> Steps:
    """pg_backup_stop(): the session's own backup, whatever it is called."""
    if error := refused(cluster, operation.session):
        return fail(cluster, error)
    session = cluster.sessions[operation.session]
    assert session is not None
    if session.stock is None:
        return fail(cluster, HOLDS_NO_STOCK_BACKUP)
    stopped = put_session(release_core(cluster), operation.session, Session(session.role))
    return ((stopped, Ok(StopRow(session.stock.label, session.stock.start_point, restorable=True))),)


# Sessions, restarts and time


def connect(cluster: Cluster, operation: Connect) -> Steps:
    """A session is opened."""
    if cluster.sessions[operation.session] is not None:
        return fail(cluster, CONNECTED_ALREADY)
    if cluster.role(operation.role) is None:
        return fail(cluster, NOBODY_TO_BE)
    return done(put_session(cluster, operation.session, Session(operation.role)))


def disconnect(cluster: Cluster, operation: Disconnect) -> Steps:
    """A session ends: core gives up the session's own backup; ours are nobody's."""
    session = cluster.sessions[operation.session]
    if session is None:
        return fail(cluster, NOT_CONNECTED)
    if session.stock is not None:
        cluster = release_core(cluster)
    return done(put_session(cluster, operation.session, None))


def restart(design: Design, cluster: Cluster, hazard: Hazard | None) -> Steps:
    """The server restarts: every session ends, core's counter is zero, and the design says what becomes of backups.

    Kept without the core being told (KEEP), a backup that ran can not be restored: the copy's recovery meets the
    shutdown or end-of-recovery checkpoint before the end of the backup and PANICs ("online backup was canceled").
    """
    room = design.room(cluster.settings)
    cluster = cluster._replace(sessions=(None,) * len(cluster.sessions), running_backups=0, room=room)
    match design.on_restart:
        case OnRestart.FORGET:
            return done(cluster._replace(backups=()))
        case OnRestart.KEEP:
            kept = [(label, with_gap(backup, backup, vouched_for=False)) for label, backup in cluster.backups]
            return done(cluster.with_backups(tuple(kept)))
        case OnRestart.RESUME:
            return read_back(cluster, hazard)
        case _:
            assert_never(design.on_restart)


def read_back(cluster: Cluster, hazard: Hazard | None) -> Steps:
    """The state files are read, and the core is told of the backups that go on. Each may have come up in several ways.

    What was starting is not in the files yet: its label is what it was before. (A start whose file is there has been
    published, as no session could tell the difference.)
    """
    before = [(label, b.before if b.state is STARTING else b) for label, b in cluster.backups]
    ways = [
        dict.fromkeys(
            after and (label, with_gap(backup, after, vouched_for=hazard is None))
            for after in comes_up(cluster, backup, hazard)
        )
        for label, backup in before
        if backup is not None
    ]
    steps: list[tuple[Cluster, Outcome]] = []
    for backups in product(*ways):
        after = cluster.with_backups(tuple([item for item in backups if item is not None]))
        steps.append((reap(after.with_core(after.start_points, after.live_backups())), DONE))
    return tuple(steps)


def comes_up(cluster: Cluster, backup: Backup, hazard: Hazard | None) -> list[Backup | None]:
    """What becomes of a backup that has a state file; None: it is absent.

    It goes on where it was. If core had been told of its end, it must not go on: the server brings the stop to its end.
    Caught while stopping before that, it may be either, as the file is written before core is told; caught while it was
    given up, it may go on or be gone with its file. After a hazard what was open is lost; in a copy of the data
    directory everything is, whatever the files say.
    """
    if backup.state is not LOST and (hazard is Hazard.COPY or (hazard is not None and backup.live)):
        forget_at = Time(cluster.now + cluster.settings.result_retention)
        place = ended_together(cluster, backup)
        lost = backup._replace(
            state=LOST, stop_time=None, forget_at=forget_at, ended=place, aborting=False, ending=False
        )
        return [lost, None] if backup.aborting else [lost]
    if not backup.live:
        return [backup]
    carried = backup._replace(state=ACTIVE, carried=True, aborting=False, ending=False, stop_time=None)
    if backup.state is ACTIVE:
        return [carried]
    if backup.aborting:
        return [carried, None]
    ended = stopped(cluster, carried._replace(stop_time=backup.stop_time if backup.ending else cluster.now))
    ended = ended._replace(ended=ended_together(cluster, backup))
    return [ended] if backup.ending else [carried, ended]


def with_gap(before: Backup, after: Backup, *, vouched_for: bool) -> Backup:
    """Ghost: a backup as it is after a restart, whatever the design takes it for.

    If it was open, it stays restorable only if it is vouched for that all pages were protected until core was told
    again; and it may not run on if core, told of its end, had let go of it before.
    """
    gap = (before.live and not vouched_for) or (before.ending and after.state is ACTIVE)
    return after._replace(restorable=False) if gap else after


def set_limit(design: Design, cluster: Cluster, limit: int | None, settings: Settings) -> Steps:
    """A limit changes at once. Where memory is preallocated there must be one; above what there is, that applies."""
    if limit is None and design.storage is Storage.FIXED:
        return fail(cluster, NO_LIMIT)
    return done(forget(with_settings(cluster, settings)))


def reap(cluster: Cluster) -> Cluster:
    """What is past its deadline expires, in that order, and what was remembered long enough is forgotten."""
    for label, backup in sorted(cluster.backups, key=by_deadline):
        if backup.expires_at is not None and backup.expires_at <= cluster.now and backup.state is ACTIVE:
            forget_at = Time(backup.expires_at + cluster.settings.result_retention)
            expired = backup._replace(state=EXPIRED, forget_at=forget_at, ended=ended_last(cluster))
            cluster = put(release_core(cluster), label, expired)
    return forget(cluster)


def by_deadline(item: tuple[str, Backup]) -> tuple[int, int]:
    """A key: those that expire first come first, and of those that expire together the ones that were started first."""
    _, backup = item
    return (-1 if backup.expires_at is None else backup.expires_at, backup.start_point)


def forget(cluster: Cluster) -> Cluster:
    """Finished backups that were remembered long enough are absent, and so are the first to end of too many."""
    kept = [(label, b) for label, b in cluster.backups if b.forget_at is None or b.forget_at > cluster.now]
    limit = cluster.max_results
    if limit is not None and len(kept) > limit:
        results = [(label, b) for label, b in kept if b.forget_at is not None]
        excess = sorted(results, key=lambda item: item[1].ended)[: max(0, len(results) - limit)]
        kept = [item for item in kept if item not in excess]
    return cluster if len(kept) == len(cluster.backups) else cluster.with_backups(tuple(kept))


# Roles


def alter_role(cluster: Cluster, role_name: str, change: Callable[[Role], Role]) -> Steps:
    """An administrator changes a role."""
    if cluster.role(role_name) is None:
        return fail(cluster, NO_SUCH_ROLE)
    roles = tuple(change(role) if role.name == role_name else role for role in cluster.roles)
    return done(cluster if roles == cluster.roles else cluster._replace(roles=roles))


def add_member(cluster: Cluster, role_name: str, group: str) -> Steps:
    """GRANT group TO role; memberships may not go in a circle."""
    if cluster.role(group) is None:
        return fail(cluster, NO_SUCH_ROLE)
    if cluster.role(role_name) is not None and role_name in (role.name for role in acting_as(cluster, group)):
        return fail(cluster, CIRCULAR_MEMBERSHIP)
    return alter_role(
        cluster, role_name, lambda found: found._replace(member_of=tuple(sorted({*found.member_of, group})))
    )


def drop_role(cluster: Cluster, role_name: str) -> Steps:
    """The role is gone, with every membership in it. Its sessions stay open, without rights."""
    if cluster.role(role_name) is None:
        return fail(cluster, NO_SUCH_ROLE)
    kept = (role for role in cluster.roles if role.name != role_name)
    roles = tuple(role._replace(member_of=tuple(g for g in role.member_of if g != role_name)) for role in kept)
    return done(cluster._replace(roles=roles))


def acting_as(cluster: Cluster, role_name: str) -> tuple[Role, ...]:
    """The role and all it is a member of: those whose privileges it has. Empty if it does not exist."""
    return closure(cluster.roles, role_name)


@lru_cache(maxsize=1024)
def closure(roles: tuple[Role, ...], role_name: str) -> tuple[Role, ...]:
    """See ``acting_as``; like PostgreSQL, remembered until the memberships change."""
    by_name = {role.name: role for role in roles}
    found: dict[str, Role] = {}
    todo = [role_name]
    while todo:
        role = by_name.get(todo.pop())
        if role is not None and role.name not in found:
            found[role.name] = role
            todo.extend(role.member_of)
    return tuple(found.values())


# The checks, each a row of the error table or None


def refused(cluster: Cluster, session_number: int) -> Failed | None:
    """No connection, or no EXECUTE privilege."""
    session = cluster.sessions[session_number]
    if session is None:
        return NOT_CONNECTED
    return None if may_execute(cluster.roles, session.role) else NO_PRIVILEGE


@lru_cache(maxsize=1024)
def may_execute(roles: tuple[Role, ...], role_name: str) -> bool:
    """Has the role, or one that it is a member of, EXECUTE? A superuser needs none, and that is not inherited."""
    found = closure(roles, role_name)
    return any(role.execute for role in found) or bool(found and found[0].superuser)


@lru_cache(maxsize=1024)
def bad_label(label: str | None) -> Failed | None:
    """NULL; empty, too long, or with a control character, which could forge a line of the label file."""
    if label is None:
        return NULL_LABEL
    if not 0 < len(label.encode()) <= MAX_LABEL_BYTES or any(unicodedata.category(c) == "Cc" for c in label):
        return BAD_LABEL
    return None


def bad_ttl(ttl: int | None) -> Failed | None:
    """A time to live is positive."""
    return BAD_TTL if ttl is not None and ttl <= 0 else None


def not_yours_or_useless(cluster: Cluster, session: Session, backup: Backup) -> Failed | None:
    """Not the caller's to touch, past its deadline, or lost in a restart."""
    if not may_stop(cluster, session, backup):
        return NOT_YOURS
    if backup.state is EXPIRED:
        return HAS_EXPIRED
    return WAS_LOST if backup.state is LOST else None


def fenced_off(operation: Fenced, backup: Backup) -> Failed | None:
    """The caller means another start. One that is under way has not told anybody which it is."""
    other = operation.start_point not in (None, backup.start_point)
    return FENCED_OFF if other and backup.state is not STARTING else None


def finished(backup: Backup) -> Failed | None:
    """It is stopped already."""
    return STOPPED_ALREADY if backup.state is STOPPED else None


def busy(backup: Backup) -> Failed | None:
    """Someone else is starting or stopping it right now."""
    return BUSY if backup.state is not ACTIVE else None


def busy_or_poisoned(session: Session, backup: Backup) -> Failed | None:
    """Busy; or core can not end it here, because the session holds a backup of core's own."""
    if error := busy(backup):
        return error
    return HOLDS_A_STOCK_BACKUP if session.stock is not None else None


def may_stop(cluster: Cluster, session: Session, backup: Backup) -> bool:
    """May the session stop, abort, renew or replace this backup? Under ``any``, EXECUTE was enough."""
    if cluster.settings.stop_policy is ANY:
        return True
    roles = acting_as(cluster, session.role)
    return bool(roles) and (roles[0].superuser or any(role.name == backup.owner for role in roles))


# Small steps


def done(cluster: Cluster) -> Steps:
    """It took place, and there is nothing to say."""
    return ((cluster, DONE),)


def fail(cluster: Cluster, error: Failed) -> Steps:
    """It was refused, and nothing has changed."""
    return ((cluster, error),)


def put(cluster: Cluster, label: str, backup: Backup | None) -> Cluster:
    """The cluster with this backup under the label; None: absent."""
    others = [item for item in cluster.backups if item[0] != label]
    if backup is None:
        return cluster.with_backups(tuple(others))
    return cluster.with_backups(tuple(sorted([*others, (label, backup)])))


def with_settings(cluster: Cluster, settings: Settings) -> Cluster:
    """The cluster with these settings."""
    return cluster if settings == cluster.settings else cluster._replace(settings=settings)


def put_session(cluster: Cluster, number: int, session: Session | None) -> Cluster:
    """The cluster with this session under the number; None: not connected."""
    return cluster.with_session(number, session)


def count_backup(cluster: Cluster) -> Cluster:
    """Core counts one backup more, and gives it a start point."""
    return cluster.with_core(StartPoint(cluster.start_points + 1), cluster.running_backups + 1)


def release_core(cluster: Cluster) -> Cluster:
    """Core counts one backup less."""
    return cluster.with_core(cluster.start_points, cluster.running_backups - 1)


def deadline(cluster: Cluster, ttl: int | None) -> Time | None:
    """When a backup started or renewed now expires."""
    seconds = cluster.settings.ttl if ttl is None else ttl
    return None if seconds is None else Time(cluster.now + seconds)


def known(backup: Backup | None) -> Backup:
    """A backup that an operation under way has claimed can not have gone."""
    assert backup is not None
    return backup


def name(label: str | None) -> str:
    """A label known not to be NULL."""
    assert label is not None
    return label
