/*-------------------------------------------------------------------------
 *
 * reaper.h
 *	  The background worker that expires and forgets backups.
 *
 *-------------------------------------------------------------------------
 */
#ifndef REAPER_H
#define REAPER_H

#include "utils/timestamp.h"

typedef struct ReaperStatus
{
	pid_t		pid;			/* 0 if it is not running */
	uint64		rounds;			/* rounds completed */
	TimestampTz settings_loaded;
} ReaperStatus;

extern Size ReaperShmemSize(void);
extern void ReaperShmemInit(void);
extern void ReaperRegister(void);
extern void ReaperWake(void);
extern void ReaperAwaitRound(void);
extern void ReaperGetStatus(ReaperStatus *status);

extern PGDLLEXPORT void SharedBackupReaperMain(Datum main_arg);

#endif							/* REAPER_H */
