/*-------------------------------------------------------------------------
 *
 * durable.h
 *	  What is kept of backups over a restart of the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DURABLE_H
#define DURABLE_H

#include "registry.h"

/* A backup as its state file has it, or is to have it. */
typedef struct DurableBackup
{
	BackupLabel label;
	BackupRecord record;		/* without files */
	BackupPhase phase;			/* ACTIVE, STOPPED, EXPIRED or LOST */
	bool		ending;			/* ACTIVE, but core may have ended it */
	BackupFiles files;
} DurableBackup;

extern void DurableLock(uint64 file);
extern void DurableUnlock(uint64 file);
#ifdef SHARED_BACKUP_INSTRUMENTS
extern void DurableLockAll(void);
extern void DurableUnlockAll(void);
#endif

extern bool DurableSave(const BackupLabel *label, const BackupRecord *record,
						BackupPhase phase, bool ending,
						const BackupFiles *files, int elevel);
extern bool DurableForget(const BackupLabel *label, uint64 file, int elevel);
extern void DurableForgetEnded(const BackupLabel *label,
							   const BackupRecord *record, int elevel);
extern List *DurableLoadAll(uint64 *last_file);

#endif							/* DURABLE_H */
