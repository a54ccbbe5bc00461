/*-------------------------------------------------------------------------
 *
 * core.c
 *	  What we ask of PostgreSQL's own code for backups and replication slots,
 *	  in one shape for all the versions we support.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#if PG_VERSION_NUM >= 160000
#include "access/xlogbackup.h"
#endif
#include "access/xlog_internal.h"
#include "access/xloginsert.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "core.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "storage/lwlock.h"

/*
 * Touch in advance what CoreBackupStart() needs to write a label file.
 */
void
CoreRehearse(void)
{
	char		text[MAXFNAMELEN];
	pg_time_t	now = (pg_time_t) time(NULL);

	(void) pg_strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z",
					   pg_localtime(&now, log_timezone));
	(void) snprintf(text, sizeof(text), "%X/%X",
					LSN_FORMAT_ARGS(GetXLogInsertRecPtr()));
}

/*
 * Start a backup.
 *
 * This leaves core's session-level state RUNNING in the calling process, which
 * must therefore be one that ends soon and runs no backup functions, or call
 * CoreBackupDetach(): see starter.c.  If the state is RUNNING after an error,
 * the backup was started and CoreBackupUndoStart() must be called.
 */
void
CoreBackupStart(const char *label, bool fast, CoreBackup *backup,
				StringInfo labelfile, StringInfo spcmapfile)
{
#if PG_VERSION_NUM >= 160000
	BackupState *state = palloc0(sizeof(BackupState));

	do_pg_backup_start(label, fast, NULL, state, spcmapfile);

	backup->startpoint = state->startpoint;
	backup->checkpointloc = state->checkpointloc;
	backup->starttime = state->starttime;
	backup->starttli = state->starttli;
	backup->started_in_recovery = state->started_in_recovery;
	appendStringInfoString(labelfile, build_backup_content(state, false));
	pfree(state);
#else
	backup->startpoint = do_pg_backup_start(label, fast, &backup->starttli,
											labelfile, NULL, spcmapfile);

	/*
	 * These two are in the label file, where do_pg_backup_stop() will read
	 * them.
	 */
	backup->checkpointloc = InvalidXLogRecPtr;
	backup->starttime = 0;

	/*
	 * Whether we are in recovery may have changed since; the label file says
	 * what core went by.  No label can contain a newline and forge this.
	 */
	backup->started_in_recovery =
		strstr(labelfile->data, "\nBACKUP FROM: standby\n") != NULL;
#endif
}

/*
 * Lower core's count again in the process that ran CoreBackupStart().
 */
void
CoreBackupUndoStart(void)
{
	do_pg_abort_backup(0, BoolGetDatum(false));
}

/*
 * Make the backup that CoreBackupStart() has started nobody's, so that this
 * process may go on.
 */
void
CoreBackupDetach(void)
{
#ifdef HAVE_DO_PG_BACKUP_DETACH
	do_pg_backup_detach();
#else
	elog(ERROR, "core cannot detach a backup");
#endif
}

/*
 * End a backup and fill in its stop point.
 *
 * The calling process must not be running a backup of its own.  Whatever
 * happens in here, core's count is lowered before anything can fail that the
 * caller has not ruled out: after an error the backup is gone.
 */
void
CoreBackupStop(CoreBackup *backup, const char *label, const char *labelfile)
{
#if PG_VERSION_NUM >= 160000
	BackupState state = {0};	/* an allocation could fail */

	strlcpy(state.name, label, sizeof(state.name));
	state.startpoint = backup->startpoint;
	state.checkpointloc = backup->checkpointloc;
	state.starttime = backup->starttime;
	state.starttli = backup->starttli;
	state.started_in_recovery = backup->started_in_recovery;

	backup->stopped_in_recovery = RecoveryInProgress();
	do_pg_backup_stop(&state, false);

	backup->stoppoint = state.stoppoint;
	backup->stoptli = state.stoptli;
#else
	backup->stopped_in_recovery = RecoveryInProgress();
	backup->stoppoint = do_pg_backup_stop(unconstify(char *, labelfile), false,
										  &backup->stoptli);
#endif
}

/*
 * Lower core's count for a backup that shall not be ended properly.
 *
 * The calling process must not be running a backup of its own.  Does not fail.
 */
void
CoreBackupRelease(void)
{
#if PG_VERSION_NUM >= 160000

	/*
	 * The argument means "during the start of a backup", when core's count is
	 * raised but the process does not count as running a backup yet.  That is
	 * our situation, too.
	 */
	do_pg_abort_backup(0, BoolGetDatum(true));
#else

	/*
	 * In this version do_pg_abort_backup() does nothing in a process that is
	 * not running a backup.  But do_pg_backup_stop() begins by lowering the
	 * count, and then parses the label file.  So have it fail there: with an
	 * acceptable label file it would write an end-of-backup record and a
	 * backup history file, and switch to another WAL segment, all for a backup
	 * that nobody wants.  No resources are held at that point, so that nothing
	 * but the error itself needs cleaning up.
	 */
	MemoryContext oldcontext = CurrentMemoryContext;
	uint32		save_holdoff = InterruptHoldoffCount;
	char		labelfile[] = "";

	PG_TRY();
	{
		(void) do_pg_backup_stop(labelfile, false, NULL);
	}
	PG_CATCH();
	{
		InterruptHoldoffCount = save_holdoff;
		MemoryContextSwitchTo(oldcontext);
		FlushErrorState();
	}
	PG_END_TRY();
#endif
}

