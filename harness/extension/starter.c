/*-------------------------------------------------------------------------
 *
 * starter.c
 *	  Starting a backup in a background worker.
 *
 * Core remembers in the process that started a backup that it did, and would
 * confuse that backup with the process's own one.  So we start backups in
 * background workers, which end afterwards.
 *
 * Caller and worker meet in a slot, which goes through these states:
 *
 *	 FREE		nobody uses it
 *	 REQUESTED	the caller has put its request here and asked for a worker; the
 *				reservation in the registry belongs to the caller
 *	 RUNNING	a worker has taken the request, and the reservation with it
 *	 DONE		the backup is ACTIVE; the worker waits to be told that the
 *				caller knows, because until then it may have to undo the start
 *	 ACCEPTED	the caller knows; the worker ends and frees the slot
 *	 FAILED		the worker has undone everything and ends; the caller takes the
 *				error and frees the slot
 *
 * A caller that cannot wait any longer gives up its own REQUESTED slot;
 * otherwise it marks the slot abandoned and terminates the worker, which
 * undoes everything and frees the slot.  So there is one process responsible
 * at any time, and whichever of the two ends early, nothing is left behind.
 *
 * A slot has a new generation number whenever it is freed, so that a worker
 * that comes too late finds out.
 *
 * Everything in a slot is protected by STARTER_LOCK, except that the request
 * does not change while the slot is in use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "instruments.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "registry.h"
#include "starter.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#endif

/* longer error messages are cut */
#define STARTER_MESSAGE_SIZE	1024

typedef enum SlotState
{
	SLOT_FREE,
	SLOT_REQUESTED,
	SLOT_RUNNING,
	SLOT_DONE,
	SLOT_ACCEPTED,
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
	uint32		generation;
	bool		abandoned;		/* the worker frees the slot */
	Latch	   *caller;
	Latch	   *worker;			/* valid from RUNNING on */

	/* request */
	BackupLabel label;
	uint64		serial;			/* of the reservation */
	bool		fast;
	int64		ttl;			/* in microseconds, or PG_INT64_MAX */
	Oid			owner;

	/* result */
	XLogRecPtr	startpoint;
	StarterError error;
} StarterSlot;

/* What a caller has to undo when it fails. */
typedef struct StarterCall
{
	const BackupLabel *label;
	uint64		serial;
	StarterSlot *slot;			/* NULL if none yet */
	BackgroundWorkerHandle *handle; /* NULL if none yet */
} StarterCall;

/* What a worker has to undo when it fails. */
typedef struct StarterWork
{
	StarterSlot *slot;			/* NULL if nothing */
	bool		published;
	BackupRecord record;
	BackupRecord prior;			/* valid if published */
	StarterError error;
} StarterWork;

static StarterSlot *slots = NULL;
static StarterWork work;
static uint32 wait_event_start = 0;
static uint32 wait_event_accept = 0;

Size
StarterShmemSize(void)
{
	return mul_size(max_worker_processes, sizeof(StarterSlot));
}

void
StarterShmemInit(void)
{
	bool		found;

	slots = ShmemInitStruct("shared_backup starter", StarterShmemSize(),
							&found);
	if (!found)
		memset(slots, 0, StarterShmemSize());
}

/*
 * Free a slot; STARTER_LOCK must be held exclusively.
 */
static void
FreeSlot(StarterSlot *slot)
{
	slot->state = SLOT_FREE;
	slot->generation++;
}

/*
 * The caller's side
 */

