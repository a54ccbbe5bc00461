/*-------------------------------------------------------------------------
 *
 * continuity.c
 *	  Have all pages been protected while nobody held core to it?
 *
 * A copy of the data directory that is taken while the server writes can be
 * restored only if the WAL has an image of each page that was changed, from
 * the start point of the backup on.  While the server runs with a backup in
 * progress, core sees to that, even if full_page_writes is off.  A restart
 * makes core forget the backup.  So from the first WAL that the server writes
 * after its start to the moment when we have told core again (resume.c), that
 * is, in the gap, only the setting protects the copy.  That the gap is short
 * does not help: one page is enough.
 *
 * What the setting was all the time cannot be known afterwards.  A change of it
 * is in the WAL, but not if it comes before recovery has ended, or if it was
 * about to come: UpdateFullPageWrites() logs nothing then.  So once core is
 * held, we read the WAL of the gap itself.  It begins with a checkpoint that
 * has written all pages, and each page that is changed after it must have an
 * image in the first record that changes it, or be made anew by that record.
 * Then it does not matter in which state the copy has the page: replay begins
 * with the image.  Where the gap ends is the redo point of the checkpoint that
 * core took when it was held; what is changed after it has an image because
 * core was held, and what is changed before it is in the gap.
 *
 * Changes that are in no WAL do no harm.  Hint bits are in none unless pages
 * have checksums, and then they count as changes here as well.
 *
 * Besides, backups are lost if the setting is seen to be off: at the start of
 * the postmaster, which calls us before it starts any process that could
 * write, or in the WAL of the gap.  The above would do without that.  But an
 * administrator can foresee what the setting does, and not which pages happen
 * to be changed.
 *
 * With wal_level = minimal there are changes that the WAL does not have at all.
 * So that is looked for in the same two ways: at the start, and in the WAL.
 *
 * WAL that is replayed by crash recovery was written with core being held, and
 * what recovery writes to pages is in that WAL.
 *
 * A server can stop again before all that is done, and the next start must not
 * take the gap of this one for protected.  So the postmaster writes down what
 * has to be verified, durably, before any process can write, and only when all
 * that is decided and in the state files of the backups is it crossed out
 * again: in the file STATE_FILE_DIR/server.
 *
 * We also have to know that there was no start without us, in whose gap, which
 * is as long as that server's life, nobody looks.  Core itself tells that.  At
 * each of its starts, in single-user mode, too, and before it writes any WAL,
 * it removes folders that a crash may have left in the making of a replication
 * slot, and flushes the removal: see StartupReplicationSlots().  We leave such
 * a folder, the mark, under a name that no slot can have.  So it is missing at
 * a start that comes after one without us, also after a power cut.  (Not if
 * that server ran with fsync = off; but then nothing on the disk can be
 * relied on.)
 *
 * Nor must there have been a start with us that did not have our files, because
 * the state directory was elsewhere and has been put back since.  So in the mark
 * is another folder, named after the start that left it; what is written down
 * tells which start that should be.  Nor must a single state file have been
 * elsewhere in a start.  Starts are numbered, and files after the start that
 * they were made in.  When a start has put all backups back, and before any file
 * is made in it, it writes down which files there are.  So one from an earlier
 * start must be among them.
 *
 * The mark goes in a start of our own, too, after the postmaster has looked
 * for it.  A background worker sees it go, and leaves it anew at once.  What
 * may fail in a start fails before that, or soon after.  So the postmaster also
 * writes down what it found in the control file: a server that comes to writing
 * changes that first.  It takes a checkpoint at the end of crash recovery; and
 * after a clean shutdown, it notes that it is in production.  If neither has
 * happened, no server has written anything since, whatever became of the mark.
 * When the postmaster makes the shared memory anew after a crash of a process,
 * it knows that it has been there before.
 *
 * Programs that change the data directory while the server is down start no
 * server.  pg_checksums writes pages, and no WAL: so we compare whether there
 * are checksums.  pg_resetwal leaves WAL that begins with a record that none
 * comes before.  pg_rewind leaves a backup_label file.
 *
 * A restored or cloned data directory has its backups from another server,
 * which may be writing still, and whose copies are none of ours.  Such a
 * directory has a backup_label file at its first start; or a state directory
 * that was made at another time, or that has another number on disk if the
 * file system does not tell the time; or another system identifier or timeline.
 * A clone of whole disks by storage is indistinguishable from the original, as
 * it is meant to be; its backups go on in it as if the server had crashed.  The
 * same goes for a file system that is rolled back, in place, to an earlier
 * state of itself.
 *
 * After the postmaster has set it up, what is written down is used by the
 * reaper only; held_since is set by the worker that it has hold core.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "access/xlogrecovery.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "common/file_perm.h"
#include "common/file_utils.h"
#include "continuity.h"
#include "core.h"
#include "images.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "postmaster/interrupt.h"
#include "replication/slot.h"
#include "statefile.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#endif

#define SERVER_FILE		"server"

/* the greater part of the number of a state file is that of the start */
#define FILE_START_SHIFT	32

