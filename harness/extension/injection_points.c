/*-------------------------------------------------------------------------
 *
 * injection_points.c
 *	  Injection points in the code, where a test can hold a process or make it fail.
 *
 * Only in builds with INSTRUMENTS=1.
 *
 * A test attaches to a point, for one label or for any.  Then every process that
 * reaches it waits until the test lets it go; or else the first one that
 * reaches it waits or fails with an error, and all others pass.
 *
 * Where interrupts are not held off, a waiting process can be cancelled and
 * terminated.  Where they are, a request to cancel it is left for later, as it
 * would be without the point, and a process that is told to end goes on to
 * where it can.
 *
 * Everything in PointsShared is protected by its lock, which is never held
 * while waiting, and is taken by processes that hold no other lock but one on
 * a state file.  A waiting
 * process has its place until it leaves it itself; whoever lets it go says so
 * there, and sets its latch.
 *
 * The postmaster passes all points.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "injection_points.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "statefile.h"
#include "storage/shmem.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#define MAX_ATTACHMENTS		64
#define ATTACHMENTS_FILE	"points"

PG_FUNCTION_INFO_V1(shared_backup_injection_point_attach);
PG_FUNCTION_INFO_V1(shared_backup_injection_point_wakeup);
PG_FUNCTION_INFO_V1(shared_backup_injection_point_detach);
PG_FUNCTION_INFO_V1(shared_backup_injection_points);
PG_FUNCTION_INFO_V1(shared_backup_injection_points_keep);

typedef struct Point
{
	const char *name;
	bool		may_fail;		/* can an error be handled there? */
} Point;

static const Point points[] = {
	/* the session that starts a backup, and the worker that does it */
	{"start-checked", true},	/* session: the label can be had */
	{"start-reserved", true},	/* session: the label is STARTING */
	{"start-requested", true},	/* session: the request is in a slot */
	{"start-looked", true},		/* session: its worker is not done yet */
	{"starter-looked", true},	/* worker: there is no request yet */
	{"start-taken", true},		/* worker: it has the request */
	{"start-point-taken", true},	/* worker: core has started the backup */
	{"start-published", false}, /* worker: the backup is ACTIVE */
	{"start-accepted", true},	/* session: it knows that, too */

	/* a session that stops, aborts or renews */
	{"backup-found", true},		/* it may, and has not begun */

	{"stop-claimed", true},		/* the backup is STOPPING */
	{"stop-core-ended", true},	/* core has ended it; an error loses it */
	{"stop-published", true},	/* the result is kept */
	{"stop-waiting-archive", true}, /* about to wait, if that was asked for */

	/* whoever finds a result that is beyond a limit */
	{"result-doomed", true},	/* it is yet to be removed; others may do it */

	{"abort-claimed", false},	/* the backup is STOPPING */
	{"abort-released", false},	/* core has been released */

	/* the reaper, after a restart of a server with durable backups */
	{"resume-begun", true},		/* it has read the state files */
	{"holder-started", true},	/* worker: core is held; is it the first? */
	{"resume-held", true},		/* core is held again */
	{"resume-decided", true},	/* it is in the files what becomes of them */
	{"resume-done", true},		/* but nobody sees yet what it has put back */

	/* state files; reached with a file lock held */
	{"file-written", true},		/* under its temporary name */
	{"file-flushed", true},
	{"file-renamed", false},
	{"file-removed", false},

	/* the reaper */
	{"reaper-expiring", true},	/* a round begins; an error ends the reaper */
	{"reaper-looked", false},	/* at all backups; what comes up now is new */
	{"reaper-expired", false},	/* marked EXPIRED; core is yet to be released */
};

typedef enum PointAction
{
	POINT_IGNORE,				/* not attached */
	POINT_WAIT,
	POINT_HOLD,					/* the first one waits, all others pass */
	POINT_ERROR,				/* the first one fails, all others pass */
} PointAction;

static const char *const action_names[] = {
	[POINT_IGNORE] = "ignore",
	[POINT_WAIT] = "wait",
	[POINT_HOLD] = "hold",
	[POINT_ERROR] = "error",
};

typedef struct PointAttachment
{
	PointAction action;			/* POINT_IGNORE if this place is free */
	int			point;
	BackupLabel label;			/* empty: any */
	bool		spent;			/* has the first one come? */
	int64		passed;			/* processes that were woken up, or have failed */
} PointAttachment;

typedef struct PointWaiter
{
	pid_t		pid;			/* 0 if this place is free */
	Latch	   *latch;
	PointAttachment *attachment;	/* valid until woken_up */
	BackupLabel label;			/* empty: none */
	bool		woken_up;
} PointWaiter;

