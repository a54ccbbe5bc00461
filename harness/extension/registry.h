/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  The registry of backups in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include "core.h"
#include "shared_backup.h"
#include "utils/dsa.h"
#include "utils/timestamp.h"

typedef enum BackupPhase
{
	BACKUP_ABSENT,
	BACKUP_STARTING,
	BACKUP_ACTIVE,
	BACKUP_STOPPING,
	BACKUP_STOPPED,
	BACKUP_EXPIRED,
} BackupPhase;

/* The backups in these phases are live: they count against the limit. */
#define BackupPhaseIsLive(phase) \
	((phase) >= BACKUP_STARTING && (phase) <= BACKUP_STOPPING)

/* What is known of a backup from its start point on. */
typedef struct BackupRecord
{
	BackupPhase phase;
	Oid			owner;			/* role that started it */
	CoreBackup	core;
	TimestampTz start_time;
	TimestampTz expires_at;		/* DT_NOEND if never */
	TimestampTz stop_time;		/* if STOPPED */
	TimestampTz forget_at;		/* if STOPPED or EXPIRED */
	dsa_pointer files;			/* label file, then tablespace map */
	uint32		labelfile_len;
	uint32		spcmapfile_len;
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
extern TimestampTz RegistrySince(void);
extern int	RegistryLive(void);

/* reading */
extern bool RegistryLookup(const BackupLabel *label, TimestampTz now,
						   BackupSnapshot *snapshot);
extern BackupListItem *RegistryList(int *nitems);

/* start */
extern ReserveResult RegistryReserve(const BackupLabel *label, uint64 expected,
									 Oid owner, TimestampTz now,
									 uint64 *serial);
extern void RegistryCancelReservation(const BackupLabel *label, uint64 serial);
extern void RegistryPublishStart(const BackupLabel *label, uint64 serial,
								 int64 ttl, BackupRecord *record,
								 BackupRecord *prior);
extern bool RegistryRetractStart(const BackupLabel *label, uint64 serial,
								 const BackupRecord *prior);

/* stop, abort and renew */
extern bool RegistryClaim(const BackupLabel *label, uint64 serial);
extern void RegistryUnclaim(const BackupLabel *label, uint64 serial);
extern void RegistryPublishStop(const BackupLabel *label, uint64 serial,
								BackupRecord *record);
extern void RegistryRemove(const BackupLabel *label, uint64 serial);
extern bool RegistryRenew(const BackupLabel *label, uint64 serial, int64 ttl,
						  TimestampTz *expires_at);

/* the two files of a backup */
extern void RegistryStoreFiles(BackupRecord *record, const char *labelfile,
							   uint32 labelfile_len, const char *spcmapfile,
							   uint32 spcmapfile_len);
extern void RegistryFreeFiles(BackupRecord *record);
extern bool RegistryReadFiles(const BackupLabel *label,
							  const BackupSnapshot *snapshot,
							  char **labelfile, char **spcmapfile);

/* for the reaper */
extern int	RegistryReap(TimestampTz now);
extern TimestampTz RegistryNextDue(void);

#ifdef SHARED_BACKUP_INSTRUMENTS
/* for shared_backup_carry_in() */
extern bool RegistryExchange(const BackupLabel *label, uint64 serial,
							 TimestampTz now, BackupRecord *record);

/* for the points that the reaper comes to */
extern const BackupLabel *RegistryOverdueLabel(TimestampTz now);
#endif

/* arithmetic on times that may be for ever */
extern TimestampTz TimestampTzAfter(TimestampTz start, int64 usec);

#endif							/* REGISTRY_H */
