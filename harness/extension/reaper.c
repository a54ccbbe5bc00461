/*-------------------------------------------------------------------------
 *
 * reaper.c
 *	  The background worker that expires and forgets backups.
 *
 * The reaper sleeps until the next backup expires or is to be forgotten.  It
 * is woken when a nearer time comes up, and when somebody needs to know that
 * everything overdue has been dealt with: ReaperAwaitRound().  If it ends for
 * any reason, the postmaster starts another one, whose first round makes up
 * for what was missed.
 *
 * It also keeps a warm worker for starts, see starter.c, and is woken when
 * that may have to be replaced.  It makes no round for that, because a round
 * looks at all backups.
 *
 * The fields of ReaperShared are protected by REAPER_LOCK, except for the
 * condition variable.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "durable.h"
#include "instruments.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "injection_points.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "reaper.h"
#include "registry.h"
#include "results.h"
#include "resume.h"
#include "standby.h"
#include "starter.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#endif

/* longest sleep */
#define REAPER_MAX_SLEEP_MS		(60 * 60 * 1000)

/* backups with state files that are dealt with at a time */
#define MAX_DUE					256

/* how long to wait before trying again to write a state file */
#define REAPER_RETRY_MS			10000

typedef struct ReaperShared
{
	pid_t		pid;			/* 0 if not running */
	Latch	   *latch;			/* NULL if not running */
	bool		round_wanted;
	uint64		rounds_begun;
	uint64		rounds_done;	/* number of the last completed round */
	TimestampTz settings_loaded;
	ConditionVariable round_done;
} ReaperShared;

static ReaperShared *shared = NULL;

/* backups with state files that are to be dealt with, in this process */
static DueBackup due_backups[MAX_DUE];

static uint32 wait_event_main = 0;
static uint32 wait_event_round = 0;

Size
ReaperShmemSize(void)
{
	return sizeof(ReaperShared);
}

void
ReaperShmemInit(void)
{
	bool		found;

	shared = ShmemInitStruct("shared_backup reaper", sizeof(ReaperShared),
							 &found);
	if (!found)
	{
		memset(shared, 0, sizeof(ReaperShared));
		ConditionVariableInit(&shared->round_done);
	}
}

/*
 * Have the postmaster run the reaper.
 */