typedef struct PointsShared
{
	LWLock		lock;
	PointAttachment attachments[MAX_ATTACHMENTS];
	int			max_waiters;
	PointWaiter waiters[FLEXIBLE_ARRAY_MEMBER];
} PointsShared;

static PointsShared *shared = NULL;
static uint32 wait_event_point = 0;

Size
PointsShmemSize(void)
{
	return add_size(offsetof(PointsShared, waiters),
					mul_size(MaxBackends, sizeof(PointWaiter)));
}

/*
 * Take over the attachments that were kept for this start of the server.
 */
static void
FindKeptAttachments(void)
{
	Size		len;
	char	   *contents;

	if (!shared_backup_durable)
		return;
	contents = StateFileRead(ATTACHMENTS_FILE, &len, WARNING);
	if (contents && len == sizeof(shared->attachments))
		memcpy(shared->attachments, contents, len);
	(void) StateFileRemove(ATTACHMENTS_FILE, NULL, WARNING);
}

void
PointsShmemInit(void)
{
	bool		found;

	shared = ShmemInitStruct("shared_backup points", PointsShmemSize(),
							 &found);
	if (!found)
	{
		memset(shared, 0, PointsShmemSize());
		shared->max_waiters = MaxBackends;
		LWLockInitialize(&shared->lock,
						 SharedBackupGetLock(REGISTRY_LOCK)->tranche);
		FindKeptAttachments();
	}
}

/*
 * In the process that reaches a point
 */

static int
FindPoint(const char *name)
{
	for (int i = 0; i < lengthof(points); i++)
	{
		if (strcmp(points[i].name, name) == 0)
			return i;
	}
	return -1;
}

static bool
SameLabel(const BackupLabel *a, const BackupLabel *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/*
 * Find how a point is attached for exactly this label; empty stands for any.
 */
static PointAttachment *
FindAttachment(int point, const BackupLabel *label)
{
	for (int i = 0; i < MAX_ATTACHMENTS; i++)
	{
		PointAttachment *attachment = &shared->attachments[i];

		if (attachment->action != POINT_IGNORE && attachment->point == point &&
			SameLabel(&attachment->label, label))
			return attachment;
	}
	return NULL;
}

/*
 * Take a place among those that wait.  There is one for every process.
 */
static PointWaiter *
TakePlace(PointAttachment *attachment, const BackupLabel *label)
{
	PointWaiter *waiter = shared->waiters;

	while (waiter->pid != 0)
		waiter++;
	Assert(waiter < shared->waiters + shared->max_waiters);

	waiter->pid = MyProcPid;
	waiter->latch = MyLatch;
	waiter->attachment = attachment;
	waiter->label = *label;
	waiter->woken_up = false;
	return waiter;
}

static void
LeavePlace(int code, Datum arg)
{
	PointWaiter *waiter = (PointWaiter *) DatumGetPointer(arg);

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	waiter->pid = 0;
	LWLockRelease(&shared->lock);
}

static bool
MayGo(const PointWaiter *waiter)
{
	bool		woken_up;

	LWLockAcquire(&shared->lock, LW_SHARED);
	woken_up = waiter->woken_up;
	LWLockRelease(&shared->lock);
	return woken_up;
}

static void
AwaitWakeup(PointWaiter *waiter)
{
	uint32		wait_event = SharedBackupWaitEvent(&wait_event_point,
												   "SharedBackupPoint");

	PG_ENSURE_ERROR_CLEANUP(LeavePlace, PointerGetDatum(waiter));
	{
		while (!MayGo(waiter))
		{
			CHECK_FOR_INTERRUPTS();

			/* told to end, but not here: the reaper, or interrupts are held */
			if (ProcDiePending || ShutdownRequestPending)
				break;

			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0,
							 wait_event);
			ResetLatch(MyLatch);
		}
	}
	PG_END_ENSURE_ERROR_CLEANUP(LeavePlace, PointerGetDatum(waiter));
	LeavePlace(0, PointerGetDatum(waiter));

	/* it may have been set for what this process waits for next */
	SetLatch(MyLatch);
}

/*
 * A process has come to a point.
 */
void
PointReached(const char *name, const BackupLabel *label)
{
	static const BackupLabel none = {0};
	int			point = FindPoint(name);
	PointAttachment *attachment;
	PointWaiter *waiter = NULL;
	bool		fail = false;

	Assert(point >= 0);
	if (!MyProc)
		return;
	if (!label)
		label = &none;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	attachment = FindAttachment(point, label);
	if (!attachment)
		attachment = FindAttachment(point, &none);
	if (attachment && attachment->action == POINT_WAIT)
		waiter = TakePlace(attachment, label);
	else if (attachment && !attachment->spent)
	{
		attachment->spent = true;
		if (attachment->action == POINT_HOLD)
			waiter = TakePlace(attachment, label);
		else
		{
			fail = true;
			attachment->passed++;
		}
	}
	LWLockRelease(&shared->lock);

	if (fail)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("error injected at point \"%s\"", name),
				 errdetail("A test has attached to the point \"%s\".", name),
				 errhint("Detach from the point \"%s\".", name)));
	if (waiter)
		AwaitWakeup(waiter);
}