static StarterSlot *
TakeFreeSlot(const BackupLabel *label, uint64 serial, bool fast, int64 ttl,
			 Oid owner)
{
	StarterSlot *slot = NULL;

	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	for (int i = 0; i < max_worker_processes; i++)
	{
		if (slots[i].state == SLOT_FREE)
		{
			slot = &slots[i];
			slot->state = SLOT_REQUESTED;
			slot->abandoned = false;
			slot->caller = MyLatch;
			slot->label = *label;
			slot->serial = serial;
			slot->fast = fast;
			slot->ttl = ttl;
			slot->owner = owner;
			break;
		}
	}
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
	return slot;
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
	worker.bgw_main_arg = Int32GetDatum(slot - slots);
	memcpy(worker.bgw_extra, &slot->generation, sizeof(slot->generation));
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/*
 * Undo a start that the caller will not see the end of.
 */
static void
StarterCallCleanup(int code, Datum arg)
{
	StarterCall *call = (StarterCall *) DatumGetPointer(arg);
	bool		mine = true;

	if (call->slot)
	{
		LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
		mine = call->slot->state == SLOT_REQUESTED;
		if (mine || call->slot->state == SLOT_FAILED)
			FreeSlot(call->slot);
		else
			call->slot->abandoned = true;
		LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
	}

	if (mine)
		RegistryCancelReservation(call->label, call->serial);

	if (call->handle)
		TerminateBackgroundWorker(call->handle);

	/*
	 * An error must not be reported before everything is undone.  A process
	 * that exits has nobody to report to and should not linger.
	 */
	if (!mine && !proc_exit_inprogress)
	{
		HOLD_INTERRUPTS();
		(void) WaitForBackgroundWorkerShutdown(call->handle);
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
 * Returns whether the backup was started, with the start point in *startpoint,
 * otherwise the reason why not in *error.
 */
static bool
AwaitWorker(StarterSlot *slot, BackgroundWorkerHandle *handle,
			XLogRecPtr *startpoint, StarterError *error)
{
	for (;;)
	{
		SlotState	state;
		BgwHandleStatus status;
		pid_t		pid;

		CHECK_FOR_INTERRUPTS();

		/* in this order, or we might miss the end of the worker */
		status = GetBackgroundWorkerPid(handle, &pid);

		LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
		state = slot->state;
		if (state == SLOT_DONE)
		{
			*startpoint = slot->startpoint;
			slot->state = SLOT_ACCEPTED;
			SetLatch(slot->worker);
		}
		else if (state == SLOT_FAILED)
		{
			*error = slot->error;
			FreeSlot(slot);
		}
		LWLockRelease(SharedBackupGetLock(STARTER_LOCK));

		if (state == SLOT_DONE)
			return true;
		if (state == SLOT_FAILED)
			return false;

		/* a worker that had taken the request would not leave it like that */
		if (state == SLOT_REQUESTED && status == BGWH_STOPPED)
			ReportWorkerTerminated();

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0,
						 SharedBackupWaitEvent(&wait_event_start,
											   "SharedBackupStart"));
		ResetLatch(MyLatch);
	}
}

/*
 * Start the backup for which the caller holds a reservation.  Returns the
 * start point.  If this fails, the reservation is gone.
 */
XLogRecPtr
StarterRun(const BackupLabel *label, uint64 serial, bool fast, int64 ttl,
		   Oid owner)
{
	StarterCall call = {label, serial, NULL, NULL};
	StarterError error;
	XLogRecPtr	startpoint;
	bool		done;

	PG_ENSURE_ERROR_CLEANUP(StarterCallCleanup, PointerGetDatum(&call));
	{
		call.slot = TakeFreeSlot(label, serial, fast, ttl, owner);
		if (!call.slot || !LaunchWorker(call.slot, &call.handle))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("could not get a background worker for shared backup"),
					 errhint("You may need to increase \"%s\".",
							 "max_worker_processes")));

		done = AwaitWorker(call.slot, call.handle, &startpoint, &error);
	}
	PG_END_ENSURE_ERROR_CLEANUP(StarterCallCleanup, PointerGetDatum(&call));

	if (!done)
		ReportWorkerError(&error);
	return startpoint;
}

/*
 * The worker's side
 */

/*
 * Undo what has been done so far, unless the caller knows of the backup.
 *
 * This and StarterExitReport() run at the exit of the worker, for whatever
 * reason.
 */
