/*-------------------------------------------------------------------------
 *
 * starter.c
 *	  Starting a backup in a background worker.
 *
 * Core remembers in the process that started a backup that it did, and would
 * confuse that backup with the process's own one.  So we start backups in
 * background workers, which end afterwards.  Where core can forget it, see
 * patches/, the caller starts its backup itself, unless it runs one of its own;
 * then there is no warm worker, and little of what follows is needed.
 *
 * Launching a worker can take longer than all the rest of a start, so the
 * reaper keeps a warm one, launched in advance, that waits for a request.  It
 * is replaced after each start.  Starts that find none launch a worker of
 * their own.
 *
 * Workers are taken from those that the whole server shares, so only so many
 * are used at once as shared_backup.max_starters says, the warm one included.
 * A start beyond that waits for its turn, in a queue: the fast ones first, and
 * of each kind those that came first.  What it waits for may be a slow start,
 * whose checkpoint is spread over minutes.  So as long as a fast start waits,
 * it asks for an immediate checkpoint now and then, as it would if it were at
 * work, and the one that is under way hurries.  Whose turn it is can be told
 * from the queue and the slots alone; whoever changes these wakes those whose
 * turn it has become.
 *
 * Caller and worker meet in a slot, which goes through these states:
 *
 *	 FREE		nobody uses it
 *	 LAUNCHING	the reaper has asked for a worker; nobody has a request for it
 *	 WARM		that worker waits for a request
 *	 REQUESTED	the caller has put its request here, after it asked for a worker
 *				or found one in LAUNCHING or WARM; the reservation in the
 *				registry belongs to the caller
 *	 DECLINED	the reaper's worker has died, or could not be launched, before it
 *				took the request; the caller frees the slot and tries another
 *	 RUNNING	a worker has taken the request, and the reservation with it
 *	 DONE		the backup is ACTIVE, and the worker ends soon; the caller takes
 *				the start point and frees the slot
 *	 FAILED		the worker has undone everything and ends; the caller takes the
 *				error and frees the slot
 *
 * A caller that cannot wait any longer takes its request back while the slot
 * is REQUESTED, and leaves the slot to the reaper's worker if there is one.
 * Later it marks the slot abandoned and terminates the worker, which undoes
 * everything and frees the slot.  So there is one process responsible at any
 * time, and whichever of the two ends early, nothing is left behind.  Once the
 * backup is ACTIVE, nothing is undone any more: others have seen it.
 *
 * Any start takes the reaper's worker, be it WARM or LAUNCHING, rather than
 * launch another one: so the warm worker never uses up what a start needs.  No
 * start fails or waits because of it either: if it does not take the request,
 * its exit or the reaper sees to it that the caller hears of that.
 *
 * A slot has a new generation number whenever it is freed, so that a worker
 * that comes too late finds out, and a caller that waits for that as well.
 *
 * Everything in a slot is protected by STARTER_LOCK, except that the request
 * does not change while the slot is in use.  A worker leaves its slot under
 * that lock before it exits, so that the process number in a slot is good for
 * a signal while the lock is held.  Latches may be set after it is released:
 * they outlive their processes, whose successors do not mind being woken.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xlog.h"
#include "clock.h"
#include "durable.h"
#include "instruments.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "injection_points.h"
#include "postmaster/bgworker.h"
#include "postmaster/bgwriter.h"
#include "postmaster/interrupt.h"
#include "reaper.h"
#include "registry.h"
#include "results.h"
#include "starter.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#endif

/* longer error messages are cut */
#define STARTER_MESSAGE_SIZE	1024

/* how long to wait before launching a warm worker again ... */
#define STARTER_RELAUNCH_MS		1000	/* if the last one died unused */
#define STARTER_NO_ROOM_MS		10000	/* if there was no room for it */

/* for how long a worker that has told its caller of the start point stays */
#define STARTER_LINGER_MS		2

/* how often, and for how long, a start tries to launch a worker in vain */
#define STARTER_ROOM_POLL_MS		10
#define STARTER_NO_ROOM_PATIENCE_MS	1000

/* how often a fast start that waits asks for an immediate checkpoint */
#define STARTER_HASTEN_MS		100

typedef enum SlotState
{
	SLOT_FREE,
	SLOT_LAUNCHING,
	SLOT_WARM,
	SLOT_REQUESTED,
	SLOT_DECLINED,
	SLOT_RUNNING,
	SLOT_DONE,
	SLOT_FAILED,
} SlotState;

/* An error on its way from the worker to the caller. */
typedef struct StarterError
{
	int			sqlerrcode;		/* 0 if the worker could not say */
	char		message[STARTER_MESSAGE_SIZE];
	char		detail[STARTER_MESSAGE_SIZE];
	char		hint[STARTER_MESSAGE_SIZE];
} StarterError;