#define MARK_PARENT		"pg_replslot"
#define MARK			MARK_PARENT "/shared-backup.tmp"
#define ARCHIVE_STATUS	XLOGDIR "/archive_status"
#define READY_SUFFIX	".ready"

/* how often to look whether core has removed the mark */
#define MARK_POLL_MS	1

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
	uint64		dir_number;		/* of the state directory on disk */
	int64		dir_birth;		/* when it was made, 0 if nobody knows */
	TimestampTz start;			/* when the last start with us began: its name */
	uint32		number;			/* of that start; they rise */
	uint32		files_of;		/* the last one that has put backups back */
	uint32		nfiles;			/* how many state files there were then */
	uint32		checksum_version;	/* of data checksums, 0 if there are none */
	bool		unarchived;		/* was WAL not archived in a time to verify? */
	LostReason	reason;			/* why older backups are lost, if they are */
	LostReason	standby_reason; /* the same for those begun in recovery */
	GapStart	gap_start;
	XLogRecPtr	unverified_since;	/* where the first gap starts, 0 if none */
	bool		earlier;		/* is that the gap of an earlier start? */

	/* from the control file at the last start, while that is not verified */
	bool		was_shut_down;
	XLogRecPtr	last_checkpoint;

	/* followed by the numbers of those state files, in order */
} Continuity;

typedef struct ContinuityShared
{
	Continuity	written;		/* what is written down */
	bool		is_written;		/* or, at least, nothing else is */
	pg_atomic_uint64 held_since;	/* when core was held again, 0 if it is not */
} ContinuityShared;

static ContinuityShared *shared = NULL;
static uint32 wait_event_mark = 0;

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
WriteDown(const Continuity *what, const uint64 *files, int elevel)
{
	StateFilePart parts[2];

	parts[0].data = what;
	parts[0].len = sizeof(*what);
	parts[1].data = files;
	parts[1].len = what->nfiles * sizeof(uint64);
	return StateFileWrite(SERVER_FILE, parts, lengthof(parts), NULL, elevel);
}

/*
 * What was written down, and the files; NULL if that cannot be read.
 */
static Continuity *
ReadRecord(uint64 **files)
{
	Size		len;
	Continuity *record = (Continuity *) StateFileRead(SERVER_FILE, &len,
													  WARNING);

	if (record && (len < sizeof(*record) ||
				   len != sizeof(*record) + record->nfiles * sizeof(uint64)))
	{
		StateFileSetAside(SERVER_FILE, "It has an unexpected length.", WARNING);
		record = NULL;
	}
	*files = record ? (uint64 *) (record + 1) : NULL;
	return record;
}

static bool
FileExists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

/*
 * The folder in the mark that tells which start has left it.
 */
static void
GetMarkOfStart(char *path, TimestampTz start)
{
	snprintf(path, MAXPGPATH, "%s/%016llX", MARK, (unsigned long long) start);
}

static bool
MarkIsThere(TimestampTz start)
{
	char		path[MAXPGPATH];

	GetMarkOfStart(path, start);
	return FileExists(path);
}

/*
 * Find out what tells this server from another one, and its state directory
 * from a copy of it.  Programs that copy files can set other times, but not the
 * one when a file was made.
 */
static void
Identify(Continuity *what, const ControlFileData *control)
{
	struct stat st;

	what->system_identifier = control->system_identifier;
	what->checksum_version = control->data_checksum_version;
	what->dir_number = stat(STATE_FILE_DIR, &st) == 0 ? (uint64) st.st_ino : 0;
	what->dir_birth = 0;
#ifdef STATX_BTIME
	{
		struct statx stx;

		if (statx(AT_FDCWD, STATE_FILE_DIR, 0, STATX_BTIME, &stx) == 0 &&
			(stx.stx_mask & STATX_BTIME) != 0)
			what->dir_birth = stx.stx_btime.tv_sec * INT64CONST(1000000000) +
				stx.stx_btime.tv_nsec;
	}
#endif
}

static bool
SameStateDir(const Continuity *a, const Continuity *b)
{
	if (a->dir_birth != 0 && b->dir_birth != 0)
		return a->dir_birth == b->dir_birth;
	return a->dir_number == b->dir_number;
}

