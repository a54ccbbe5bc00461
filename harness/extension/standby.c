/*-------------------------------------------------------------------------
 *
 * standby.c
 *	  Has the WAL that a standby replays an image of each page?
 *
 * A copy of a standby can be restored if the WAL that the standby replays has
 * an image of each page that is changed from the start point on.  The primary
 * sees to that, not we; so a restart of the standby makes no difference, and
 * there is no gap to be closed as on a primary.  But somebody has to look
 * whether the primary does.  Core notes when it replays that full_page_writes
 * was switched off, and forgets that in a restart.  And it does not notice if
 * the primary was restarted without, as no WAL record says so.
 *
 * So the reaper reads the WAL that has been replayed since the start point of
 * the first backup that is open.  Between a restart of the primary, which shows
 * as a checkpoint of a shutdown or of the end of a recovery, and its next
 * checkpoint, whose record tells the setting, it looks at the pages: as in a gap
 * of our own, see continuity.c.  What has been looked at so far is written down;
 * a restart goes on from there.  A file that is lost, or older than it should
 * be, costs nothing but a second look.
 *
 * Until it has been looked at, that WAL must not be removed.  A replication slot
 * sees to that, also over a restart and while the server runs without us.
 *
 * The location up to which WAL was looked at matters, not when.  A caller may
 * only stop a backup when all has been looked at that was replayed until then:
 * what was copied is not younger than that.
 *
 * All that holds for the timeline on which the backup was started.  The server
 * that another timeline comes from need not have taken the checkpoint of which
 * our start point is, and so need not write an image of a page that it changed
 * last before it.
 *
 * A promotion of this very server does no harm: its last checkpoint is not
 * before the start point of any of its backups, and core counts them all, so
 * that it writes images from the first change on.  So the reaper looks at the
 * WAL up to where the new timeline begins, and writes down that one follows from
 * the other.  If the server goes down before that, the next start does so.  From
 * then on the backup is one of a primary that has been carried over a restart:
 * see core.c.  Core must have counted it at the promotion: one that comes before
 * all backups have been put back ends those that had crossed a restart.
 *
 * The fields of StandbyShared are protected by STANDBY_LOCK.  Only the reaper
 * changes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "access/xlogrecovery.h"
#include "access/xlogutils.h"
#include "catalog/pg_control.h"
#include "core.h"
#include "durable.h"
#include "images.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "replication/slot.h"
#include "standby.h"
#include "statefile.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define STANDBY_FILE	"standby"

/* in pg_replication_slots while durable backups of a standby are open */
#define STANDBY_SLOT	"shared_backup_standby"

/* how often to look while backups are open */
#define STANDBY_LOOK_MS	10000

/* What is known of the WAL that this server has replayed. */
typedef struct StandbyCheck
{
	uint64		system_identifier;
	TimeLineID	timeline;		/* of all that follows */
	XLogRecPtr	looked_from;	/* where a record begins; 0 if none was looked at */
	XLogRecPtr	looked_upto;	/* to be gone on from; a record begins there, too */
	XLogRecPtr	unprotected;	/* the last WAL that lacks an image, 0 if none */
	LostReason	reason;			/* of that */
	TimeLineID	promoted_to;	/* this server, from there; 0 if it was not */
} StandbyCheck;

typedef struct StandbyShared
{
	StandbyCheck check;
	bool		looking;		/* backups are open that began in this recovery */
} StandbyShared;

static StandbyShared *shared = NULL;

/* Where the reaper is, which goes on from "looked_upto" if it is started anew. */
static MemoryContext reader_context = NULL;
static XLogReaderState *reader = NULL;
static XLogRecPtr last_record = InvalidXLogRecPtr;
static MemoryContext page_context = NULL;
static HTAB *pages = NULL;		/* while the primary has been restarted */
static XLogRecPtr written_upto = InvalidXLogRecPtr;
static TimestampTz next_look = DT_NOEND;

Size
StandbyShmemSize(void)
{
	return sizeof(StandbyShared);
}