typedef struct StarterSlot
{
	SlotState	state;
	TimestampTz since;			/* in this state */
	uint32		generation;
	bool		reapers;		/* the worker was launched by the reaper */
	bool		abandoned;		/* the worker frees the slot */
	Latch	   *caller;
	pid_t		worker_pid;		/* 0 until the worker is here */
	Latch	   *worker;			/* valid if worker_pid is not 0 */

	StarterRequest request;

	/* result */
	XLogRecPtr	startpoint;
	StarterError error;
} StarterSlot;

/* A caller whose turn it is not yet. */
typedef struct StarterWaiter
{
	dlist_node	node;			/* in the queue, or among the spare ones */
	bool		fast;
	Latch	   *latch;
} StarterWaiter;

typedef struct StarterShared
{
	uint64		warm_starts;	/* requests made to the reaper's workers */
	uint64		cold_starts;	/* requests for which a worker was launched */
	int			max_starters;	/* the setting, as the reaper has loaded it */
	dlist_head	queue;			/* of callers: fast ones, then the others */
	dlist_head	spare;			/* waiters that nobody uses */
	StarterSlot slots[FLEXIBLE_ARRAY_MEMBER];	/* and MaxBackends waiters */
} StarterShared;

/* What a caller has to undo when it fails. */
typedef struct StarterCall
{
	const StarterRequest *request;
	StarterSlot *slot;			/* NULL if none yet */
	BackgroundWorkerHandle *handle; /* NULL if we launched none */
	StarterWaiter *waiter;		/* NULL if not in the queue */
} StarterCall;

/* What a worker, or a caller that needs none, has to undo when it fails. */
typedef struct StarterWork
{
	StarterSlot *slot;			/* NULL if none */
	const StarterRequest *request;	/* NULL until it is taken */
	bool		detached;		/* does core not take the backup for ours? */
	bool		published;
	BackupRecord record;
	StarterError error;
} StarterWork;

/* What the reaper knows of the worker that it launched last. */
typedef struct StarterLaunch
{
	bool		active;			/* are we the reaper, after its start? */
	BackgroundWorkerHandle *handle; /* NULL once it has entered its slot */
	StarterSlot *slot;
	uint32		generation;		/* of the slot */
	uint64		warm_starts;	/* at the time of the launch */
	TimestampTz not_before;		/* of the next launch if it dies unused */
} StarterLaunch;

static StarterShared *shared = NULL;
static StarterWork work;
static StarterLaunch launch;
static uint32 wait_event_start = 0;
static uint32 wait_event_turn = 0;
static uint32 wait_event_warm = 0;
static uint32 wait_event_linger = 0;
static uint32 wait_event_undo = 0;

static Size
SlotsSize(void)
{
	return MAXALIGN(add_size(offsetof(StarterShared, slots),
							 mul_size(max_worker_processes,
									  sizeof(StarterSlot))));
}

Size
StarterShmemSize(void)
{
	return add_size(SlotsSize(), mul_size(MaxBackends, sizeof(StarterWaiter)));
}

void
StarterShmemInit(void)
{
	bool		found;

	shared = ShmemInitStruct("shared_backup starter", StarterShmemSize(),
							 &found);
	if (!found)
	{
		StarterWaiter *waiters;

		memset(shared, 0, StarterShmemSize());
		shared->max_starters = shared_backup_max_starters;
		dlist_init(&shared->queue);
		dlist_init(&shared->spare);
		waiters = (StarterWaiter *) ((char *) shared + SlotsSize());
		for (int i = 0; i < MaxBackends; i++)
			dlist_push_tail(&shared->spare, &waiters[i].node);
	}
}

/*
 * How many workers are at work on a start, or about to be, and how many have
 * nothing to do yet; STARTER_LOCK must be held.
 */
static void
CountWorkers(int *busy, int *idle)
{
	*busy = *idle = 0;
	for (int i = 0; i < max_worker_processes; i++)
	{
		SlotState	state = shared->slots[i].state;

		if (state == SLOT_REQUESTED || state == SLOT_RUNNING)
			(*busy)++;
		else if (state == SLOT_LAUNCHING || state == SLOT_WARM)
			(*idle)++;
	}
}

/*
 * How many of those in the queue may take a worker now; STARTER_LOCK must be
 * held.
 */
static int
CountTurns(void)
{
	int			busy;
	int			idle;
	int			available;

	CountWorkers(&busy, &idle);
	available = idle;
	for (int i = 0; i < max_worker_processes; i++)
	{
		if (shared->slots[i].state == SLOT_FREE)
			available++;
	}
	return Min(available, shared->max_starters - busy);
}