/*
 * Has no server come to writing since the last start with us began?
 */
static bool
NothingWritten(const Continuity *before, const ControlFileData *control)
{
	bool		is_shut_down = control->state == DB_SHUTDOWNED;

	return before->unverified_since != InvalidXLogRecPtr &&
		before->last_checkpoint == control->checkPoint &&
		before->was_shut_down == is_shut_down &&
		control->state != DB_IN_ARCHIVE_RECOVERY;
}

/*
 * Has a server run without us since the last start with us?
 */
static bool
RanWithoutUs(const Continuity *before, const ControlFileData *control)
{
	return !been_here && !MarkIsThere(before->start) &&
		!NothingWritten(before, control);
}

/*
 * Has the WAL been reset while the server was down?
 */
static bool
WalWasReset(const ControlFileData *control)
{
	uint32		offset = XLogSegmentOffset(control->checkPoint,
										   control->xlog_seg_size);
	XLogSegNo	segno;
	char		path[MAXPGPATH];
	XLogRecord	record;
	bool		reset;
	int			fd;

	/* pg_resetwal leaves its checkpoint at the beginning of a segment */
	if (offset != SizeOfXLogLongPHD)
		return false;
	XLByteToSeg(control->checkPoint, segno, control->xlog_seg_size);
	XLogFilePath(path, control->checkPointCopy.ThisTimeLineID, segno,
				 control->xlog_seg_size);
	fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
		return false;			/* then this server does not start */
	reset = pg_pread(fd, &record, sizeof(record), offset) == sizeof(record) &&
		record.xl_prev == InvalidXLogRecPtr;
	CloseTransientFile(fd);
	return reset;
}

/*
 * Is WAL gone that had yet to be archived?  The archiver will forget about it.
 */
static bool
ReadyWalIsGone(void)
{
	DIR		   *dir = AllocateDir(ARCHIVE_STATUS);
	struct dirent *de;
	bool		gone = false;

	while (!gone &&
		   (de = ReadDirExtended(dir, ARCHIVE_STATUS, WARNING)) != NULL)
	{
		int			len = (int) strlen(de->d_name) - (int) strlen(READY_SUFFIX);
		char		path[MAXPGPATH];

		if (len <= 0 || strcmp(de->d_name + len, READY_SUFFIX) != 0)
			continue;
		snprintf(path, MAXPGPATH, XLOGDIR "/%.*s", len, de->d_name);
		gone = !FileExists(path);
	}
	FreeDir(dir);
	return gone;
}

/*
 * May WAL be missing in the archive that was written before this start?
 */
static bool
WalMayBeUnarchived(const Continuity *before, const ControlFileData *control)
{
	return !XLogArchivingActive() ||
		!before || RanWithoutUs(before, control) ||
		WalWasReset(control) || ReadyWalIsGone();
}

/*
 * What does this start of the server do to all backups from before?
 */
static LostReason
ReasonOfThisStart(const Continuity *before, const ControlFileData *control)
{
	if (FileExists(BACKUP_LABEL_FILE) ||
		(before && (before->system_identifier != control->system_identifier ||
					!SameStateDir(before, &shared->written))))
		return LOST_COPY;
	if (!before)
		return LOST_RECORD_UNREADABLE;
	if (!IsPostmasterEnvironment)
		return LOST_SINGLE_USER;
	if (RanWithoutUs(before, control))
		return LOST_ABSENCE;

	/* the other cluster may have the same files, and have written to them */
	if (IsBinaryUpgrade)
		return LOST_UPGRADE;
	if (before->checksum_version != control->data_checksum_version)
		return LOST_CHECKSUMS;
	return LOST_NOT;
}

static bool
StartsInRecovery(const ControlFileData *control)
{
	return control->state == DB_IN_ARCHIVE_RECOVERY ||
		control->state == DB_SHUTDOWNED_IN_RECOVERY ||
		FileExists(STANDBY_SIGNAL_FILE) || FileExists(RECOVERY_SIGNAL_FILE);
}

/*
 * What does it do to those that began on a primary, this one or what it was
 * before?
 */
static LostReason
ReasonOnPrimary(const ControlFileData *control)
{
	if (StartsInRecovery(control))
		return LOST_RECOVERY;
	if (!XLogIsNeeded())
		return LOST_WAL_LEVEL;
	if (!fullPageWrites)
		return LOST_FULL_PAGE_WRITES;
	return LOST_NOT;
}