void
ReaperRegister(void)
{
	BackgroundWorker worker = {0};

	/* The connection, to no database, makes it visible to pg_stat_activity. */
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "shared_backup", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "SharedBackupReaperMain", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "shared_backup reaper", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "shared_backup reaper", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/*
 * Make the reaper look for work.  If it is not running, it will do so anyway
 * as soon as it is.
 */
void
ReaperWake(void)
{
	LWLockAcquire(SharedBackupGetLock(REAPER_LOCK), LW_SHARED);
	if (shared->latch)
		SetLatch(shared->latch);
	LWLockRelease(SharedBackupGetLock(REAPER_LOCK));
}

/*
 * Wait until the reaper has completed a round that began after this call.
 */
void
ReaperAwaitRound(void)
{
	uint32		wait_event = SharedBackupWaitEvent(&wait_event_round,
												   "SharedBackupReaperRound");
	uint64		before;
	uint64		done;

	LWLockAcquire(SharedBackupGetLock(REAPER_LOCK), LW_EXCLUSIVE);
	before = shared->rounds_begun;
	shared->round_wanted = true;
	if (shared->latch)
		SetLatch(shared->latch);
	LWLockRelease(SharedBackupGetLock(REAPER_LOCK));

	ConditionVariablePrepareToSleep(&shared->round_done);
	for (;;)
	{
		LWLockAcquire(SharedBackupGetLock(REAPER_LOCK), LW_SHARED);
		done = shared->rounds_done;
		LWLockRelease(SharedBackupGetLock(REAPER_LOCK));
		if (done > before)
			break;
		ConditionVariableSleep(&shared->round_done, wait_event);
	}
	ConditionVariableCancelSleep();
}

void
ReaperGetStatus(ReaperStatus *status)
{
	LWLockAcquire(SharedBackupGetLock(REAPER_LOCK), LW_SHARED);
	status->pid = shared->pid;
	status->rounds = shared->rounds_done;
	status->settings_loaded = shared->settings_loaded;
	LWLockRelease(SharedBackupGetLock(REAPER_LOCK));
}

static void
ReaperExit(int code, Datum arg)
{
	LWLockAcquire(SharedBackupGetLock(REAPER_LOCK), LW_EXCLUSIVE);
	shared->pid = 0;
	shared->latch = NULL;
	LWLockRelease(SharedBackupGetLock(REAPER_LOCK));
}

static void
NoteSettingsLoaded(void)
{
	TimestampTz now = GetCurrentTimestamp();

	StarterLoadSettings();
	RegistryLoadSettings();
	ResultsTrim();

	LWLockAcquire(SharedBackupGetLock(REAPER_LOCK), LW_EXCLUSIVE);
	shared->settings_loaded = now;
	LWLockRelease(SharedBackupGetLock(REAPER_LOCK));
}

static void
FreeFiles(BackupFiles *files)
{
	for (int i = 0; i < NUM_BACKUP_FILES; i++)
		pfree(files->data[i]);
}

/*
 * Expire an overdue backup that has a state file.  Returns whether that is done
 * with, as opposed to being tried again later.
 *
 * The file comes first: if core let go of a backup that a file says is ACTIVE,
 * it could be ACTIVE again after a restart, should the clock have been set
 * back.  Removing the file serves as well, if the disk is full: after a restart
 * the backup is unknown, which is no worse than expired.
 */
static bool
ExpireDurably(const DueBackup *item)
{
	const BackupLabel *label = &item->label;
	uint64		file = item->record.file;
	BackupFiles no_files = {0};
	BackupFiles files;
	BackupSnapshot snapshot;
	bool		release = false;
	bool		done = true;

	DurableLock(file);
	(void) RegistryLookup(label, ClockNow(), &snapshot);
	if (snapshot.serial == item->serial &&
		snapshot.stored_phase == BACKUP_ACTIVE &&
		snapshot.phase != BACKUP_ACTIVE &&
		RegistryReadFiles(label, &snapshot, &files))
	{
		done = DurableSave(label, &item->record, BACKUP_EXPIRED, false,
						   &no_files, LOG) ||
			DurableForget(label, file, LOG);

		/* if the clock was set back and it has been claimed, that comes first */
		if (done && !RegistryExpire(label, item->serial,
									item->record.forget_at, &release))
			(void) DurableSave(label, &snapshot.record, BACKUP_ACTIVE, false,
							   &files, WARNING);
		FreeFiles(&files);
	}
	DurableUnlock(file);

	if (release)
	{
		SHARED_BACKUP_POINT("reaper-expired", label);
		CoreBackupRelease();
	}
	return done;
}

/*
 * Expire and forget what is due among backups without state files, and find
 * what is due among others.  Returns how many of those there are.
 */
static int
ReapRegistry(int skip)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int nreleases = 0;
	int			ndue = 0;

	/*
	 * Between the two steps core counts more backups than are live, which is
	 * the safe side.  They must both happen: nobody else knows that core has
	 * yet to be released.
	 */
	HOLD_INTERRUPTS();
	PG_TRY();
	{
		RegistryReap(ClockNow(), skip, due_backups, MAX_DUE, &ndue, &nreleases);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		/* before version 16 a release forgets all errors, this one too */
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		LWLockReleaseAll();
		while (nreleases-- > 0)
			CoreBackupRelease();
		ReThrowError(edata);
	}
	PG_END_TRY();

	if (nreleases > 0)
		SHARED_BACKUP_POINT("reaper-expired", NULL);
	while (nreleases-- > 0)
		CoreBackupRelease();
	RESUME_INTERRUPTS();
	return ndue;
}