/*
 * Wake the callers whose turn it is; STARTER_LOCK must be held exclusively.
 */
static void
WakeQueue(void)
{
	int			turns;
	dlist_iter	iter;

	if (dlist_is_empty(&shared->queue))
		return;

	turns = CountTurns();
	dlist_foreach(iter, &shared->queue)
	{
		if (turns-- <= 0)
			break;
		SetLatch(dlist_container(StarterWaiter, node, iter.cur)->latch);
	}
}

/*
 * Change the state of a slot; STARTER_LOCK must be held exclusively.
 */
static void
SetSlotState(StarterSlot *slot, SlotState state)
{
	slot->state = state;
	slot->since = GetCurrentTimestamp();
	WakeQueue();
}

/*
 * Free a slot; STARTER_LOCK must be held exclusively.
 */
static void
FreeSlot(StarterSlot *slot)
{
	slot->reapers = false;
	slot->abandoned = false;
	slot->worker_pid = 0;
	slot->generation++;
	SetSlotState(slot, SLOT_FREE);
}

/*
 * Find a slot in some state; STARTER_LOCK must be held.
 */
static StarterSlot *
FindSlot(SlotState state)
{
	for (int i = 0; i < max_worker_processes; i++)
	{
		if (shared->slots[i].state == state)
			return &shared->slots[i];
	}
	return NULL;
}

static bool
LaunchWorker(StarterSlot *slot, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "shared_backup", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "SharedBackupStarterMain", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "shared_backup starter", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "shared_backup starter", BGW_MAXLEN);
	worker.bgw_main_arg = Int32GetDatum(slot - shared->slots);
	memcpy(worker.bgw_extra, &slot->generation, sizeof(slot->generation));
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/*
 * The caller's side
 */

/*
 * Enter the queue: behind those that are as urgent, or if this process has had
 * its turn already, before all others.
 */
static void
EnterQueue(StarterCall *call, bool again)
{
	bool		fast = call->request->fast;
	StarterWaiter *waiter;
	dlist_node *before = &shared->queue.head;
	dlist_iter	iter;

	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	waiter = dlist_container(StarterWaiter, node,
							 dlist_pop_head_node(&shared->spare));
	waiter->fast = fast;
	waiter->latch = MyLatch;
	call->waiter = waiter;

	if (again)
		dlist_push_head(&shared->queue, &waiter->node);
	else if (!fast)
		dlist_push_tail(&shared->queue, &waiter->node);
	else
	{
		dlist_foreach(iter, &shared->queue)
		{
			if (!dlist_container(StarterWaiter, node, iter.cur)->fast)
				break;
			before = iter.cur;
		}
		dlist_insert_after(before, &waiter->node);
	}
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
}

/*
 * Leave the queue; STARTER_LOCK must be held exclusively.
 */
static void
LeaveQueue(StarterCall *call)
{
	dlist_delete(&call->waiter->node);
	dlist_push_head(&shared->spare, &call->waiter->node);
	call->waiter = NULL;
}

/*
 * Is it the turn of this process?  STARTER_LOCK must be held.
 */
static bool
IsMyTurn(StarterCall *call)
{
	int			turns = CountTurns();
	dlist_iter	iter;

	dlist_foreach(iter, &shared->queue)
	{
		if (turns-- <= 0)
			return false;
		if (iter.cur == &call->waiter->node)
			return true;
	}
	return false;
}

/*
 * Is some start at work whose checkpoint is not immediate?  STARTER_LOCK must
 * be held.
 */
static bool
SlowStartAtWork(void)
{
	for (int i = 0; i < max_worker_processes; i++)
	{
		StarterSlot *slot = &shared->slots[i];

		if ((slot->state == SLOT_REQUESTED || slot->state == SLOT_RUNNING) &&
			!slot->request.fast)
			return true;
	}
	return false;
}

/*
 * Put a request into the slot of the reaper's worker, or else into a free one,
 * for which the caller has to launch a worker, and leave the queue.
 *
 * Returns NULL if it is not our turn.  Then *hasten is set if we are held up
 * by something that an immediate checkpoint would end.
 */
static StarterSlot *
PutRequest(StarterCall *call, bool *need_worker, bool *hasten)
{
	StarterSlot *slot = NULL;
	Latch	   *worker = NULL;

	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	*hasten = false;
	if (!IsMyTurn(call))
		*hasten = call->request->fast && SlowStartAtWork();
	else
	{
		LeaveQueue(call);
		slot = FindSlot(SLOT_WARM);
		if (!slot)
			slot = FindSlot(SLOT_LAUNCHING);
		*need_worker = slot == NULL;
		if (!slot)
			slot = FindSlot(SLOT_FREE);
		SetSlotState(slot, SLOT_REQUESTED);
		slot->caller = MyLatch;
		slot->request = *call->request;
		if (*need_worker)
			shared->cold_starts++;
		else
			shared->warm_starts++;
		if (slot->worker_pid != 0)
			worker = slot->worker;
	}
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));

	if (worker)
		SetLatch(worker);
	return slot;
}