void
StandbyShmemInit(void)
{
	bool		found;

	shared = ShmemInitStruct("shared_backup standby", sizeof(StandbyShared),
							 &found);
	if (!found)
		memset(shared, 0, sizeof(StandbyShared));
}

static void
SetShared(const StandbyCheck *check, bool looking)
{
	LWLockAcquire(SharedBackupGetLock(STANDBY_LOCK), LW_EXCLUSIVE);
	shared->check = *check;
	shared->looking = looking;
	LWLockRelease(SharedBackupGetLock(STANDBY_LOCK));
}

/*
 * The slot
 */

static void
AcquireSlot(void)
{
#if PG_VERSION_NUM >= 180000
	ReplicationSlotAcquire(STANDBY_SLOT, true, true);
#else
	ReplicationSlotAcquire(STANDBY_SLOT, true);
	if (MyReplicationSlot->data.restart_lsn == InvalidXLogRecPtr)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("replication slot \"%s\" reserves no WAL",
						STANDBY_SLOT)));
#endif
}

static void
CreateSlot(void)
{
	if (SearchNamedReplicationSlot(STANDBY_SLOT, true))
		ReplicationSlotDrop(STANDBY_SLOT, true);
	CoreCreateSlot(STANDBY_SLOT, RS_PERSISTENT);
	ReplicationSlotReserveWal();
	ReplicationSlotMarkDirty();
	ReplicationSlotSave();
}

static void
DropSlot(void)
{
	if (MyReplicationSlot)
		ReplicationSlotRelease();
	if (SearchNamedReplicationSlot(STANDBY_SLOT, true))
		ReplicationSlotDrop(STANDBY_SLOT, true);
}

/*
 * Do something that may fail, and go on without.  Returns whether it was done.
 */
static bool
Try(void (*step) (void), int elevel)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		step();
		done = true;
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		if (ProcDiePending)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		LWLockReleaseAll();
		if (MyReplicationSlot)
			ReplicationSlotRelease();
		ereport(elevel,
				(errmsg("could not reserve WAL for shared backups of this standby: %s",
						edata->message),
				 errdetail("They are lost if WAL is removed before it could be looked at.")));
		FreeErrorData(edata);
	}
	PG_END_TRY();
	return done;
}

/*
 * See to it that WAL is kept from where it has yet to be looked at.  The slot
 * stays ours, so that nobody drops it, and it is not taken for idle.
 */
static void
KeepWal(void)
{
	static bool warned = false;

	if (MyReplicationSlot)
		return;
	if (SearchNamedReplicationSlot(STANDBY_SLOT, true) &&
		Try(AcquireSlot, DEBUG1))
		return;
	warned = !Try(CreateSlot, warned ? DEBUG1 : WARNING);
}

static void
MoveSlot(XLogRecPtr location)
{
	if (!MyReplicationSlot || MyReplicationSlot->data.restart_lsn >= location)
		return;

	SpinLockAcquire(&MyReplicationSlot->mutex);
	MyReplicationSlot->data.restart_lsn = location;
	SpinLockRelease(&MyReplicationSlot->mutex);
	ReplicationSlotMarkDirty();
	ReplicationSlotsComputeRequiredLSN();
	ReplicationSlotSave();
}

/*
 * Looking
 */

static void
ForgetPages(void)
{
	if (page_context)
		MemoryContextDelete(page_context);
	page_context = NULL;
	pages = NULL;
}

