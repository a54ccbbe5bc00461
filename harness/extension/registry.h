/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  The registry of backups in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include "continuity.h"
#include "core.h"
#include "shared_backup.h"
#include "utils/dsa.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

typedef enum BackupPhase
{
	BACKUP_ABSENT,
	BACKUP_STARTING,
	BACKUP_ACTIVE,
	BACKUP_STOPPING,
	BACKUP_STOPPED,
	BACKUP_EXPIRED,
	BACKUP_LOST,				/* in a restart; only with durable backups */
} BackupPhase;

/* The backups in these phases are live: they count against the limit. */
#define BackupPhaseIsLive(phase) \
	((phase) >= BACKUP_STARTING && (phase) <= BACKUP_STOPPING)

/* The files that a backup is restored with, apart from the copy. */
typedef enum BackupFile
{
	FILE_LABEL,
	FILE_TABLESPACE_MAP,
	FILE_CONTROL,				/* only if durable; as it was at the start, or
								 * as handed out if stopped and carried */
} BackupFile;

#define NUM_BACKUP_FILES	(FILE_CONTROL + 1)

typedef struct BackupFiles
{
	char	   *data[NUM_BACKUP_FILES];
	uint32		len[NUM_BACKUP_FILES];
} BackupFiles;

/* What is known of a backup from its start point on. */
typedef struct BackupRecord
{
	BackupPhase phase;
	bool		carried;		/* over a restart, while it was live */
	bool		as_standby;		/* stopped, and handed out with a control file */
	bool		unarchived;		/* WAL was not archived for some of the time */
	LostReason	lost_reason;	/* if LOST */
	Oid			owner;			/* role that started it */
	pg_uuid_t	token;			/* of this start and no other, ever */
	CoreBackup	core;
	TimestampTz start_time;
	TimestampTz expires_at;		/* DT_NOEND if never */
	TimestampTz stop_time;		/* if STOPPED; core had not ended it before */
	TimestampTz end_time;		/* since when it is STOPPED or LOST */
	uint64		end_number;		/* if STOPPED or LOST; they rise */
	TimestampTz forget_at;		/* if STOPPED, EXPIRED or LOST */
	uint64		file;			/* number of its state file, 0 if none */
	uint64		replaces;		/* file of what it replaced, 0 if none */
	bool		unsaved;		/* STOPPED, but the state file is behind */
	dsa_pointer files;			/* one after the other; none if EXPIRED or LOST */
	uint32		files_len[NUM_BACKUP_FILES];
} BackupRecord;

/* One entry of the registry, as it was at some moment. */
typedef struct BackupSnapshot
{
	uint64		serial;			/* 0 if there is no entry */
	BackupPhase phase;			/* as of that moment, by the clock */
	BackupPhase stored_phase;	/* before looking at the clock */
	Oid			starting_owner; /* if STARTING */
	BackupRecord record;
} BackupSnapshot;

/* A backup with a state file that the reaper has to deal with. */
typedef struct DueBackup
{
	BackupLabel label;
	uint64		serial;
	BackupRecord record;		/* without files */
	bool		forgotten;		/* not in the registry any more; or else overdue */
} DueBackup;

/* The limits to what is remembered of backups that have ended. */
typedef enum ResultLimit
{
	RESULT_LIMIT_NONE,
	RESULT_LIMIT_NUMBER,
	RESULT_LIMIT_SIZE,
} ResultLimit;

/*
 * What has happened since the server was started.  Backups that were started,
 * or carried over that start, are live, or have ended in one of the other ways.
 */
typedef struct BackupStats
{
	uint64		started;
	uint64		carried;
	uint64		stopped;
	uint64		aborted;
	uint64		expired;
	uint64		failed;			/* core had no result for them */
	uint64		lost;			/* live before that start, and not carried */
} BackupStats;

typedef struct BackupListItem
{
	char	   *label;			/* UTF-8 */
	int			label_len;
	BackupSnapshot snapshot;
} BackupListItem;