/*
 * Wait for our turn, and put the request into a slot.
 */
static StarterSlot *
AwaitTurn(StarterCall *call, bool *need_worker)
{
	for (;;)
	{
		StarterSlot *slot;
		bool		hasten;

		CHECK_FOR_INTERRUPTS();

		slot = PutRequest(call, need_worker, &hasten);
		if (slot)
			return slot;

		/*
		 * The slow start may not have asked for its checkpoint yet, or need
		 * another one, so once is not enough.
		 */
		if (hasten)
			RequestCheckpoint(CHECKPOINT_IMMEDIATE | CHECKPOINT_FORCE);

		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH |
						 (hasten ? WL_TIMEOUT : 0),
						 STARTER_HASTEN_MS,
						 SharedBackupWaitEvent(&wait_event_turn,
											   "SharedBackupStartTurn"));
		ResetLatch(MyLatch);
	}
}

/*
 * Leave a slot because this process cannot wait any longer.
 *
 * Returns whether the reservation belongs to this process.  Otherwise a worker
 * is undoing everything, and *generation is that of the slot until it is done.
 */
static bool
TakeBackRequest(StarterSlot *slot, uint32 *generation)
{
	bool		mine = false;

	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	*generation = slot->generation;
	switch (slot->state)
	{
		case SLOT_REQUESTED:
			mine = true;
			if (!slot->reapers)
				FreeSlot(slot);
			else
				SetSlotState(slot, slot->worker_pid != 0 ? SLOT_WARM :
							 SLOT_LAUNCHING);
			break;
		case SLOT_DECLINED:
			mine = true;
			FreeSlot(slot);
			break;
		case SLOT_DONE:
		case SLOT_FAILED:
			FreeSlot(slot);
			break;
		default:
			Assert(slot->worker_pid != 0);	/* 0 would mean all of us */
			slot->abandoned = true;
			kill(slot->worker_pid, SIGTERM);
			break;
	}
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));

	/* there may be room for a warm worker again */
	ReaperWake();
	return mine;
}

/*
 * Wait until a worker has left a slot.
 */
static void
AwaitWorkerGone(StarterSlot *slot, uint32 generation)
{
	for (;;)
	{
		bool		gone;

		LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_SHARED);
		gone = slot->generation != generation;
		LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
		if (gone)
			break;

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0,
						 SharedBackupWaitEvent(&wait_event_undo,
											   "SharedBackupStartUndo"));
		ResetLatch(MyLatch);
	}
}

/*
 * Undo a start that the caller will not see the end of.
 */
static void
StarterCallCleanup(int code, Datum arg)
{
	StarterCall *call = (StarterCall *) DatumGetPointer(arg);
	uint32		generation = 0;
	bool		mine = true;

	if (call->waiter)
	{
		LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
		LeaveQueue(call);
		WakeQueue();
		LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
	}

	if (call->slot)
		mine = TakeBackRequest(call->slot, &generation);

	if (mine)
	{
		RegistryCancelReservation(&call->request->label, call->request->serial);
		ResultsTrim();
		if (call->handle)
			TerminateBackgroundWorker(call->handle);
	}

	/*
	 * An error must not be reported before everything is undone.  A process
	 * that exits has nobody to report to and should not linger.
	 */
	else if (!proc_exit_inprogress)
	{
		HOLD_INTERRUPTS();
		AwaitWorkerGone(call->slot, generation);
		RESUME_INTERRUPTS();
	}
}

/*
 * The worker's locale and encoding need not be those of our database.
 */
static void
MakePrintable(char *message)
{
	if (!pg_verifymbstr(message, strlen(message), true))
	{
		for (char *p = message; *p; p++)
		{
			if (IS_HIGHBIT_SET(*p))
				*p = '?';
		}
	}
}

static void
ReportWorkerTerminated(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_ADMIN_SHUTDOWN),
			 errmsg("background worker was terminated while starting a shared backup"),
			 errhint("The backup was not started.  More details may be available in the server log.")));
}

static void
ReportWorkerError(StarterError *error)
{
	if (error->sqlerrcode == 0)
		ReportWorkerTerminated();

	MakePrintable(error->message);
	MakePrintable(error->detail);
	MakePrintable(error->hint);
	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg_internal("%s", error->message),
			 error->detail[0] ? errdetail_internal("%s", error->detail) : 0,
			 error->hint[0] ? errhint("%s", error->hint) : 0));
}

