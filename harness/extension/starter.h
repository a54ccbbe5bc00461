/*-------------------------------------------------------------------------
 *
 * starter.h
 *	  Starting a backup in a background worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STARTER_H
#define STARTER_H

#include "access/xlogdefs.h"
#include "shared_backup.h"

extern Size StarterShmemSize(void);
extern void StarterShmemInit(void);
extern XLogRecPtr StarterRun(const BackupLabel *label, uint64 serial,
							 bool fast, int64 ttl, Oid owner);

extern PGDLLEXPORT void SharedBackupStarterMain(Datum main_arg);

#endif							/* STARTER_H */
