/*-------------------------------------------------------------------------
 *
 * resume.c
 *	  Carrying backups over a restart of the server.
 *
 * When the server has been started, and again when it has been restarted after
 * a crash, the reaper begins by reading the state files of the backups.  It has
 * core held again, decides which of the backups can go on, and puts all of them
 * into the registry.  Until then nobody can see, start or end a backup.
 *
 * Core is held by starting a backup, as only that makes core count one, and by
 * not ending it; that is done in a background worker, because of what core
 * remembers in the process.  It takes a checkpoint and switches to another
 * segment of WAL; so it is done once, for all backups together.  Core is
 * released when the last of them has ended: see registry.c.
 *
 * If this fails or is interrupted, the reaper is started again and begins anew,
 * but core is not held twice.  If the server crashes, the next start begins
 * anew as well.  It makes no difference which state files have been brought up
 * to date by then, because what was decided for this start, or has yet to be,
 * is decided at the next one in the same way: see continuity.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "continuity.h"
#include "durable.h"
#include "instruments.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "injection_points.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "results.h"
#include "resume.h"
#include "standby.h"
#include "statefile.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#endif

/* how long to wait before trying again to have core held */
#define RESUME_RETRY_MS			1000

static bool holds_core = false; /* is this the worker that does? */
static uint32 wait_event_hold = 0;

static void
FillInWorker(BackgroundWorker *worker, const char *purpose,
			 const char *function)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker->bgw_library_name, "shared_backup", BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, function, BGW_MAXLEN);
	snprintf(worker->bgw_name, BGW_MAXLEN, "shared_backup %s", purpose);
	strlcpy(worker->bgw_type, worker->bgw_name, BGW_MAXLEN);
}

/*
 * The mark that this server has been started with us
 */

/*
 * Have the postmaster run a worker that leaves the mark again, as early as it
 * can.
 */
void
ResumeRegister(void)
{
	BackgroundWorker worker;

	FillInWorker(&worker, "mark", "SharedBackupMarkMain");
	worker.bgw_start_time = BgWorkerStart_PostmasterStart;
	RegisterBackgroundWorker(&worker);
}

void
SharedBackupMarkMain(Datum main_arg)
{
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	ContinuityRenewMark();
	proc_exit(0);
}

/*
 * Holding core
 */

/*
 * If the worker fails when core has started the backup, or if another worker,
 * for an earlier reaper, came first, core must be released again.
 */
static void
HolderExit(int code, Datum arg)
{
	if (get_backup_status() == SESSION_BACKUP_RUNNING && !holds_core)
		CoreBackupUndoStart();
}

void
SharedBackupHolderMain(Datum main_arg)
{
	CoreBackup	unused;
	StringInfoData labelfile;
	StringInfoData spcmapfile;

	/* as in a starter */
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	before_shmem_exit(HolderExit, (Datum) 0);

	initStringInfo(&labelfile);
	initStringInfo(&spcmapfile);
	CoreBackupStart("shared_backup", true, &unused, &labelfile, &spcmapfile);
	SHARED_BACKUP_POINT("holder-started", NULL);
	holds_core = ContinuityNoteHeld(unused.startpoint);
	proc_exit(0);
}

/*
 * Why can a live backup not be vouched for?  "reason" is that of those which
 * began on a primary.
 */
static LostReason
ReasonOf(const CoreBackup *core, LostReason reason)
{
	if (core->started_in_recovery)
	{
		LostReason	on_standby = ContinuityStandbyReason();

		if (on_standby == LOST_NOT)
			on_standby = StandbyReason(core);
		if (on_standby != LOST_NOT || RecoveryInProgress())
			return on_standby;
	}
	else if (reason == LOST_NOT && core->starttli != GetWALInsertionTimeLine())
		return LOST_TIMELINE;
	return reason;
}

static bool
AnyOnStandby(List *backups)
{
	ListCell   *cell;

	foreach(cell, backups)
	{
		DurableBackup *backup = lfirst(cell);

		if (backup->phase == BACKUP_ACTIVE &&
			ReasonOf(&backup->record.core, LOST_RECOVERY) == LOST_NOT)
			return true;
	}
	return false;
}

/*
 * Have core held, unless an earlier reaper has.  On a standby that is not to be
 * had if the primary has switched full_page_writes off: then there is nothing
 * to hold core for, either.
 */