/*
 * Wait for the worker to be done with a slot, and leave the slot.
 *
 * Returns how that ended: DONE, with the start point in *startpoint, FAILED,
 * with the reason in *error, or DECLINED.
 */
static SlotState
AwaitWorker(StarterSlot *slot, BackgroundWorkerHandle *handle,
			XLogRecPtr *startpoint, StarterError *error)
{
	for (;;)
	{
		SlotState	state;
		BgwHandleStatus status = BGWH_NOT_YET_STARTED;
		pid_t		pid;

		CHECK_FOR_INTERRUPTS();

		/* in this order, or we might miss the end of the worker */
		if (handle)
			status = GetBackgroundWorkerPid(handle, &pid);

		LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
		state = slot->state;
		if (state == SLOT_DONE)
		{
			*startpoint = slot->startpoint;
			FreeSlot(slot);
		}
		else if (state == SLOT_FAILED)
		{
			*error = slot->error;
			FreeSlot(slot);
		}
		else if (state == SLOT_DECLINED)
			FreeSlot(slot);
		LWLockRelease(SharedBackupGetLock(STARTER_LOCK));

		if (state == SLOT_DONE || state == SLOT_FAILED ||
			state == SLOT_DECLINED)
			return state;
		SHARED_BACKUP_POINT("start-looked", &slot->request.label);

		/* a worker that had taken the request would not leave it like that */
		if (state == SLOT_REQUESTED && status == BGWH_STOPPED)
			ReportWorkerTerminated();

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0,
						 SharedBackupWaitEvent(&wait_event_start,
											   "SharedBackupStart"));
		ResetLatch(MyLatch);
	}
}

static void
ReportNoWorker(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not get a background worker for shared backup"),
			 errhint("You may need to increase \"%s\".",
					 "max_worker_processes")));
}

/*
 * There is no room for another background worker.  Put the request back, and
 * wait a moment: a starter that has done its work may not be quite gone yet.
 * "since" is when there was no room for the first time, 0 if this is it.
 */
static void
AwaitRoom(StarterCall *call, TimestampTz *since)
{
	TimestampTz now = ClockReal();
	uint32		generation;

	(void) TakeBackRequest(call->slot, &generation);
	call->slot = NULL;

	if (*since == 0)
		*since = now;
	else if (now - *since > STARTER_NO_ROOM_PATIENCE_MS * INT64CONST(1000))
		ReportNoWorker();

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 STARTER_ROOM_POLL_MS,
					 SharedBackupWaitEvent(&wait_event_turn,
										   "SharedBackupStartTurn"));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Have a worker start the backup.
 */
static XLogRecPtr
RunInWorker(const StarterRequest *request)
{
	StarterCall call = {request, NULL, NULL, NULL};
	StarterError error;
	XLogRecPtr	startpoint;
	SlotState	end = SLOT_FREE;
	TimestampTz no_room_since = 0;

	PG_ENSURE_ERROR_CLEANUP(StarterCallCleanup, PointerGetDatum(&call));
	{
		SHARED_BACKUP_POINT("start-reserved", &request->label);

		if (max_worker_processes == 0)
			ReportNoWorker();

		do
		{
			bool		need_worker;

			EnterQueue(&call, end == SLOT_DECLINED);
			call.slot = AwaitTurn(&call, &need_worker);
			if (need_worker && !LaunchWorker(call.slot, &call.handle))
			{
				AwaitRoom(&call, &no_room_since);
				end = SLOT_DECLINED;
				continue;
			}

			SHARED_BACKUP_POINT("start-requested", &request->label);
			end = AwaitWorker(call.slot, call.handle, &startpoint, &error);
			call.slot = NULL;
		} while (end == SLOT_DECLINED);
	}
	PG_END_ENSURE_ERROR_CLEANUP(StarterCallCleanup, PointerGetDatum(&call));

	if (end == SLOT_FAILED)
		ReportWorkerError(&error);
	return startpoint;
}

/*
 * The worker's side
 */

static void
ForgetStateFile(const BackupLabel *label, uint64 file)
{
	if (file == 0)
		return;

	DurableLock(file);
	(void) DurableForget(label, file, LOG);
	DurableUnlock(file);
}

/*
 * Undo what has been done so far, unless the backup is ACTIVE.
 *
 * This and StarterExitReport() run at the exit of the worker, for whatever
 * reason.
 */