typedef enum ReserveResult
{
	RESERVE_OK,
	RESERVE_CHANGED,			/* the entry is not the expected one */
	RESERVE_LIMIT_OVERDUE,		/* limit reached, but the reaper has work */
	RESERVE_LIMIT,				/* limit reached */
} ReserveResult;

/* shared memory */
extern Size RegistryShmemSize(void);
extern void RegistryShmemInit(void);
extern bool RegistryExists(void);
extern bool RegistryReady(void);
extern TimestampTz RegistrySince(void);
extern int	RegistryLive(void);
extern int	RegistryMaxBackups(void);

/* reading */
extern bool RegistryLookup(const BackupLabel *label, TimestampTz now,
						   BackupSnapshot *snapshot);
extern BackupListItem *RegistryList(int *nitems);
extern void RegistryGetStats(BackupStats *stats);

/* start */
extern ReserveResult RegistryReserve(const BackupLabel *label, uint64 expected,
									 Oid owner, TimestampTz now,
									 uint64 *serial);
extern void RegistryCancelReservation(const BackupLabel *label, uint64 serial);
extern void RegistrySetStartTime(BackupRecord *record, int64 ttl);
extern uint64 RegistryPublishStart(const BackupLabel *label, uint64 serial,
								   int64 ttl, BackupRecord *record);

/* stop, abort and renew */
extern bool RegistryClaim(const BackupLabel *label, uint64 serial);
extern void RegistryUnclaim(const BackupLabel *label, uint64 serial);
extern void RegistrySetForgetTime(BackupRecord *record);
extern bool RegistryPublishStop(const BackupLabel *label, uint64 serial,
								BackupRecord *record);
extern void RegistryNoteSaved(const BackupLabel *label, uint64 serial);
extern bool RegistryRemove(const BackupLabel *label, uint64 serial,
						   bool failed);
extern bool RegistryRenew(const BackupLabel *label, uint64 serial, int64 ttl,
						  TimestampTz *expires_at);

/* the files of a backup */
extern void RegistryStoreFiles(BackupRecord *record, const BackupFiles *files);
extern void RegistryRehearseStore(Size size);
extern void RegistryFreeFiles(BackupRecord *record);
extern bool RegistryReadFiles(const BackupLabel *label,
							  const BackupSnapshot *snapshot,
							  BackupFiles *files);

/* limits to what is remembered */
extern void RegistryLoadSettings(void);
extern bool RegistryEvict(BackupLabel *label, BackupRecord *record,
						  ResultLimit *limit);
extern TimestampTz RegistryLastDoomed(ResultLimit *limit);

/* for the reaper */
extern void RegistryReap(TimestampTz now, int skip, DueBackup *due,
						 int max_due, int *ndue, volatile int *nreleases);
extern bool RegistryExpire(const BackupLabel *label, uint64 serial,
						   TimestampTz forget_at, bool *release);
extern void RegistryNoteDue(TimestampTz due);
extern TimestampTz RegistryNextDue(void);

/* after a restart */
extern void RegistryBeginResume(uint64 last_number);
extern void RegistrySetLostTime(BackupRecord *record);
extern void RegistryHoldCarried(void);
extern uint64 RegistryAdopt(const BackupLabel *label, BackupPhase phase,
							BackupRecord *record);
extern bool RegistryEndResume(void);

#ifdef SHARED_BACKUP_INSTRUMENTS
/* for shared_backup_carry_in() */
extern bool RegistryExchange(const BackupLabel *label, uint64 serial,
							 TimestampTz now, BackupRecord *record);

/* for the points that the reaper comes to */
extern const BackupLabel *RegistryOverdueLabel(TimestampTz now);

/* for tests of what is left behind */
typedef struct RegistryCounts
{
	int			live;			/* backups */
	int			results;		/* that are remembered */
	Size		results_size;
	uint64		chunks;			/* of shared memory, for labels and files */
} RegistryCounts;

extern void RegistryGetCounts(RegistryCounts *counts);

/* for tests of what happens without memory */
extern void RegistryLimitMemory(Size limit);
#endif

/* arithmetic on times that may be for ever */
extern TimestampTz TimestampTzAfter(TimestampTz start, int64 usec);

#endif							/* REGISTRY_H */