static void
HoldCore(List *backups)
{
	BackgroundWorker worker;
	bool		warned = false;

	FillInWorker(&worker, "holder", "SharedBackupHolderMain");
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_notify_pid = MyProcPid;

	while (ContinuityHeldSince() == InvalidXLogRecPtr)
	{
		BackgroundWorkerHandle *handle;

		if (ShutdownRequestPending)
			proc_exit(1);
		if (RegisterDynamicBackgroundWorker(&worker, &handle))
		{
			if (WaitForBackgroundWorkerShutdown(handle) == BGWH_POSTMASTER_DIED)
				proc_exit(1);
			if (ContinuityHeldSince() != InvalidXLogRecPtr)
				break;
			StandbyLook();
			if (RecoveryInProgress() && !AnyOnStandby(backups))
				return;
		}
		else if (!warned)
		{
			ereport(WARNING,
					(errmsg("could not get a background worker to resume shared backups"),
					 errdetail("They cannot be used until there is one."),
					 errhint("You may need to increase \"%s\".",
							 "max_worker_processes")));
			warned = true;
		}

		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 RESUME_RETRY_MS,
						 SharedBackupWaitEvent(&wait_event_hold,
											   "SharedBackupResumeHold"));
		ResetLatch(MyLatch);
	}
}

/*
 * Backups that have crossed a restart
 */

/*
 * End a backup that has crossed a restart, or the promotion of its standby: fill
 * in its stop point, and replace its files by those that are handed out.  Core
 * stays held.
 */
void
ResumeEndCarried(BackupRecord *record, BackupFiles *files)
{
	char	   *at_start = files->data[FILE_CONTROL];
	Size		len;

	/* what can fail in here should do so first */
	files->data[FILE_LABEL] = CoreStandbyLabelFile(files->data[FILE_LABEL]);
	files->len[FILE_LABEL] = strlen(files->data[FILE_LABEL]);

	CoreBackupEndCarried(&record->core);
	files->data[FILE_CONTROL] = CoreControlFileAtStop(at_start, &len,
													  &record->core);
	files->len[FILE_CONTROL] = len;
	record->as_standby = true;
}

/*
 * If two files are about the same label, one was to be replaced by the other.
 * Of those, the newest come first.
 */
static int
CompareBackups(const ListCell *a, const ListCell *b)
{
	const DurableBackup *left = lfirst(a);
	const DurableBackup *right = lfirst(b);

	return left->record.file > right->record.file ? -1 :
		left->record.file < right->record.file;
}

/*
 * Keep a backup that cannot be vouched for, so that whoever asks for it is told
 * why.  In a copy nothing is wrong with that: it may well be the copy that this
 * very backup was for, and the backup goes on in the original.
 */
static void
LoseBackup(DurableBackup *backup, LostReason reason)
{
	ereport(reason == LOST_COPY ? LOG : WARNING,
			(errmsg("shared backup \"%s\" was lost in a restart of the server",
					backup->label.text),
			 errdetail_internal("%s", LostReasonDetail(reason)),
			 reason == LOST_COPY ? 0 :
			 errhint("The copy cannot be used.  Start another backup.")));

	backup->phase = BACKUP_LOST;
	backup->record.lost_reason = reason;
	RegistrySetLostTime(&backup->record);
	backup->record.forget_at = TimestampTzAfter(ClockNow(),
												shared_backup_result_retention *
												USECS_PER_SEC);
	memset(&backup->files, 0, sizeof(backup->files));
}

/*
 * Bring a backup to where it is after the restart; "reason" tells whether the
 * live ones can be vouched for.
 */
static void
CarryBackup(DurableBackup *backup, LostReason reason)
{
	BackupRecord *record = &backup->record;
	bool		live = backup->phase == BACKUP_ACTIVE;
	bool		changed = ContinuityUnarchived() && !record->unarchived &&
		(live || backup->phase == BACKUP_STOPPED);

	record->unarchived |= ContinuityUnarchived();

	/* what has ended is lost only if it was another server's */
	if (live ? reason != LOST_NOT :
		reason == LOST_COPY && backup->phase != BACKUP_LOST)
	{
		LoseBackup(backup, reason);
		changed = true;
	}
	else if (live)
		record->carried = true; /* which the next restart would find out, too */

	if (backup->phase == BACKUP_ACTIVE && backup->ending)
	{
		/* the copy was complete when it was to be stopped: finish that */
		ResumeEndCarried(record, &backup->files);
		RegistrySetForgetTime(record);
		backup->phase = BACKUP_STOPPED;
		changed = true;
	}
	if (!changed)
		return;

	DurableLock(record->file);
	(void) DurableSave(&backup->label, record, backup->phase, false,
					   &backup->files, ERROR);
	DurableUnlock(record->file);
}