static void
RememberPages(void)
{
	MemoryContext oldcontext;

	ForgetPages();
	page_context = AllocSetContextCreate(reader_context,
										 "shared_backup standby pages",
										 ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(page_context);
	pages = ImagesMakeTable();
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Write down what has been looked at.  Only then may the WAL go.
 */
static void
WriteDown(StandbyCheck *check, int elevel)
{
	StateFilePart part = {check, sizeof(*check)};

	if (StateFileWrite(STANDBY_FILE, &part, 1, NULL, elevel))
	{
		written_upto = check->looked_upto;
		MoveSlot(written_upto);
	}
}

/*
 * Begin at a location where a record begins.
 */
static void
BeginAt(StandbyCheck *check, XLogRecPtr location, TimeLineID timeline)
{
	check->timeline = timeline;
	check->looked_from = location;
	check->looked_upto = location;
	check->promoted_to = 0;
}

static void
NoteUnprotected(StandbyCheck *check, XLogRecPtr location, LostReason reason)
{
	check->unprotected = location;
	check->reason = reason;
}

/*
 * The timeline that a record begins, or 0.
 */
static TimeLineID
BeginsTimeline(XLogReaderState *record, TimeLineID *previous)
{
	if (XLogRecGetRmid(record) != RM_XLOG_ID)
		return 0;
	if (ImagesShutdownRecord(record))
	{
		CheckPoint	checkpoint;

		memcpy(&checkpoint, XLogRecGetData(record), sizeof(checkpoint));
		*previous = checkpoint.PrevTimeLineID;
		return checkpoint.ThisTimeLineID;
	}
	if ((XLogRecGetInfo(record) & ~XLR_INFO_MASK) == XLOG_END_OF_RECOVERY)
	{
		xl_end_of_recovery end;

		memcpy(&end, XLogRecGetData(record), sizeof(end));
		*previous = end.PrevTimeLineID;
		return end.ThisTimeLineID;
	}
	return 0;
}

/*
 * Look at what a record says of the settings of the primary.
 */
static LostReason
LookAtSettings(XLogReaderState *record)
{
	if (XLogRecGetRmid(record) != RM_XLOG_ID)
		return LOST_NOT;

	switch (XLogRecGetInfo(record) & ~XLR_INFO_MASK)
	{
		case XLOG_CHECKPOINT_SHUTDOWN:
		case XLOG_CHECKPOINT_ONLINE:
			{
				CheckPoint	checkpoint;

				memcpy(&checkpoint, XLogRecGetData(record), sizeof(checkpoint));
				if (!checkpoint.fullPageWrites)
					return LOST_NO_IMAGES;
				break;
			}
		case XLOG_FPW_CHANGE:
			{
				bool		full_page_writes;

				memcpy(&full_page_writes, XLogRecGetData(record), sizeof(bool));
				if (!full_page_writes)
					return LOST_NO_IMAGES;
				break;
			}
	}
	return LOST_NOT;
}

/*
 * Are the pages that are remembered more than there should be memory for?
 */
static bool
TooManyPages(void)
{
	return MemoryContextMemAllocated(page_context, true) >
		(Size) maintenance_work_mem * 1024;
}

/*
 * Look at a record.  Returns false if it begins a timeline that this server has
 * made itself: there is no more to look at.
 */
static bool
LookAt(StandbyCheck *check, XLogReaderState *record)
{
	TimeLineID	previous;
	TimeLineID	timeline = BeginsTimeline(record, &previous);
	LostReason	reason = LookAtSettings(record);

	if (timeline != 0 && timeline != check->timeline)
	{
		if (!RecoveryInProgress() && previous == check->timeline &&
			timeline == GetWALInsertionTimeLine())
		{
			check->promoted_to = timeline;
			return false;
		}
		check->timeline = timeline;
	}

	if (pages && reason == LOST_NOT &&
		(!ImagesOfPages(record, pages) || TooManyPages()))
	{
		reason = LOST_NO_IMAGES;
		RememberPages();
	}
	if (reason != LOST_NOT)
		NoteUnprotected(check, record->ReadRecPtr, reason);

	/* a restart of the primary has to be looked at as a whole */
	if (ImagesShutdownRecord(record))
	{
		check->looked_upto = record->ReadRecPtr;
		RememberPages();
	}
	else if (pages && XLogRecGetRmid(record) == RM_XLOG_ID &&
			 (XLogRecGetInfo(record) & ~XLR_INFO_MASK) == XLOG_CHECKPOINT_ONLINE)
		ForgetPages();
	if (!pages)
		check->looked_upto = record->ReadRecPtr;
	return true;
}

/*
 * Look at all WAL up to a location.  Fails if it is not there.
 */
static void
LookUpTo(StandbyCheck *check, XLogRecPtr upto)
{
	ReadLocalXLogPageNoWaitPrivate *private;

	/* it allocates memory that stays with it also when it reads */
	if (!reader_context)
		reader_context = AllocSetContextCreate(TopMemoryContext,
											   "shared_backup standby",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(reader_context);
	if (!reader)
	{
		reader = ImagesAllocateReader();
		last_record = check->looked_upto;
	}
	private = reader->private_data;
	private->end_of_wal = false;

	/* to look at a record twice changes nothing */
	XLogBeginRead(reader, last_record);
	do
	{
		char	   *error;

		if (ShutdownRequestPending)
			proc_exit(1);
		CHECK_FOR_INTERRUPTS();
		if (!XLogReadRecord(reader, &error))
		{
			if (private->end_of_wal)
				return;
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("could not read WAL at %X/%X: %s",
							LSN_FORMAT_ARGS(reader->EndRecPtr),
							error ? error : "there is none")));
		}
		last_record = reader->ReadRecPtr;
		if (!LookAt(check, reader))
			return;
	} while (reader->EndRecPtr < upto);
}

static void
EndReading(void)
{
	ForgetPages();
	if (reader)
		XLogReaderFree(reader);	/* which closes its file */
	reader = NULL;
	if (reader_context)
		MemoryContextReset(reader_context);
	last_record = InvalidXLogRecPtr;
}

/*
 * The same.  If some WAL is not there, nobody knows what it says: go on from the
 * last checkpoint that has been replayed.
 */
static void
LookIfThere(StandbyCheck *check, XLogRecPtr upto)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		LookUpTo(check, upto);
		MemoryContextSwitchTo(context);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		if (ProcDiePending)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		ereport(WARNING,
				(errmsg("could not read WAL for shared backups of this standby: %s",
						edata->message)));
		FreeErrorData(edata);
		EndReading();
		NoteUnprotected(check, upto, LOST_UNSEEN);
		BeginAt(check, GetRedoRecPtr(), check->timeline);
	}
	PG_END_TRY();
}