/*
 * In the test
 */

static void
CheckPreloaded(void)
{
	if (!shared)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("shared_backup must be loaded via \"shared_preload_libraries\"")));
}

static void
CheckArgNotNull(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"%s\" must not be null", name)));
}

static int
GetPoint(FunctionCallInfo fcinfo, int argno)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(argno));
	int			point = FindPoint(name);
	StringInfoData names;

	if (point >= 0)
		return point;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(points); i++)
		appendStringInfo(&names, "%s%s", i == 0 ? "" : ", ", points[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("point \"%s\" does not exist", name),
			 errhint("The points are: %s.", names.data)));
	return -1;					/* keep compiler quiet */
}

static PointAction
GetAction(FunctionCallInfo fcinfo, int argno, const Point *point)
{
	char	   *action = text_to_cstring(PG_GETARG_TEXT_PP(argno));

	if (strcmp(action, action_names[POINT_WAIT]) == 0)
		return POINT_WAIT;
	if (strcmp(action, action_names[POINT_HOLD]) == 0)
		return POINT_HOLD;
	if (strcmp(action, action_names[POINT_ERROR]) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized action \"%s\"", action),
				 errhint("Use \"wait\", \"hold\" or \"error\".")));
	if (!point->may_fail)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there can be no error at point \"%s\"", point->name),
				 errdetail("The code there cannot fail, and does not clean up after an error.")));
	return POINT_ERROR;
}

/*
 * A label, or the empty one for null.
 */
static void
GetLabel(FunctionCallInfo fcinfo, int argno, BackupLabel *label)
{
	char	   *string;
	char	   *utf8;

	memset(label, 0, sizeof(*label));
	if (PG_ARGISNULL(argno))
		return;

	string = text_to_cstring(PG_GETARG_TEXT_PP(argno));
	utf8 = pg_server_to_any(string, strlen(string), PG_UTF8);
	label->len = strlen(utf8);
	if (label->len == 0 || label->len > MAX_LABEL_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no backup can have the label \"%s\"", string)));
	memcpy(label->text, utf8, label->len);
}

/*
 * Let those go who wait at a point, all of them if the label is empty; the lock
 * must be held exclusively.  Returns how many they are.
 */
static int
WakeUp(int point, const BackupLabel *label)
{
	int			nwoken = 0;

	for (int i = 0; i < shared->max_waiters; i++)
	{
		PointWaiter *waiter = &shared->waiters[i];

		if (waiter->pid != 0 && !waiter->woken_up &&
			waiter->attachment->point == point &&
			(label->len == 0 || SameLabel(&waiter->label, label)))
		{
			waiter->woken_up = true;
			waiter->attachment->passed++;
			SetLatch(waiter->latch);
			nwoken++;
		}
	}
	return nwoken;
}

static PointAttachment *
FindFreeAttachment(void)
{
	for (int i = 0; i < MAX_ATTACHMENTS; i++)
	{
		if (shared->attachments[i].action == POINT_IGNORE)
			return &shared->attachments[i];
	}
	return NULL;
}

/*
 * Attach to a point.  If it is attached for that label already, the action changes for
 * those who are yet to come.
 */
Datum
shared_backup_injection_point_attach(PG_FUNCTION_ARGS)
{
	int			point;
	PointAction action;
	BackupLabel label;
	PointAttachment *attachment;

	CheckPreloaded();
	CheckArgNotNull(fcinfo, 0, "point");
	CheckArgNotNull(fcinfo, 1, "action");
	point = GetPoint(fcinfo, 0);
	action = GetAction(fcinfo, 1, &points[point]);
	GetLabel(fcinfo, 2, &label);

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	attachment = FindAttachment(point, &label);
	if (!attachment && (attachment = FindFreeAttachment()) != NULL)
	{
		attachment->point = point;
		attachment->label = label;
		attachment->passed = 0;
	}
	if (attachment)
	{
		attachment->action = action;
		attachment->spent = false;
	}
	LWLockRelease(&shared->lock);

	if (!attachment)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many points are attached"),
				 errhint("Detach some with shared_backup_injection_point_detach().")));
	PG_RETURN_VOID();
}

/*
 * Let those go who wait at a point, all or those at work on one label; the
 * point stays attached.  Returns how many were woken up.
 */