static void
StarterExitUndo(int code, Datum arg)
{
	const StarterRequest *request = work.request;

	if (!request || work.published)
		return;

	/* in this order, so that core never counts fewer backups than are live */
	RegistryCancelReservation(&request->label, request->serial);
	RegistryFreeFiles(&work.record);
	ForgetStateFile(&request->label, work.record.file);
	if (get_backup_status() == SESSION_BACKUP_RUNNING)
		CoreBackupUndoStart();
	else if (work.detached)
		CoreBackupRelease();
	ResultsTrim();
}

/*
 * Leave the slot, with the start point or with the error.
 */
static void
LeaveSlot(void)
{
	StarterSlot *slot = work.slot;
	Latch	   *caller = NULL;

	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	slot->worker_pid = 0;
	if (slot->state == SLOT_WARM || slot->abandoned)
		FreeSlot(slot);
	else if (slot->state == SLOT_REQUESTED)
		SetSlotState(slot, SLOT_DECLINED);
	else if (work.published)
	{
		slot->startpoint = work.record.core.startpoint;
		SetSlotState(slot, SLOT_DONE);
	}
	else
	{
		slot->error = work.error;
		SetSlotState(slot, SLOT_FAILED);
	}
	if (work.request || slot->state == SLOT_DECLINED)
		caller = slot->caller;
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
	work.slot = NULL;

	/* only now, or it would wait for the lock next */
	if (caller)
		SetLatch(caller);
}

static void
StarterExitReport(int code, Datum arg)
{
	if (work.slot)
		LeaveSlot();

	/* there may be a warm worker to replace */
	ReaperWake();
}

/*
 * Enter the slot that this worker was launched for, unless it came too late,
 * and take the request if there is one already.
 */
static void
EnterSlot(StarterSlot *slot, uint32 generation)
{
	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	if (slot->generation == generation &&
		(slot->state == SLOT_LAUNCHING || slot->state == SLOT_REQUESTED))
	{
		work.slot = slot;
		if (slot->state == SLOT_REQUESTED)
			work.request = &slot->request;
		slot->worker_pid = MyProcPid;
		slot->worker = MyLatch;
		SetSlotState(slot, work.request ? SLOT_RUNNING : SLOT_WARM);
	}
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
}

/*
 * Touch in advance what a start needs, so that a request does not have to wait
 * for page faults, and for this process to attach to shared memory.
 */
static void
Rehearse(void)
{
	BackupLabel label = {0};
	BackupSnapshot snapshot;

	(void) RegistryLookup(&label, 0, &snapshot);	/* no label is empty */
	RegistryRehearseStore(256); /* about as long as a label file */
	CoreRehearse();
}

/*
 * Wait for a request, and take it.
 *
 * A worker that is terminated while it has nothing to do ends without a word.
 */
static void
AwaitRequest(void)
{
	StarterSlot *slot = work.slot;

	Rehearse();

	for (;;)
	{
		ResetLatch(MyLatch);

		if (ProcDiePending)
			proc_exit(0);

		/* core writes the time into the label file as "log_timezone" says */
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
		if (slot->state == SLOT_REQUESTED)
		{
			SetSlotState(slot, SLOT_RUNNING);
			work.request = &slot->request;
		}
		LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
		if (work.request)
			break;
		SHARED_BACKUP_POINT("starter-looked", NULL);

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0,
						 SharedBackupWaitEvent(&wait_event_warm,
											   "SharedBackupStarterWarm"));
	}
}

/*
 * Start the backup and make it known.
 */
static void
StartAndPublish(void)
{
	const StarterRequest *request = work.request;
	StringInfoData labelfile;
	StringInfoData spcmapfile;
	BackupFiles files = {0};
	BackupLabel label;
	uint64		replaced_file;

	SHARED_BACKUP_POINT("start-taken", &request->label);

	/* the WAL from the start point on must be kept until it is looked at */
	if (shared_backup_durable && RecoveryInProgress())
		ReaperAwaitRound();

	initStringInfo(&labelfile);
	initStringInfo(&spcmapfile);
	CoreBackupStart(request->label.text, request->fast, &work.record.core,
					&labelfile, &spcmapfile);
	if (!work.slot)
	{
		CoreBackupDetach();
		work.detached = true;
	}

	SHARED_BACKUP_POINT("start-point-taken", &request->label);
	files.data[FILE_LABEL] = labelfile.data;
	files.len[FILE_LABEL] = labelfile.len;
	files.data[FILE_TABLESPACE_MAP] = spcmapfile.data;
	files.len[FILE_TABLESPACE_MAP] = spcmapfile.len;
	if (shared_backup_durable)
	{
		Size		len;

		files.data[FILE_CONTROL] = CoreControlFileAtStart(&len);
		files.len[FILE_CONTROL] = len;
	}
	RegistryStoreFiles(&work.record, &files);
	work.record.owner = request->owner;
	work.record.token = request->token;
	work.record.unarchived = !XLogArchivingActive();

	/* From here until it is published, only errors can stop us, then nothing. */
	CHECK_FOR_INTERRUPTS();
	HOLD_INTERRUPTS();
	if (shared_backup_durable)
	{
		work.record.file = request->serial;
		DurableLock(work.record.file);
		RegistrySetStartTime(&work.record, request->ttl);
		(void) DurableSave(&request->label, &work.record, BACKUP_ACTIVE, false,
						   &files, ERROR);
	}
	replaced_file = RegistryPublishStart(&request->label, request->serial,
										 request->ttl, &work.record);
	work.published = true;
	if (shared_backup_durable)
		DurableUnlock(work.record.file);
	SHARED_BACKUP_POINT("start-published", &request->label);
	label = request->label;		/* which may be in the slot */
	if (work.slot)
		LeaveSlot();
	ForgetStateFile(&label, replaced_file);
	RESUME_INTERRUPTS();
}