/*
 * A backup that has crossed a restart of the server
 *
 * The recovery of a copy that was taken on a primary gives up at the checkpoint
 * of a shutdown, or of the end of a recovery, that comes before the end of the
 * backup: on such a server the backup cannot have gone on.  But ours has.  A
 * copy that was taken on a standby has such checkpoints before its end all the
 * time, and its recovery is content with them.  It learns from the control file
 * how far it has to go to be consistent.  So that is how we hand out a backup
 * that has crossed a restart: with a label file that says that it was taken on
 * a standby, and the control file that a standby would have had.
 *
 * Apart from how far it has to go, recovery must find in the control file what
 * held at the start point, where it begins: settings that a restart has changed
 * since, such as track_commit_timestamp, it learns from the WAL when it comes to
 * their change.  So the control file is kept as it was at the start.
 */

static ControlFileData *
CoreReadControlFile(void)
{
	ControlFileData *control;
	bool		crc_ok;

	LWLockAcquire(ControlFileLock, LW_SHARED);
	control = get_controlfile(DataDir, &crc_ok);
	LWLockRelease(ControlFileLock);
	if (!crc_ok)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("calculated CRC checksum does not match value stored in file \"%s\"",
						XLOG_CONTROL_FILE)));
	return control;
}

/*
 * End such a backup and fill in its stop point, without lowering core's count.
 *
 * As at the end of any other backup on a primary, there is a record that tells
 * where it is, and the segment with it can be archived at once.  On a standby
 * it ends, as any other there, at the location that no page on disk is beyond.
 */
void
CoreBackupEndCarried(CoreBackup *backup)
{
	backup->stopped_in_recovery = RecoveryInProgress();
	if (backup->stopped_in_recovery)
	{
		ControlFileData *control = CoreReadControlFile();

		backup->stoppoint = control->minRecoveryPoint;
		backup->stoptli = control->minRecoveryPointTLI;
		pfree(control);
		return;
	}

	XLogBeginInsert();
	XLogRegisterData((char *) &backup->startpoint, sizeof(backup->startpoint));
	backup->stoppoint = XLogInsert(RM_XLOG_ID, XLOG_BACKUP_END);
	backup->stoptli = GetWALInsertionTimeLine();
	(void) RequestXLogSwitch(false);
}

/*
 * The label file as it would be if the backup had been started on a standby.
 */
char *
CoreStandbyLabelFile(const char *labelfile)
{
	const char *line = "\nBACKUP FROM: primary\n";
	const char *found = strstr(labelfile, line);

	if (strstr(labelfile, "\nBACKUP FROM: standby\n"))
		return pstrdup(labelfile);
	if (!found)
		elog(ERROR, "label file does not tell where the backup is from");
	return psprintf("%.*s\nBACKUP FROM: standby\n%s",
					(int) (found - labelfile), labelfile,
					found + strlen(line));
}

/*
 * Get the control file, for a backup that has just been started.
 *
 * The random bytes that answers to unknown roles are made of are a secret of
 * this server, and not for whoever may stop a backup; other ones do as well.
 */
char *
CoreControlFileAtStart(Size *len)
{
	ControlFileData *control = CoreReadControlFile();

	if (!pg_strong_random(control->mock_authentication_nonce,
						  sizeof(control->mock_authentication_nonce)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes for a control file")));

	*len = sizeof(ControlFileData);
	return (char *) control;
}

/*
 * The control file as a standby would have it whose data directory is
 * consistent from the stop point on.
 */
char *
CoreControlFileAtStop(const char *at_start, Size *len, const CoreBackup *backup)
{
	char	   *contents = palloc0(PG_CONTROL_FILE_SIZE);
	ControlFileData *control = (ControlFileData *) contents;

	memcpy(control, at_start, sizeof(ControlFileData));
	control->state = DB_IN_ARCHIVE_RECOVERY;
	control->minRecoveryPoint = backup->stoppoint;
	control->minRecoveryPointTLI = backup->stoptli;
	control->backupStartPoint = InvalidXLogRecPtr;
	control->backupEndPoint = InvalidXLogRecPtr;
	control->backupEndRequired = false;

	INIT_CRC32C(control->crc);
	COMP_CRC32C(control->crc, control, offsetof(ControlFileData, crc));
	FIN_CRC32C(control->crc);

	*len = PG_CONTROL_FILE_SIZE;
	return contents;
}

/*
 * Make a physical replication slot, which is this process's until it releases it.
 */
void
CoreCreateSlot(const char *name, ReplicationSlotPersistency persistency)
{
#if PG_VERSION_NUM >= 190000
	ReplicationSlotCreate(name, false, persistency, false, false, false, false);
#elif PG_VERSION_NUM >= 170000
	ReplicationSlotCreate(name, false, persistency, false, false, false);
#else
	ReplicationSlotCreate(name, false, persistency, false);
#endif
}
