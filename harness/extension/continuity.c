/*-------------------------------------------------------------------------
 *
 * continuity.c
 *	  Have all pages been protected while nobody held core to it?
 *
 * A copy of the data directory that is taken while the server writes can be
 * restored only if the WAL has an image of each page that was written, from
 * the start point of the backup on and without a gap.  While the server runs
 * with a backup in progress, core sees to that, even if full_page_writes is
 * off.  A restart makes core forget the backup.  So from the first WAL that
 * the server writes after its start to the moment when we have told core again
 * (resume.c), that is, in the gap, only the setting protects the copy.  That
 * the gap is short does not help: one page is enough.  It is closed by looking
 * at all that could have been written in it.
 *
 * - The setting that a server starts with is that of the postmaster, which
 *	 calls us before it starts any process that could write.  If it is off,
 *	 backups are lost; nothing else needs to be known.  The startup process may
 *	 read the configuration again, but then it replays WAL, and the checkpoint
 *	 that it ends with tells the setting.
 *
 * - Every change of the setting after that, and so by any reload in the gap,
 *	 is in the WAL, as recovery on a standby needs it.  Once core is held, we
 *	 read the WAL of the gap, and it must have no trace of the setting being
 *	 off.  (wal_level = minimal leaves no such traces, and no WAL that could
 *	 restore a copy; so that is looked for first, in the same two ways.)
 *
 * - WAL that is replayed by crash recovery was written with core being held,
 *	 and what recovery writes to pages is in that WAL.
 *
 * A server can stop again before all that is done, and the next start must not
 * take the gap of this one for protected.  So the postmaster writes down what
 * has to be verified, durably, before any process can write, and only when all
 * that is decided and in the state files of the backups is it crossed out
 * again: in the file STATE_FILE_DIR/server.
 *
 * We also have to know that there was no start without us, in whose gap, which
 * is as long as that server's life, nobody looks.  Core itself tells that: at
 * each of its starts, the postmaster removes all files that backends may have
 * left in PG_TEMP_FILES_DIR.  We leave a file there after each start, so that
 * it is missing at a start after one without us.  The removal in our own start
 * comes after the shared memory is made, when we look, and before background
 * workers start, where we leave the file again.  When the postmaster makes the
 * shared memory anew after a crash of a process, it knows that it has been
 * there before.  A server in single-user mode removes no such files, so if we
 * are loaded there, we write that down.  If we are not loaded there either, it
 * leaves the checkpoint of its shutdown: the postmaster writes down which one
 * is that of ours, as the last thing that it does.  So what we do not know of
 * is a server in single-user mode, without us, that did not even shut down, or
 * that came after one of ours that did not.
 *
 * A restored or cloned data directory has its backups from another server,
 * which may be writing still, and whose copies are none of ours.  Such a
 * directory has a backup_label file at its first start; or a state directory
 * with another number on disk; or another system identifier or timeline.  A
 * clone of whole disks by storage is indistinguishable from the original, as
 * it is meant to be; its backups go on in it as if the server had crashed.
 *
 * After the postmaster has set it up, what is written down is used by the
 * reaper only; held_since is set by the worker that it has hold core.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "access/xlogrecovery.h"
#include "access/xlogutils.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "common/file_perm.h"
#include "common/file_utils.h"
#include "continuity.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "replication/slot.h"
#include "statefile.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#define SERVER_FILE		"server"
#define MARK_DIR		"base/" PG_TEMP_FILES_DIR
#define MARK_FILE		MARK_DIR "/" PG_TEMP_FILE_PREFIX "_shared_backup"

/* in pg_replication_slots while the WAL of a gap is being read */
#define SLOT_NAME		"shared_backup_resume"

/* Where the reading of a gap begins. */
typedef enum GapStart
{
	GAP_AFTER_SHUTDOWN,			/* at the checkpoint of a clean shutdown */
	GAP_AFTER_RECOVERY,			/* at the one that crash recovery ended with */
	GAP_BEFORE_RECOVERY,		/* at the one that it began with */
} GapStart;

