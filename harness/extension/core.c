/*-------------------------------------------------------------------------
 *
 * core.c
 *	  What we ask of PostgreSQL's own backup code, in one shape for all the
 *	  versions we support.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#if PG_VERSION_NUM >= 160000
#include "access/xlogbackup.h"
#endif
#include "core.h"
#include "miscadmin.h"

/*
 * Start a backup.
 *
 * This leaves core's session-level state RUNNING in the calling process, which
 * must therefore be one that ends soon and runs no backup functions: see
 * starter.c.  If the state is RUNNING after an error, the backup was started
 * and CoreBackupUndoStart() must be called.
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