/*
 * An earlier start was not verified; what it had to verify has to be verified
 * now, and its reason is as good as ours.
 *
 * But if it has written nothing, and nothing of an earlier one was left to it,
 * it might as well not have been: there is only our own gap, and its settings
 * do not matter.
 */
static void
CarryOver(const Continuity *before, LostReason *reason, bool nothing_written)
{
	if (!nothing_written || before->earlier)
	{
		shared->written.earlier = true;
		shared->written.unarchived |= before->unarchived;
		shared->written.gap_start = before->gap_start;
		shared->written.unverified_since = before->unverified_since;
	}
	else if (before->reason == LOST_FULL_PAGE_WRITES ||
			 before->reason == LOST_WAL_LEVEL)
		return;

	if (before->reason != LOST_NOT && *reason != LOST_COPY)
		*reason = before->reason;
}

/*
 * Look at the state of affairs before this server writes anything, and write
 * down what has to be verified later.
 */
static void
BeginContinuity(void)
{
	Continuity *before;
	uint64	   *files;
	bool		crc_ok;
	ControlFileData *control = get_controlfile(DataDir, &crc_ok);
	LostReason	reason;

	Identify(&shared->written, control);
	shared->written.start = GetCurrentTimestamp();
	shared->written.gap_start = control->state == DB_SHUTDOWNED ?
		GAP_AFTER_SHUTDOWN : GAP_BEFORE_RECOVERY;
	shared->written.unverified_since = control->checkPoint;
	shared->written.was_shut_down = control->state == DB_SHUTDOWNED;
	shared->written.last_checkpoint = control->checkPoint;

	before = ReadRecord(&files);
	shared->written.number = 1;
	if (before)
	{
		shared->written.number += before->number;
		shared->written.files_of = before->files_of;
		shared->written.nfiles = before->nfiles;
	}

	shared->written.standby_reason = ReasonOfThisStart(before, control);
	reason = shared->written.standby_reason;
	if (reason == LOST_NOT)
		reason = ReasonOnPrimary(control);
	shared->written.unarchived = WalMayBeUnarchived(before, control);
	if (before && before->unverified_since != InvalidXLogRecPtr)
	{
		if (before->standby_reason != LOST_NOT &&
			shared->written.standby_reason != LOST_COPY)
			shared->written.standby_reason = before->standby_reason;
		CarryOver(before, &reason, NothingWritten(before, control));
	}
	shared->written.reason = reason;
	pfree(control);

	/*
	 * If it cannot be written down, a start that comes before everything is
	 * decided must not find the file as it was; or else not find that we have
	 * been here.
	 */
	shared->is_written = WriteDown(&shared->written, files, WARNING) ||
		StateFileRemove(SERVER_FILE, NULL, WARNING);
	if (before)
		pfree(before);
	been_here = shared->is_written;
	ContinuityLeaveMark();
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
			BeginContinuity();
		else
			shared->written.reason = LOST_ABSENCE;
	}
}

/*
 * Leave the mark that every start removes.
 */
void
ContinuityLeaveMark(void)
{
	char		path[MAXPGPATH];

	if (!shared->is_written)
		return;

	GetMarkOfStart(path, shared->written.start);
	if ((MakePGDirectory(MARK) < 0 && errno != EEXIST) ||
		(MakePGDirectory(path) < 0 && errno != EEXIST))
	{
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", path),
				 errdetail("Shared backups will not survive the next restart of the server.")));
		return;
	}
	fsync_fname(MARK, true);
	fsync_fname(MARK_PARENT, true);
}

/*
 * Leave the mark again as soon as core has removed it, in a process that came
 * to be before that.
 */
void
ContinuityRenewMark(void)
{
	while (FileExists(MARK) && RecoveryInProgress())
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 MARK_POLL_MS,
						 SharedBackupWaitEvent(&wait_event_mark,
											   "SharedBackupMark"));
		ResetLatch(MyLatch);
	}
	ContinuityLeaveMark();
}

/*
 * Does a WAL record tell of a setting by which pages are not protected?
 *
 * A change of full_page_writes, whatever to, tells that it was off before or is
 * off from there on.
 */