/* What has yet to be verified of the time before now. */
typedef struct Continuity
{
	uint64		system_identifier;
	uint64		state_dir;		/* its number on disk */
	LostReason	reason;			/* why older backups are lost, if they are */
	GapStart	gap_start;
	XLogRecPtr	unverified_since;	/* where the first gap starts, 0 if none */
	XLogRecPtr	closed_at;		/* checkpoint of our last shutdown, 0 if none
								 * since */
} Continuity;

typedef struct ContinuityShared
{
	Continuity	written;		/* what is written down */
	bool		is_written;		/* or, at least, nothing else is */
	bool		earlier;		/* does its gap_start come from an earlier start? */
	pg_atomic_uint64 held_since;	/* when core was held again, 0 if it is not */
} ContinuityShared;

static ContinuityShared *shared = NULL;

/* Has this process been here before, and written down what it had to? */
static bool been_here = false;

Size
ContinuityShmemSize(void)
{
	return sizeof(ContinuityShared);
}

/*
 * Write down what has to be verified.
 */
static bool
WriteDown(const Continuity *what, int elevel)
{
	StateFilePart part = {what, sizeof(*what)};

	return StateFileWrite(SERVER_FILE, &part, 1, NULL, elevel);
}

static bool
FileExists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

static uint64
StateDirNumber(void)
{
	struct stat st;

	return stat(STATE_FILE_DIR, &st) == 0 ? (uint64) st.st_ino : 0;
}

/*
 * What does this start of the server do to the backups from before?
 */
static LostReason
ReasonOfThisStart(const Continuity *before, const ControlFileData *control)
{
	bool		ours = been_here || FileExists(MARK_FILE);

	if (FileExists(BACKUP_LABEL_FILE) ||
		(before && (before->system_identifier != control->system_identifier ||
					before->state_dir != shared->written.state_dir)))
		return LOST_COPY;
	if (!before)
		return LOST_RECORD_UNREADABLE;
	if (!IsPostmasterEnvironment)
		return LOST_SINGLE_USER;
	if (!ours)
		return LOST_ABSENCE;
	if (before->closed_at != InvalidXLogRecPtr &&
		(control->state != DB_SHUTDOWNED ||
		 control->checkPoint != before->closed_at))
		return LOST_SHUTDOWN;
	if (control->state == DB_IN_ARCHIVE_RECOVERY ||
		control->state == DB_SHUTDOWNED_IN_RECOVERY ||
		FileExists(STANDBY_SIGNAL_FILE) || FileExists(RECOVERY_SIGNAL_FILE))
		return LOST_RECOVERY;
	if (!XLogIsNeeded())
		return LOST_WAL_LEVEL;
	if (!fullPageWrites)
		return LOST_FULL_PAGE_WRITES;
	return LOST_NOT;
}

/*
 * Look at the state of affairs before this server writes anything, and write
 * down what has to be verified later.
 */
static void
BeginContinuity(void)
{
	Continuity *before;
	Size		len;
	bool		crc_ok;
	ControlFileData *control = get_controlfile(DataDir, &crc_ok);
	LostReason	reason;

	shared->written.system_identifier = control->system_identifier;
	shared->written.state_dir = StateDirNumber();
	shared->written.gap_start = control->state == DB_SHUTDOWNED ?
		GAP_AFTER_SHUTDOWN : GAP_BEFORE_RECOVERY;
	shared->written.unverified_since = control->checkPoint;

	before = (Continuity *) StateFileRead(SERVER_FILE, &len, WARNING);
	if (before && len != sizeof(*before))
	{
		StateFileSetAside(SERVER_FILE, "It has an unexpected length.", WARNING);
		before = NULL;
	}

	reason = ReasonOfThisStart(before, control);
	if (before && before->unverified_since != InvalidXLogRecPtr)
	{
		/* an earlier start was not verified; its reason is as good as ours */
		shared->earlier = true;
		shared->written.gap_start = before->gap_start;
		shared->written.unverified_since = before->unverified_since;
		if (before->reason != LOST_NOT && reason != LOST_COPY)
			reason = before->reason;
	}
	shared->written.reason = reason;
	pfree(control);
	if (before)
		pfree(before);

	/*
	 * If it cannot be written down, a start that comes before everything is
	 * decided must not find the file as it was; or else not find that we have
	 * been here.
	 */
	shared->is_written = WriteDown(&shared->written, WARNING) ||
		StateFileRemove(SERVER_FILE, NULL, WARNING);
	been_here = shared->is_written;
}

