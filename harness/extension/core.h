/*-------------------------------------------------------------------------
 *
 * core.h
 *	  What we ask of PostgreSQL's own code for backups and replication slots,
 *	  in one shape for all the versions we support.
 *
 * Core counts the running backups in shared memory and forces full-page
 * writes while there is one.  CoreBackupStart() raises that count; exactly one
 * call of CoreBackupStop(), CoreBackupRelease() or CoreBackupUndoStart() must
 * follow to lower it.  CoreBackupEndCarried() does not.
 *
 * Core also takes a backup for that of the process that started it, which must
 * end before it may run backup functions: unless it can be detached.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CORE_H
#define CORE_H

#include "access/xlog.h"
#include "access/xlogdefs.h"
#include "lib/stringinfo.h"
#include "pgtime.h"
#include "replication/slot.h"

/* Stock PostgreSQL has no such function yet; see patches/. */
#ifdef HAVE_DO_PG_BACKUP_DETACH
#define CORE_CAN_DETACH	true
#else
#define CORE_CAN_DETACH	false
#endif

/* it has another name since then */
#if PG_VERSION_NUM >= 190000
#define CHECKPOINT_IMMEDIATE	CHECKPOINT_FAST
#endif

/*
 * What core needs to know to end a backup.  Like core's BackupState, but
 * without the label, so that it can be kept for many backups.
 */
typedef struct CoreBackup
{
	XLogRecPtr	startpoint;
	XLogRecPtr	checkpointloc;
	pg_time_t	starttime;
	TimeLineID	starttli;
	bool		started_in_recovery;

	/* set by CoreBackupStop() */
	bool		stopped_in_recovery;
	TimeLineID	stoptli;
	XLogRecPtr	stoppoint;
} CoreBackup;

extern void CoreRehearse(void);
extern void CoreBackupStart(const char *label, bool fast, CoreBackup *backup,
							StringInfo labelfile, StringInfo spcmapfile);
extern void CoreBackupUndoStart(void);
extern void CoreBackupDetach(void);
extern void CoreBackupStop(CoreBackup *backup, const char *label,
						   const char *labelfile);
extern void CoreBackupRelease(void);

extern void CoreBackupEndCarried(CoreBackup *backup);
extern char *CoreStandbyLabelFile(const char *labelfile);
extern char *CoreControlFileAtStart(Size *len);
extern char *CoreControlFileAtStop(const char *at_start, Size *len,
								   const CoreBackup *backup);

extern void CoreCreateSlot(const char *name,
						   ReplicationSlotPersistency persistency);

#endif							/* CORE_H */