Datum
shared_backup_injection_point_wakeup(PG_FUNCTION_ARGS)
{
	int			point;
	BackupLabel label;
	int			nwoken;

	CheckPreloaded();
	CheckArgNotNull(fcinfo, 0, "point");
	point = GetPoint(fcinfo, 0);
	GetLabel(fcinfo, 1, &label);

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	nwoken = WakeUp(point, &label);
	LWLockRelease(&shared->lock);

	PG_RETURN_INT32(nwoken);
}

/*
 * Detach from a point for all labels, or all points; whoever waits there goes on.
 */
Datum
shared_backup_injection_point_detach(PG_FUNCTION_ARGS)
{
	static const BackupLabel any = {0};
	int			only;

	CheckPreloaded();
	only = PG_ARGISNULL(0) ? -1 : GetPoint(fcinfo, 0);

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (int point = 0; point < lengthof(points); point++)
	{
		if (only < 0 || only == point)
			(void) WakeUp(point, &any);
	}
	for (int i = 0; i < MAX_ATTACHMENTS; i++)
	{
		if (only < 0 || only == shared->attachments[i].point)
			shared->attachments[i].action = POINT_IGNORE;
	}
	LWLockRelease(&shared->lock);

	PG_RETURN_VOID();
}

/*
 * Add a row for a point, as it is attached for some label, or for one that is not
 * attached.
 */
static void
PutPoint(ReturnSetInfo *rsinfo, int point, const PointAttachment *attachment,
		 Datum *pids, int npids)
{
	Datum		values[6] = {0};
	bool		nulls[6] = {0};

	values[0] = CStringGetTextDatum(points[point].name);
	values[1] = BoolGetDatum(points[point].may_fail);
	values[4] = PointerGetDatum(construct_array(pids, npids, INT4OID,
												sizeof(int32), true,
												TYPALIGN_INT));
	nulls[2] = !attachment || attachment->label.len == 0;
	nulls[3] = nulls[5] = !attachment;
	if (!nulls[2])
		values[2] = CStringGetTextDatum(pg_any_to_server(attachment->label.text,
														 attachment->label.len,
														 PG_UTF8));
	if (attachment)
	{
		values[3] = CStringGetTextDatum(action_names[attachment->action]);
		values[5] = Int64GetDatum(attachment->passed);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * All points, with a row for each label that they are attached for, and who waits
 * there.
 */
Datum
shared_backup_injection_points(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PointAttachment *attachments;
	PointWaiter *waiters;
	Datum	   *pids;

	CheckPreloaded();
	InitMaterializedSRF(fcinfo, 0);

	/* rows are not made under the lock */
	attachments = palloc(sizeof(shared->attachments));
	waiters = palloc(shared->max_waiters * sizeof(PointWaiter));
	pids = palloc(shared->max_waiters * sizeof(Datum));
	LWLockAcquire(&shared->lock, LW_SHARED);
	memcpy(attachments, shared->attachments, sizeof(shared->attachments));
	memcpy(waiters, shared->waiters, shared->max_waiters * sizeof(PointWaiter));
	LWLockRelease(&shared->lock);

	for (int point = 0; point < lengthof(points); point++)
	{
		bool		attached = false;

		for (int i = 0; i < MAX_ATTACHMENTS; i++)
		{
			int			npids = 0;

			if (attachments[i].action == POINT_IGNORE || attachments[i].point != point)
				continue;
			for (int j = 0; j < shared->max_waiters; j++)
			{
				if (waiters[j].pid != 0 && !waiters[j].woken_up &&
					waiters[j].attachment == &shared->attachments[i])
					pids[npids++] = Int32GetDatum(waiters[j].pid);
			}
			PutPoint(rsinfo, point, &attachments[i], pids, npids);
			attached = true;
		}
		if (!attached)
			PutPoint(rsinfo, point, NULL, pids, 0);
	}

	return (Datum) 0;
}

/*
 * Have the next start of a server with durable backups begin with the points
 * attached as they are now.  The postmaster has no other way to be told.
 */
Datum
shared_backup_injection_points_keep(PG_FUNCTION_ARGS)
{
	PointAttachment copy[MAX_ATTACHMENTS];
	StateFilePart part = {copy, sizeof(copy)};

	CheckPreloaded();
	if (!shared_backup_durable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("\"%s\" is off", "shared_backup.durable")));

	LWLockAcquire(&shared->lock, LW_SHARED);
	memcpy(copy, shared->attachments, sizeof(copy));
	LWLockRelease(&shared->lock);
	(void) StateFileWrite(ATTACHMENTS_FILE, &part, 1, NULL, ERROR);
	PG_RETURN_VOID();
}