/*
 * The postmaster ends, or is about to make the shared memory anew.
 */
static void
EndContinuity(int code, Datum arg)
{
	bool		crc_ok;
	ControlFileData *control;

	if (!IsPostmasterEnvironment)
		return;

	control = get_controlfile(DataDir, &crc_ok);
	if (crc_ok && control->state == DB_SHUTDOWNED)
	{
		shared->written.closed_at = control->checkPoint;
		(void) WriteDown(&shared->written, WARNING);
	}
	pfree(control);
}

void
ContinuityShmemInit(void)
{
	bool		found;

	shared = ShmemInitStruct("shared_backup continuity",
							 sizeof(ContinuityShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(ContinuityShared));
		pg_atomic_init_u64(&shared->held_since, InvalidXLogRecPtr);
		if (StateFileMakeDir(WARNING))
		{
			BeginContinuity();
			on_shmem_exit(EndContinuity, (Datum) 0);
		}
		else
			shared->written.reason = LOST_ABSENCE;
	}
}

/*
 * Leave the mark that a start without us would remove.
 */
void
ContinuityLeaveMark(void)
{
	int			fd;

	if (!shared->is_written)
		return;

	(void) MakePGDirectory(MARK_DIR);
	fd = OpenTransientFile(MARK_FILE, O_CREAT | O_WRONLY | PG_BINARY);
	if (fd < 0)
	{
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", MARK_FILE),
				 errdetail("Shared backups will not survive the next restart of the server.")));
		return;
	}
	(void) pg_fsync(fd);
	CloseTransientFile(fd);
	fsync_fname(MARK_DIR, true);
}

/*
 * Does a WAL record tell that pages may not have been protected?
 */
static LostReason
LookAtRecord(XLogReaderState *reader)
{
	uint8		info = XLogRecGetInfo(reader) & ~XLR_INFO_MASK;

	if (XLogRecGetRmid(reader) != RM_XLOG_ID)
		return LOST_NOT;

	switch (info)
	{
		case XLOG_CHECKPOINT_SHUTDOWN:
		case XLOG_CHECKPOINT_ONLINE:
			{
				CheckPoint	checkpoint;

				memcpy(&checkpoint, XLogRecGetData(reader), sizeof(checkpoint));
				if (!checkpoint.fullPageWrites)
					return LOST_FULL_PAGE_WRITES;
				break;
			}
		case XLOG_FPW_CHANGE:
			{
				bool		full_page_writes;

				memcpy(&full_page_writes, XLogRecGetData(reader),
					   sizeof(full_page_writes));
				if (!full_page_writes)
					return LOST_FULL_PAGE_WRITES;
				break;
			}
		case XLOG_PARAMETER_CHANGE:
			{
				xl_parameter_change change;

				memcpy(&change, XLogRecGetData(reader), sizeof(change));
				if (change.wal_level < WAL_LEVEL_REPLICA)
					return LOST_WAL_LEVEL;
				break;
			}
	}
	return LOST_NOT;
}

static bool
EndsRecovery(XLogReaderState *reader)
{
	return XLogRecGetRmid(reader) == RM_XLOG_ID &&
		(XLogRecGetInfo(reader) & ~XLR_INFO_MASK) == XLOG_CHECKPOINT_SHUTDOWN;
}

