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
#include "utils/timestamp.h"
#include "utils/uuid.h"

typedef struct StarterStatus
{
	pid_t		warm_pid;		/* 0 if no warm worker is ready */
	uint64		warm_starts;	/* requests made to the reaper's workers */
	uint64		cold_starts;	/* requests for which a worker was launched */
} StarterStatus;

/* What a caller asks for who holds a reservation. */
typedef struct StarterRequest
{
	BackupLabel label;
	uint64		serial;			/* of the reservation */
	bool		fast;
	int64		ttl;			/* in microseconds, or PG_INT64_MAX */
	Oid			owner;
	pg_uuid_t	token;
} StarterRequest;

/* A background worker that starts backups, as the view shows it. */
typedef struct StarterInfo
{
	pid_t		pid;			/* 0 if it is not there yet */
	const char *state;
	BackupLabel label;			/* empty if it has no request */
	TimestampTz since;			/* in this state */
} StarterInfo;

extern Size StarterShmemSize(void);
extern void StarterShmemInit(void);
extern XLogRecPtr StarterRun(const StarterRequest *request);
extern TimestampTz StarterKeepWarm(void);
extern void StarterLoadSettings(void);
extern StarterInfo *StarterList(int *nstarters);
extern void StarterGetStatus(StarterStatus *status);

extern PGDLLEXPORT void SharedBackupStarterMain(Datum main_arg);

#endif							/* STARTER_H */