/*
 * No backup that began in this recovery is open any more.
 */
static void
EndLooking(const StandbyCheck *check)
{
	EndReading();
	(void) Try(DropSlot, WARNING);
	SetShared(check, false);
	next_look = DT_NOEND;
}

/*
 * Look at the WAL that has been replayed since the last time.
 *
 * That is done in the reaper now and then, so that WAL need not be kept for
 * long, and in each of its rounds, so that others can wait for it.
 */
void
StandbyLook(void)
{
	StandbyCheck check;
	TimeLineID	timeline;
	XLogRecPtr	replayed;
	XLogRecPtr	unprotected;
	bool		in_recovery = RecoveryInProgress();

	if (!shared_backup_durable || (!in_recovery && !shared->looking))
		return;

	check = shared->check;
	if (RegistryReady() && RegistryLive() == 0)
	{
		if (shared->looking)
		{
			(void) StateFileRemove(STANDBY_FILE, NULL, LOG);
			memset(&check, 0, sizeof(check));
			EndLooking(&check);
		}
		return;
	}

	replayed = GetXLogReplayRecPtr(&timeline);
	KeepWal();
	if (!shared->looking)
	{
		memset(&check, 0, sizeof(check));
		check.system_identifier = GetSystemIdentifier();
		BeginAt(&check, GetRedoRecPtr(), timeline);
	}

	if (!in_recovery)
		EndReading();			/* it would look for the old timeline */
	unprotected = check.unprotected;
	LookIfThere(&check, in_recovery ? replayed : GetFlushRecPtr(NULL));
	SetShared(&check, true);
	if (check.unprotected != unprotected || check.promoted_to != 0 ||
		check.looked_upto >= written_upto + wal_segment_size)
		WriteDown(&check, check.promoted_to != 0 ? ERROR : LOG);
	if (!in_recovery)
		EndLooking(&check);
	else
		next_look = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												STANDBY_LOOK_MS);
}

/*
 * When to look again, by the system's clock.
 */
TimestampTz
StandbyNextLook(void)
{
	return next_look;
}

/*
 * Find out what had been looked at before the server was started.
 */