/*
 * Keep the WAL of the gap while we have yet to read it, although core takes a
 * checkpoint when it is held.  Only a replication slot can do that.
 */
static void
KeepWal(void)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
#if PG_VERSION_NUM >= 170000
		ReplicationSlotCreate(SLOT_NAME, false, RS_EPHEMERAL, false, false,
							  false);
#else
		ReplicationSlotCreate(SLOT_NAME, false, RS_EPHEMERAL, false);
#endif
		ReplicationSlotReserveWal();
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
		ereport(WARNING,
				(errmsg("could not reserve WAL to resume shared backups: %s",
						edata->message),
				 errdetail("They are lost if that WAL is removed before it could be read.")));
		FreeErrorData(edata);
	}
	PG_END_TRY();
}

static void
LetGoOfWal(void)
{
	if (MyReplicationSlot)
		ReplicationSlotRelease();	/* which drops it */
}

static XLogReaderState *
AllocateReader(void)
{
	XLogReaderState *reader;

	reader = XLogReaderAllocate(wal_segment_size, NULL,
								XL_ROUTINE(.page_read = &read_local_xlog_page_no_wait,
										   .segment_open = &wal_segment_open,
										   .segment_close = &wal_segment_close),
								palloc0(sizeof(ReadLocalXLogPageNoWaitPrivate)));
	if (!reader)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Failed while allocating a WAL reading processor.")));
	return reader;
}

/*
 * Read the WAL from where the first gap starts.
 *
 * The checkpoint of a shutdown tells how things were before it; the one that
 * crash recovery ends with, how they are from there on.
 */
static LostReason
ReadGap(XLogReaderState *reader, XLogRecPtr upto)
{
	GapStart	start = shared->written.gap_start;
	bool		in_gap = start != GAP_BEFORE_RECOVERY;
	bool		first = true;

	XLogBeginRead(reader, shared->written.unverified_since);
	while (first || reader->EndRecPtr < upto)
	{
		char	   *error;
		LostReason	reason;

		CHECK_FOR_INTERRUPTS();
		if (!XLogReadRecord(reader, &error))
		{
			ereport(WARNING,
					(errmsg("could not read WAL at %X/%X for shared backups: %s",
							LSN_FORMAT_ARGS(reader->EndRecPtr),
							error ? error : "there is none")));
			return LOST_WAL_UNREADABLE;
		}

		/* only pg_resetwal writes a record that none comes before */
		if (XLogRecGetPrev(reader) == InvalidXLogRecPtr)
			return LOST_WAL_RESET;

		if (!first && EndsRecovery(reader))
			in_gap = true;
		if (in_gap && !(first && start == GAP_AFTER_SHUTDOWN))
		{
			reason = LookAtRecord(reader);
			if (reason != LOST_NOT)
				return reason;
		}
		first = false;
	}
	return in_gap ? LOST_NOT : LOST_WAL_UNREADABLE;
}

/*
 * The same, if a file of WAL is missing.
 */
static LostReason
ReadGapIfThere(XLogReaderState *reader, XLogRecPtr upto)
{
	MemoryContext context = CurrentMemoryContext;
	volatile LostReason reason = LOST_WAL_UNREADABLE;

	PG_TRY();
	{
		reason = ReadGap(reader, upto);
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
				(errmsg("could not read WAL for shared backups: %s",
						edata->message)));
		FreeErrorData(edata);
	}
	PG_END_TRY();
	return reason;
}

/*
 * Get ready to read the WAL of the gap, before core is held.
 *
 * After crash recovery, its last checkpoint is where the gap starts, unless
 * there has been another one since.  What came before it may be long, and soon
 * removed.
 */
