/*-------------------------------------------------------------------------
 *
 * shared_backup.h
 *	  Settings of the extension and what all its files share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SHARED_BACKUP_H
#define SHARED_BACKUP_H

#include "storage/lwlock.h"

/* the longest label, in bytes of UTF-8; core has the same limit */
#define MAX_LABEL_LEN	MAXPGPATH

/* A backup's label: UTF-8 in every database, compared byte for byte. */
typedef struct BackupLabel
{
	int			len;
	char		text[MAX_LABEL_LEN + 1];	/* NUL-terminated */
} BackupLabel;

/* locks on state files, see durable.c */
#define NUM_FILE_LOCKS		16

/*
 * Our lightweight locks, each kind in a tranche of its own, so that one can see
 * what a process waits for.  A file lock is taken before any other of these,
 * and then CHANGE_LOCK; of the rest, no process holds more than one at a time.
 *
 * Nobody takes TABLE_LOCK and AREA_LOCK.  They are there for their tranches,
 * which the locks within the hash table and within the dynamic shared memory
 * area belong to.
 */
typedef enum SharedBackupLock
{
	CHANGE_LOCK,
	REGISTRY_LOCK,
	STARTER_LOCK,
	REAPER_LOCK,
	STANDBY_LOCK,
	TABLE_LOCK,
	AREA_LOCK,
	FIRST_FILE_LOCK,
} SharedBackupLock;

#define NUM_TRANCHES		(FIRST_FILE_LOCK + 1)

/* valid values of shared_backup.stop_policy */
typedef enum StopPolicy
{
	STOP_POLICY_ANY,
	STOP_POLICY_OWNER,
} StopPolicy;

/* valid values of shared_backup.storage */
typedef enum StorageKind
{
	STORAGE_DYNAMIC,
	STORAGE_FIXED,
} StorageKind;

/* settings */
extern int	shared_backup_max_backups;
extern int	shared_backup_ttl;
extern int	shared_backup_stop_policy;
extern int	shared_backup_result_retention;
extern int	shared_backup_max_results;
extern int	shared_backup_max_results_size;
extern int	shared_backup_max_starters;
extern bool shared_backup_durable;
extern int	shared_backup_storage;

extern LWLock *SharedBackupGetLock(SharedBackupLock which);

/* the lock on a state file, by the number of the file */
#define FileLock(file) \
	SharedBackupGetLock(FIRST_FILE_LOCK + (file) % NUM_FILE_LOCKS)

extern uint32 SharedBackupWaitEvent(uint32 *event, const char *name);

#endif							/* SHARED_BACKUP_H */