static LostReason
LookAtSettings(XLogReaderState *reader)
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
			return LOST_FULL_PAGE_WRITES;
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
		CoreCreateSlot(SLOT_NAME, RS_EPHEMERAL);
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
	HTAB	   *pages = ImagesMakeTable();

	XLogBeginRead(reader, shared->written.unverified_since);
	while (first || reader->EndRecPtr < upto)
	{
		char	   *error;
		LostReason	reason;

		/* a gap can be long, and nothing waits for a server that shuts down */
		if (ShutdownRequestPending)
			proc_exit(1);
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

		if (!first && ImagesShutdownRecord(reader))
			in_gap = true;
		if (in_gap && !(first && start == GAP_AFTER_SHUTDOWN))
		{
			reason = LookAtSettings(reader);
			if (reason != LOST_NOT)
				return reason;
			if (!ImagesOfPages(reader, pages))
				return LOST_FULL_PAGE_WRITES;
		}
		first = false;
	}
	hash_destroy(pages);
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
	if (shared->written.earlier ||
		shared->written.gap_start != GAP_BEFORE_RECOVERY)
		return;

	reader = ImagesAllocateReader();
	redo = GetRedoRecPtr();
	XLogBeginRead(reader, redo);
	if (XLogReadRecord(reader, &error) && ImagesShutdownRecord(reader))
	{
		uint64	   *files;
		Continuity *record = ReadRecord(&files);

		shared->written.gap_start = GAP_AFTER_RECOVERY;
		shared->written.unverified_since = redo;
		if (record)
			(void) WriteDown(&shared->written, files, WARNING);
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

	reader = ImagesAllocateReader();
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
 * The same for those that began in recovery; see standby.c for what else there
 * is to say of them.
 */
LostReason
ContinuityStandbyReason(void)
{
	return shared->written.standby_reason;
}

/*
 * Was WAL not archived for some of the time since they were open?
 */
bool
ContinuityUnarchived(void)
{
	return shared->written.unarchived;
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
 * Where the numbers of state files begin in this start: beyond all of earlier
 * ones, of which "last_file" is the greatest that there is.
 */
uint64
ContinuityFirstFile(uint64 last_file)
{
	/* if what was written down is lost */
	if (shared->written.number <= last_file >> FILE_START_SHIFT)
		shared->written.number = (last_file >> FILE_START_SHIFT) + 1;
	return (uint64) shared->written.number << FILE_START_SHIFT;
}

static int
CompareFiles(const void *a, const void *b)
{
	uint64		left = *(const uint64 *) a;
	uint64		right = *(const uint64 *) b;

	return left > right ? 1 : left < right ? -1 : 0;
}

/*
 * The state files that there were when backups were last put back, for
 * ContinuityKnows(); palloc'd.
 */
uint64 *
ContinuityFiles(int *nfiles)
{
	uint64	   *files;
	Continuity *record = ReadRecord(&files);

	*nfiles = record ? record->nfiles : 0;
	return files;
}

/*
 * Has a state file been there all the time since it was made?
 */
bool
ContinuityKnows(uint64 file, const uint64 *files, int nfiles)
{
	return file >> FILE_START_SHIFT == shared->written.files_of ||
		(nfiles > 0 &&
		 bsearch(&file, files, nfiles, sizeof(uint64), CompareFiles) != NULL);
}

/*
 * Everything is verified, and what came of it is in these state files.
 *
 * If that cannot be written down, the next reaper begins anew with the gap.
 */
void
ContinuityDone(uint64 *files, int nfiles)
{
	Continuity	verified = shared->written;
	bool		crc_ok;
	ControlFileData *control;

	LWLockAcquire(ControlFileLock, LW_SHARED);
	control = get_controlfile(DataDir, &crc_ok);
	LWLockRelease(ControlFileLock);
	Identify(&verified, control);
	pfree(control);
	verified.unarchived = false;
	verified.earlier = false;
	verified.reason = LOST_NOT;
	verified.standby_reason = LOST_NOT;
	verified.unverified_since = InvalidXLogRecPtr;
	verified.files_of = verified.number;
	verified.nfiles = nfiles;
	qsort(files, nfiles, sizeof(uint64), CompareFiles);
	(void) WriteDown(&verified, files, ERROR);
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
			return _("The server has run without shared_backup, its background workers, its files, or \"shared_backup.durable\" since the backup was started.");
		case LOST_CHECKSUMS:
			return _("Data checksums have been switched on or off since the backup was started.");
		case LOST_SINGLE_USER:
			return _("The server has run in single-user mode since the backup was started.");
		case LOST_RECOVERY:
			return _("The server was in recovery when it was restarted.");
		case LOST_TIMELINE:
			return _("The server has changed to another timeline since the backup was started.");
		case LOST_COPY:
			return _("The data directory is a copy of the one in which the backup was started.");
		case LOST_NO_IMAGES:
			return _("\"full_page_writes\" was off for a while on the primary.");
		case LOST_UNSEEN:
			return _("The WAL that this standby has replayed, which would show whether all pages were protected, could not be read.");
		case LOST_UPGRADE:
			return _("pg_upgrade has started the server since the backup was started.");
	}
	return _("It is not known why.");
}