void
ContinuityFindGap(void)
{
	XLogReaderState *reader;
	XLogRecPtr	redo;
	char	   *error;

	if (shared->written.unverified_since == InvalidXLogRecPtr)
		return;

	KeepWal();
	if (shared->earlier || shared->written.gap_start != GAP_BEFORE_RECOVERY)
		return;

	reader = AllocateReader();
	redo = GetRedoRecPtr();
	XLogBeginRead(reader, redo);
	if (XLogReadRecord(reader, &error) && EndsRecovery(reader))
	{
		shared->written.gap_start = GAP_AFTER_RECOVERY;
		shared->written.unverified_since = redo;
		(void) WriteDown(&shared->written, WARNING);
	}
	XLogReaderFree(reader);
}

/*
 * Has every page been protected that was written in the gap, which ends where
 * core was held again?  Returns why not, if not.
 *
 * An earlier reaper may have been through with that when it ended.
 */
LostReason
ContinuityVerify(void)
{
	XLogReaderState *reader;
	LostReason	reason;

	if (shared->written.unverified_since == InvalidXLogRecPtr)
		return LOST_NOT;

	reader = AllocateReader();
	reason = ReadGapIfThere(reader, ContinuityHeldSince());
	XLogReaderFree(reader);
	LetGoOfWal();
	return reason;
}

/*
 * Why are all backups lost that were open before this start?  LOST_NOT if they
 * are not, as far as was known at the start.
 */
LostReason
ContinuityReason(void)
{
	return shared->written.reason;
}

/*
 * This process has held core for the backups in the state files, by starting a
 * backup.  Returns false if another one has done so before.
 */
bool
ContinuityNoteHeld(XLogRecPtr startpoint)
{
	uint64		expected = InvalidXLogRecPtr;

	return pg_atomic_compare_exchange_u64(&shared->held_since, &expected,
										  startpoint);
}

/*
 * The WAL location from which on core protects all pages again, or
 * InvalidXLogRecPtr if it does not yet.
 */
XLogRecPtr
ContinuityHeldSince(void)
{
	return pg_atomic_read_u64(&shared->held_since);
}

/*
 * Everything is verified, and what came of it is in the state files.
 *
 * If that cannot be written down, the next reaper begins anew with the gap.
 */
void
ContinuityDone(void)
{
	Continuity	verified = shared->written;

	verified.system_identifier = GetSystemIdentifier();
	verified.state_dir = StateDirNumber();
	verified.reason = LOST_NOT;
	verified.unverified_since = InvalidXLogRecPtr;
	(void) WriteDown(&verified, ERROR);
	shared->written = verified;
	if (!shared->is_written)
	{
		shared->is_written = true;
		ContinuityLeaveMark();
	}
}

/*
 * What a user is told about a backup that was lost.
 */
const char *
LostReasonDetail(LostReason reason)
{
	switch (reason)
	{
		case LOST_NOT:
			break;
		case LOST_FULL_PAGE_WRITES:
			return _("\"full_page_writes\" was off for a while when the server had been restarted.");
		case LOST_WAL_LEVEL:
			return _("\"wal_level\" was \"minimal\" when the server had been restarted.");
		case LOST_WAL_UNREADABLE:
			return _("The WAL from after the restart of the server, which would show whether all pages were protected, could not be read.");
		case LOST_WAL_RESET:
			return _("The WAL has been reset since the backup was started.");
		case LOST_RECORD_UNREADABLE:
			return _("The record of the server's restarts could not be read.");
		case LOST_ABSENCE:
			return _("The server has run without shared_backup, its background workers, or \"shared_backup.durable\" since the backup was started.");
		case LOST_SHUTDOWN:
			return _("The server has been started and shut down without shared_backup, or its WAL has been reset, since the backup was started.");
		case LOST_SINGLE_USER:
			return _("The server has run in single-user mode since the backup was started.");
		case LOST_RECOVERY:
			return _("The server was in recovery when it was restarted.");
		case LOST_TIMELINE:
			return _("The server has changed to another timeline since the backup was started.");
		case LOST_COPY:
			return _("The data directory is a copy of the one in which the backup was started.");
	}
	return _("It is not known why.");
}