/*
 * Expire and forget what is due, or as many backups as there is room for.
 * Returns whether there may be more, such as what has expired just now and is
 * not to be remembered.  *nfailed counts those that have to be tried later.
 */
static bool
ReapBatch(int *nfailed)
{
	int			ndue = ReapRegistry(*nfailed);

	for (int i = 0; i < ndue; i++)
	{
		DueBackup  *item = &due_backups[i];

		/* as above, but files take their time */
		HOLD_INTERRUPTS();
		if (item->forgotten)
			DurableForgetEnded(&item->label, &item->record, LOG);
		else if (!ExpireDurably(item))
			(*nfailed)++;
		RESUME_INTERRUPTS();
		CHECK_FOR_INTERRUPTS();
	}
	ResultsTrim();
	return ndue > 0;
}

/*
 * Deal with everything that is due.
 */
static void
ReaperRound(void)
{
	uint64		round;
	int			nfailed = 0;

	LWLockAcquire(SharedBackupGetLock(REAPER_LOCK), LW_EXCLUSIVE);
	shared->round_wanted = false;
	round = ++shared->rounds_begun;
	LWLockRelease(SharedBackupGetLock(REAPER_LOCK));

	StandbyLook();
	SHARED_BACKUP_POINT("reaper-expiring", RegistryOverdueLabel(ClockNow()));

	while (ReapBatch(&nfailed))
		;
	if (nfailed > 0)
		RegistryNoteDue(TimestampTzPlusMilliseconds(ClockNow(),
													REAPER_RETRY_MS));

	LWLockAcquire(SharedBackupGetLock(REAPER_LOCK), LW_EXCLUSIVE);
	shared->rounds_done = round;
	LWLockRelease(SharedBackupGetLock(REAPER_LOCK));
	ConditionVariableBroadcast(&shared->round_done);
}

static bool
RoundWanted(void)
{
	bool		wanted;

	LWLockAcquire(SharedBackupGetLock(REAPER_LOCK), LW_SHARED);
	wanted = shared->round_wanted;
	LWLockRelease(SharedBackupGetLock(REAPER_LOCK));
	return wanted;
}

static long
MillisecondsUntil(TimestampTz due, TimestampTz now)
{
	if (due >= now + REAPER_MAX_SLEEP_MS * INT64CONST(1000))
		return REAPER_MAX_SLEEP_MS;
	return TimestampDifferenceMilliseconds(now, due);
}

void
SharedBackupReaperMain(Datum main_arg)
{
	/*
	 * We only look at these flags between rounds.  The exit code has to be
	 * other than 0, or the postmaster would not start another reaper.
	 */
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	before_shmem_exit(ReaperExit, (Datum) 0);
	LWLockAcquire(SharedBackupGetLock(REAPER_LOCK), LW_EXCLUSIVE);
	shared->pid = MyProcPid;
	shared->latch = MyLatch;
	LWLockRelease(SharedBackupGetLock(REAPER_LOCK));
	NoteSettingsLoaded();

	if (!shared_backup_durable)
		StandbyForgetSlot();
	if (!RegistryReady())
		ResumeBackups();
	ReaperRound();

	while (!ShutdownRequestPending)
	{
		TimestampTz warm_due;
		long		sleep_ms;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			NoteSettingsLoaded();
		}

		if (RegistryNextDue() <= ClockNow() || RoundWanted())
			ReaperRound();
		else if (StandbyNextLook() <= GetCurrentTimestamp())
			StandbyLook();
		warm_due = StarterKeepWarm();

		/* tests can move the clock that backups expire by, but not the other */
		sleep_ms = Min(MillisecondsUntil(RegistryNextDue(), ClockNow()),
					   MillisecondsUntil(warm_due, ClockReal()));
		sleep_ms = Min(sleep_ms, MillisecondsUntil(StandbyNextLook(),
												   GetCurrentTimestamp()));
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 sleep_ms,
						 SharedBackupWaitEvent(&wait_event_main,
											   "SharedBackupReaperMain"));
	}

	proc_exit(1);
}