static void
SetStarterError(const ErrorData *edata)
{
	work.error.sqlerrcode = edata->sqlerrcode;
	strlcpy(work.error.message, edata->message ? edata->message : "",
			STARTER_MESSAGE_SIZE);
	strlcpy(work.error.detail, edata->detail ? edata->detail : "",
			STARTER_MESSAGE_SIZE);
	strlcpy(work.error.hint, edata->hint ? edata->hint : "",
			STARTER_MESSAGE_SIZE);
}

/*
 * Let the caller answer first.  The end of this process, and the launch of the
 * next, take longer than a start, and where there are few processors the caller
 * would have to wait for them.
 */
static void
Linger(void)
{
	ResetLatch(MyLatch);
	if (!ProcDiePending)
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 STARTER_LINGER_MS,
						 SharedBackupWaitEvent(&wait_event_linger,
											   "SharedBackupStarterLinger"));
}

void
SharedBackupStarterMain(Datum main_arg)
{
	StarterSlot *slot = &shared->slots[DatumGetInt32(main_arg)];
	MemoryContext context = CurrentMemoryContext;
	uint32		generation;

	/*
	 * The default handler would exit within the signal handler, perhaps while
	 * we hold the WAL insertion locks, which the clean-up needs.
	 */
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	before_shmem_exit(StarterExitReport, (Datum) 0);
	before_shmem_exit(StarterExitUndo, (Datum) 0);	/* runs first */
	EnterSlot(slot, generation);
	if (!work.slot)
		proc_exit(0);
	if (!work.request)
		AwaitRequest();

	PG_TRY();
	{
		StartAndPublish();
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		/* the caller will report the error */
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		LWLockReleaseAll();
		SetStarterError(edata);
		proc_exit(0);
	}
	PG_END_TRY();

	Linger();
	proc_exit(0);
}

/*
 * Without a worker
 */

static void
StartHereCleanup(int code, Datum arg)
{
	HOLD_INTERRUPTS();
	LWLockReleaseAll();			/* that of the state file may be held */
	StarterExitUndo(code, arg);
	RESUME_INTERRUPTS();
}

/*
 * Start the backup in this process, which must not run one of its own.
 */
static XLogRecPtr
StartHere(const StarterRequest *request)
{
	memset(&work, 0, sizeof(work));
	work.request = request;

	PG_ENSURE_ERROR_CLEANUP(StartHereCleanup, (Datum) 0);
	{
		SHARED_BACKUP_POINT("start-reserved", &request->label);
		StartAndPublish();
	}
	PG_END_ENSURE_ERROR_CLEANUP(StartHereCleanup, (Datum) 0);

	return work.record.core.startpoint;
}

/*
 * Start the backup for which the caller holds a reservation.  Returns the
 * start point.  If this fails, the reservation is gone.
 */
XLogRecPtr
StarterRun(const StarterRequest *request)
{
	XLogRecPtr	startpoint;

	if (CORE_CAN_DETACH && get_backup_status() == SESSION_BACKUP_NONE)
		startpoint = StartHere(request);
	else
		startpoint = RunInWorker(request);

	SHARED_BACKUP_POINT("start-accepted", &request->label);
	return startpoint;
}

/*
 * The reaper's side
 */

/*
 * Give up on a worker that has not come; STARTER_LOCK must be held
 * exclusively.
 */
static void
RevokeLaunch(StarterSlot *slot)
{
	if (slot->worker_pid != 0)
		return;

	if (slot->state == SLOT_LAUNCHING)
		FreeSlot(slot);
	else if (slot->state == SLOT_REQUESTED && slot->reapers)
	{
		SetSlotState(slot, SLOT_DECLINED);
		SetLatch(slot->caller);
	}
}