void
StandbyLoad(void)
{
	StandbyCheck check = {0};
	Size		len;
	char	   *contents = StateFileRead(STANDBY_FILE, &len, WARNING);

	if (contents && len == sizeof(check))
		memcpy(&check, contents, len);
	else if (contents)
		StateFileSetAside(STANDBY_FILE, "It has an unexpected length.", WARNING);
	if (check.system_identifier != GetSystemIdentifier())
		memset(&check, 0, sizeof(check));
	check.system_identifier = GetSystemIdentifier();
	SetShared(&check, false);
}

/*
 * Where to go on looking for the sake of a backup.
 */
static XLogRecPtr
LookedUpto(const StandbyCheck *check, const CoreBackup *backup)
{
	if (check->timeline == backup->starttli && check->looked_from != 0 &&
		check->looked_from <= backup->startpoint)
		return Max(check->looked_upto, backup->startpoint);
	return backup->startpoint;
}

/*
 * In recovery again: go on looking, for all backups that began before the server
 * was restarted.
 */
void
StandbyResume(List *backups)
{
	StandbyCheck check = shared->check;
	XLogRecPtr	from = InvalidXLogRecPtr;
	TimeLineID	timeline;
	ListCell   *cell;

	(void) GetXLogReplayRecPtr(&timeline);
	foreach(cell, backups)
	{
		DurableBackup *backup = lfirst(cell);
		const CoreBackup *core = &backup->record.core;

		if (backup->phase == BACKUP_ACTIVE && core->started_in_recovery &&
			core->starttli == timeline &&
			(from == InvalidXLogRecPtr || LookedUpto(&check, core) < from))
			from = LookedUpto(&check, core);
	}
	EndReading();
	if (from == InvalidXLogRecPtr)
		memset(&check, 0, sizeof(check));
	else if (check.timeline != timeline || from != check.looked_upto)
		BeginAt(&check, from, timeline);
	SetShared(&check, from != InvalidXLogRecPtr);
}

/*
 * Not in recovery: look for a promotion that the last reaper had yet to look at.
 * It came when all backups had been put back; otherwise this start, or the one
 * that it came in, would have found the server in recovery: see continuity.c.
 */
void
StandbyFindPromotion(void)
{
	StandbyCheck check = shared->check;

	if (check.looked_from == InvalidXLogRecPtr || check.promoted_to != 0)
		return;
	LookIfThere(&check, GetFlushRecPtr(NULL));
	EndReading();
	SetShared(&check, false);
	WriteDown(&check, ERROR);
}

/*
 * Why can a backup that began in recovery not be vouched for?  That is of all
 * WAL that was replayed when the reaper began its last round; what is replayed
 * later, or written after a promotion that it has not seen, finds pages whole
 * that were copied before.
 */
LostReason
StandbyReason(const CoreBackup *backup)
{
	StandbyCheck check;
	bool		looking;

	LWLockAcquire(SharedBackupGetLock(STANDBY_LOCK), LW_SHARED);
	check = shared->check;
	looking = shared->looking;
	LWLockRelease(SharedBackupGetLock(STANDBY_LOCK));

	if (check.looked_from == InvalidXLogRecPtr ||
		check.timeline != backup->starttli)
		return LOST_TIMELINE;
	if (!looking && (RecoveryInProgress() ||
					 check.promoted_to != GetWALInsertionTimeLine()))
		return LOST_TIMELINE;
	if (check.looked_from > backup->startpoint)
		return LOST_UNSEEN;
	if (check.unprotected >= backup->startpoint)
		return check.reason;
	return LOST_NOT;
}

/*
 * The server has been promoted, and it is not sure that core counted the backups
 * by then.
 */
void
StandbyGiveUp(void)
{
	StandbyCheck check = {0};

	check.system_identifier = GetSystemIdentifier();
	EndLooking(&check);
}

/*
 * No WAL need be kept after a restart if no backup goes on, or if backups are not
 * durable any more.
 */
void
StandbyForgetSlot(void)
{
	if (!shared_backup_durable || !shared->looking)
		(void) Try(DropSlot, WARNING);
}