static void
StarterExitUndo(int code, Datum arg)
{
	StarterSlot *slot = work.slot;
	bool		accepted;
	bool		release_core;

	if (!slot)
		return;

	/* from here on, the caller cannot accept the result */
	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	accepted = slot->state == SLOT_ACCEPTED;
	if (!accepted)
		slot->state = SLOT_RUNNING;
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));

	if (accepted)
	{
		RegistryFreeFiles(&work.prior);
		return;
	}

	/* in this order, so that core never counts fewer backups than are live */
	if (work.published)
		release_core = RegistryRetractStart(&slot->label, slot->serial,
											&work.prior);
	else
	{
		release_core = get_backup_status() == SESSION_BACKUP_RUNNING;
		RegistryCancelReservation(&slot->label, slot->serial);
		RegistryFreeFiles(&work.record);
	}
	if (release_core)
		CoreBackupUndoStart();
}

/*
 * Leave the slot.
 */
static void
StarterExitReport(int code, Datum arg)
{
	StarterSlot *slot = work.slot;

	if (!slot)
		return;

	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	if (slot->state == SLOT_ACCEPTED || slot->abandoned)
		FreeSlot(slot);
	else
	{
		slot->error = work.error;
		slot->state = SLOT_FAILED;
		SetLatch(slot->caller);
	}
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
}

/*
 * Take over the request in a slot, unless it has been given up.
 */
static void
TakeRequest(StarterSlot *slot, uint32 generation)
{
	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	if (slot->generation == generation && slot->state == SLOT_REQUESTED)
	{
		slot->state = SLOT_RUNNING;
		slot->worker = MyLatch;
		work.slot = slot;
	}
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
}

/*
 * Start the backup and make it known.
 */
static void
StartAndPublish(void)
{
	StarterSlot *slot = work.slot;
	StringInfoData labelfile;
	StringInfoData spcmapfile;

	initStringInfo(&labelfile);
	initStringInfo(&spcmapfile);
	CoreBackupStart(slot->label.text, slot->fast, &work.record.core,
					&labelfile, &spcmapfile);

	/* From here until it is published, only errors can stop us. */
	HOLD_INTERRUPTS();
	RegistryStoreFiles(&work.record, labelfile.data, labelfile.len,
					   spcmapfile.data, spcmapfile.len);
	work.record.owner = slot->owner;
	work.record.start_time = ClockNow();
	work.record.expires_at = TimestampTzAfter(work.record.start_time,
											  slot->ttl);
	RegistryPublishStart(&slot->label, slot->serial, &work.record,
						 &work.prior);
	work.published = true;
	RESUME_INTERRUPTS();

	LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_EXCLUSIVE);
	slot->startpoint = work.record.core.startpoint;
	slot->state = SLOT_DONE;
	SetLatch(slot->caller);
	LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
}

/*
 * Wait until the caller knows, which takes microseconds.
 */
static void
AwaitAcceptance(void)
{
	for (;;)
	{
		bool		accepted;

		CHECK_FOR_INTERRUPTS();

		LWLockAcquire(SharedBackupGetLock(STARTER_LOCK), LW_SHARED);
		accepted = work.slot->state == SLOT_ACCEPTED;
		LWLockRelease(SharedBackupGetLock(STARTER_LOCK));
		if (accepted)
			break;

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0,
						 SharedBackupWaitEvent(&wait_event_accept,
											   "SharedBackupStartAccept"));
		ResetLatch(MyLatch);
	}
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

void
SharedBackupStarterMain(Datum main_arg)
{
	StarterSlot *slot = &slots[DatumGetInt32(main_arg)];
	MemoryContext context = CurrentMemoryContext;
	uint32		generation;

	/*
	 * The default handler would exit within the signal handler, perhaps while
	 * we hold the WAL insertion locks, which the clean-up needs.
	 */
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	before_shmem_exit(StarterExitReport, (Datum) 0);
	before_shmem_exit(StarterExitUndo, (Datum) 0);	/* runs first */
	TakeRequest(slot, generation);
	if (!work.slot)
		proc_exit(0);

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

	AwaitAcceptance();
	proc_exit(0);
}