/*
 * Are we still waiting for the worker launched last to enter its slot?
 */
static bool
LaunchPending(void)
{
	pid_t		pid;
	bool		stopped;
	bool		pending;

	if (!launch.handle)
		return false;

	/* in this order, or we might give up on one that has come and gone */
	stopped = GetBackgroundWorkerPid(launch.handle, &pid) == BGWH_STOPPED;

	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	pending = launch.slot->generation == launch.generation &&
		launch.slot->worker_pid == 0;
	if (pending && stopped)
	{
		RevokeLaunch(launch.slot);
		pending = false;
	}
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));

	if (!pending)
	{
		pfree(launch.handle);
		launch.handle = NULL;
	}
	return pending;
}

/*
 * Revoke what an earlier reaper launched, which only that one could watch.
 */
static void
RevokeLeftovers(void)
{
	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	for (int i = 0; i < max_worker_processes; i++)
		RevokeLaunch(&shared->slots[i]);
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
}

/*
 * The reaper has loaded the settings: from now on that many starters may be
 * used.
 */
void
StarterLoadSettings(void)
{
	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	shared->max_starters = shared_backup_max_starters;
	WakeQueue();
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
}

/*
 * Launch a warm worker if there is none and there may be one, and end the one
 * there is if there may not be so many any more.
 *
 * Returns the time when this should be called again, at the latest; it should
 * also be called when a worker has started, left its slot, or ended.
 */
TimestampTz
StarterKeepWarm(void)
{
	TimestampTz now = ClockReal();
	TimestampTz again = DT_NOEND;
	StarterSlot *slot = NULL;
	StarterSlot *warm;
	int			busy;
	int			idle;

	if (!launch.active)
	{
		RevokeLeftovers();
		launch.active = true;
	}
	if (LaunchPending())
		return DT_NOEND;

	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	CountWorkers(&busy, &idle);
	warm = FindSlot(SLOT_WARM);
	if (warm && busy + idle > shared->max_starters)
		kill(warm->worker_pid, SIGTERM);
	else if (!CORE_CAN_DETACH && idle == 0 && busy < shared->max_starters)
	{
		/* do not spin if something ends every worker */
		if (launch.warm_starts == shared->warm_starts &&
			launch.not_before > now)
			again = launch.not_before;
		else if ((slot = FindSlot(SLOT_FREE)) == NULL)
			again = TimestampTzPlusMilliseconds(now, STARTER_NO_ROOM_MS);
		else
		{
			SetSlotState(slot, SLOT_LAUNCHING);
			slot->reapers = true;
			launch.slot = slot;
			launch.generation = slot->generation;
			launch.warm_starts = shared->warm_starts;
		}
	}
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
	if (!slot)
		return again;

	if (LaunchWorker(slot, &launch.handle))
		launch.not_before = TimestampTzPlusMilliseconds(now,
														STARTER_RELAUNCH_MS);
	else
	{
		LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
		RevokeLaunch(slot);
		LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
		again = TimestampTzPlusMilliseconds(now, STARTER_NO_ROOM_MS);
	}
	return again;
}

/*
 * Describe the state of affairs, for tests.
 */
void
StarterGetStatus(StarterStatus *status)
{
	StarterSlot *slot;

	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_SHARED);
	slot = FindSlot(SLOT_WARM);
	status->warm_pid = slot ? slot->worker_pid : 0;
	status->warm_starts = shared->warm_starts;
	status->cold_starts = shared->cold_starts;
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
}

/*
 * The starters that there are, for the view.  Returns how many, and an array
 * of them.
 */
StarterInfo *
StarterList(int *nstarters)
{
	StarterInfo *starters = palloc0(max_worker_processes *
									sizeof(StarterInfo));
	int			n = 0;

	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_SHARED);
	for (int i = 0; i < max_worker_processes; i++)
	{
		StarterSlot *slot = &shared->slots[i];
		StarterInfo *starter = &starters[n];

		switch (slot->state)
		{
			case SLOT_LAUNCHING:
				starter->state = "launching";
				break;
			case SLOT_WARM:
				starter->state = "warm";
				break;
			case SLOT_REQUESTED:
				starter->state = "requested";
				break;
			case SLOT_RUNNING:
				starter->state = "running";
				break;
			default:
				continue;
		}
		starter->pid = slot->worker_pid;
		starter->since = slot->since;
		if (slot->state == SLOT_REQUESTED || slot->state == SLOT_RUNNING)
			starter->label = slot->request.label;
		n++;
	}
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));

	*nstarters = n;
	return starters;
}