/*
 * Can live backups that began on a standby be vouched for, which this server is
 * again?  If any can, core is held, for the case that the server is promoted.
 */
static void
CheckStandby(List *backups)
{
	StandbyResume(backups);
	StandbyLook();
	if (AnyOnStandby(backups))
	{
		HoldCore(backups);
		if (ContinuityHeldSince() != InvalidXLogRecPtr)
			RegistryHoldCarried();
		SHARED_BACKUP_POINT("resume-held", NULL);
	}
	if (!RecoveryInProgress())
		StandbyGiveUp();
}

/*
 * Can live backups be vouched for that began on a primary?  If so, core is held.
 */
static LostReason
CheckContinuity(List *backups)
{
	LostReason	reason = ContinuityReason();

	if (reason == LOST_NOT && RecoveryInProgress())
		reason = LOST_RECOVERY;
	if (reason != LOST_NOT)
		return reason;

	StandbyFindPromotion();
	ContinuityFindGap();
	HoldCore(backups);
	RegistryHoldCarried();
	SHARED_BACKUP_POINT("resume-held", NULL);
	return ContinuityVerify();
}

/*
 * Put a backup into the registry, unless an earlier reaper has, or it has been
 * replaced.
 */
static void
PutBack(DurableBackup *backup)
{
	BackupRecord *record = &backup->record;
	uint64		file_there;

	HOLD_INTERRUPTS();
	RegistryStoreFiles(record, &backup->files);
	PG_TRY();
	{
		file_there = RegistryAdopt(&backup->label, backup->phase, record);
	}
	PG_CATCH();
	{
		RegistryFreeFiles(record);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (file_there != 0)
		RegistryFreeFiles(record);
	if (file_there != 0 && file_there != record->file)
	{
		DurableLock(record->file);
		(void) DurableForget(&backup->label, record->file, LOG);
		DurableUnlock(record->file);
	}
	RESUME_INTERRUPTS();
}

/*
 * Put back all backups that there were before a restart of the server.
 */
void
ResumeBackups(void)
{
	MemoryContext context;
	MemoryContext oldcontext;
	List	   *backups;
	ListCell   *cell;
	LostReason	reason = LOST_NOT;
	bool		any_live = false;
	uint64		last_file;
	uint64	   *there;
	int			nthere;
	uint64	   *files;
	int			nfiles = 0;

	context = AllocSetContextCreate(CurrentMemoryContext, "shared_backup resume",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);

	/* if there was no room for the worker that should have done so */
	ContinuityLeaveMark();

	(void) StateFileMakeDir(ERROR);
	backups = DurableLoadAll(&last_file);
	list_sort(backups, CompareBackups);
	foreach(cell, backups)
	{
		DurableBackup *backup = lfirst(cell);

		any_live |= backup->phase == BACKUP_ACTIVE;
		last_file = Max(last_file, backup->record.end_number);
	}
	RegistryBeginResume(Max(last_file, ContinuityFirstFile(last_file)));
	StandbyLoad();
	SHARED_BACKUP_POINT("resume-begun", NULL);

	if (any_live && RecoveryInProgress())
		CheckStandby(backups);
	if (any_live)
		reason = CheckContinuity(backups);
	else if (ContinuityReason() == LOST_COPY)
		reason = LOST_COPY;

	there = ContinuityFiles(&nthere);
	files = palloc(Max(list_length(backups), 1) * sizeof(uint64));
	foreach(cell, backups)
	{
		DurableBackup *backup = lfirst(cell);
		LostReason	lost = reason;

		if (ShutdownRequestPending)
			proc_exit(1);
		CHECK_FOR_INTERRUPTS();
		files[nfiles++] = backup->record.file;
		if (backup->phase == BACKUP_ACTIVE)
			lost = ReasonOf(&backup->record.core, reason);
		if (backup->phase == BACKUP_ACTIVE && lost == LOST_NOT &&
			!ContinuityKnows(backup->record.file, there, nthere))
			lost = LOST_ABSENCE;
		CarryBackup(backup, lost);
	}
	SHARED_BACKUP_POINT("resume-decided", NULL);
	ContinuityDone(files, nfiles);
	foreach(cell, backups)
		PutBack(lfirst(cell));

	StandbyForgetSlot();

	ResultsTrim();

	SHARED_BACKUP_POINT("resume-done", NULL);
	HOLD_INTERRUPTS();
	if (RegistryEndResume())
		CoreBackupRelease();
	RESUME_INTERRUPTS();

	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
}
