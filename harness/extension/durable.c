/*-------------------------------------------------------------------------
 *
 * durable.c
 *	  What is kept of backups over a restart of the server.
 *
 * With shared_backup.durable, each backup has a state file from its start
 * point on until it is forgotten.  It is named after the serial number that
 * the backup was started under, which is never used again: so the file of a
 * finished backup stays until the one that replaces it is sure to stay.
 *
 * What the file says is what a restart leaves of the backup.  So whatever a
 * caller is told must be in the file first; only that a backup is overdue, or
 * not remembered any more, anybody may find out by the clock.  And whenever core
 * is released from a backup, the file must say before that it is not ACTIVE any
 * more, or be gone: otherwise a restart could make a backup ACTIVE again that
 * core did not protect for a while.  If neither can be done, core stays held;
 * except where a start or a stop has failed, whose caller knows that the copy
 * cannot be used.
 *
 * Locking rules: a state file is written and removed by whoever holds its file
 * lock, which is taken before all other locks of ours, and held from reading
 * the clock and looking at the registry to the change in the registry that the
 * file tells of.  There are fewer of these locks than files.  They are held
 * during file access, as are those of replication slots.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dirent.h>

#include "access/xlog.h"
#include "durable.h"
#include "miscadmin.h"
#include "statefile.h"
#include "storage/fd.h"

#define STATE_SUFFIX	".backup"
#define FILE_NUMBER_LEN	16

/* The fixed part of a state file; the label and the files follow. */
typedef struct DurableHeader
{
	uint64		system_identifier;
	BackupRecord record;
	BackupPhase phase;
	bool		ending;
	int			label_len;
} DurableHeader;

static void
GetFileName(char *name, uint64 file)
{
	snprintf(name, MAX_STATE_FILE_NAME, "%016llX%s",
			 (unsigned long long) file, STATE_SUFFIX);
}

void
DurableLock(uint64 file)
{
	LWLockAcquire(FileLock(file), LW_EXCLUSIVE);
}

void
DurableUnlock(uint64 file)
{
	LWLockRelease(FileLock(file));
}

#ifdef SHARED_BACKUP_INSTRUMENTS

/*
 * Keep everybody from writing state files, so that the clock of the tests does
 * not move between the reading of it and the change that is made by it.
 */
void
DurableLockAll(void)
{
	for (int i = 0; i < NUM_FILE_LOCKS; i++)
		LWLockAcquire(SharedBackupGetLock(FIRST_FILE_LOCK + i), LW_EXCLUSIVE);
}

void
DurableUnlockAll(void)
{
	for (int i = 0; i < NUM_FILE_LOCKS; i++)
		LWLockRelease(SharedBackupGetLock(FIRST_FILE_LOCK + i));
}

#endif							/* SHARED_BACKUP_INSTRUMENTS */

/*
 * Write the state file of a backup; its file lock must be held.
 *
 * Returns whether that was done; if not, the file is as it was.
 */
bool
DurableSave(const BackupLabel *label, const BackupRecord *record,
			BackupPhase phase, bool ending, const BackupFiles *files,
			int elevel)
{
	DurableHeader header;
	StateFilePart parts[2 + NUM_BACKUP_FILES];
	char		name[MAX_STATE_FILE_NAME];

	Assert(LWLockHeldByMe(FileLock(record->file)));
	memset(&header, 0, sizeof(header)); /* also what pads it */
	header.system_identifier = GetSystemIdentifier();
	header.record = *record;
	header.record.files = InvalidDsaPointer;
	header.phase = phase;
	header.ending = ending;
	header.label_len = label->len;

	parts[0].data = &header;
	parts[0].len = sizeof(header);
	parts[1].data = label->text;
	parts[1].len = label->len;
	for (int i = 0; i < NUM_BACKUP_FILES; i++)
	{
		parts[2 + i].data = files->data[i];
		parts[2 + i].len = files->len[i];
		header.record.files_len[i] = files->len[i];
	}

	GetFileName(name, record->file);
	return StateFileWrite(name, parts, lengthof(parts), label, elevel);
}

/*
 * Remove the state file of a backup; its file lock must be held.  Returns
 * whether it is gone.
 */
bool
DurableForget(const BackupLabel *label, uint64 file, int elevel)
{
	char		name[MAX_STATE_FILE_NAME];

	Assert(LWLockHeldByMe(FileLock(file)));
	GetFileName(name, file);
	return StateFileRemove(name, label, elevel);
}

/*
 * Remove the state file of a backup that has left nothing to remember.
 *
 * What it replaced must not come back in a restart, and its starter may not
 * have removed the file of that yet.
 */
void
DurableForgetEnded(const BackupLabel *label, const BackupRecord *record,
				   int elevel)
{
	if (record->replaces != 0)
	{
		DurableLock(record->replaces);
		(void) DurableForget(label, record->replaces, elevel);
		DurableUnlock(record->replaces);
	}

	DurableLock(record->file);
	(void) DurableForget(label, record->file, elevel);
	DurableUnlock(record->file);
}

/*
 * Make sense of a state file.  Returns why that is not possible, or NULL.
 */
static const char *
DecodeBackup(char *contents, Size len, DurableBackup *backup)
{
	DurableHeader header;
	Size		rest;
	char	   *p;

	if (len < sizeof(header))
		return "It is too short for a shared backup.";
	memcpy(&header, contents, sizeof(header));
	p = contents + sizeof(header);
	rest = len - sizeof(header);

	if (header.system_identifier != GetSystemIdentifier())
		return "It belongs to another database system.";
	if (header.label_len <= 0 || header.label_len > MAX_LABEL_LEN ||
		header.label_len > rest ||
		(header.phase != BACKUP_ACTIVE && header.phase != BACKUP_STOPPED &&
		 header.phase != BACKUP_EXPIRED && header.phase != BACKUP_LOST))
		return "It does not describe a shared backup.";

	memset(backup, 0, sizeof(*backup));
	memcpy(backup->label.text, p, header.label_len);
	backup->label.len = header.label_len;
	backup->record = header.record;
	backup->record.unsaved = false; /* this is where it would be saved */
	backup->phase = header.phase;
	backup->ending = header.ending;
	p += header.label_len;
	rest -= header.label_len;

	for (int i = 0; i < NUM_BACKUP_FILES; i++)
	{
		if (header.record.files_len[i] > rest)
			return "It does not have the files of a shared backup.";

		/* with a NUL behind it, as RegistryReadFiles() gives them */
		backup->files.len[i] = header.record.files_len[i];
		backup->files.data[i] = palloc_extended((Size) backup->files.len[i] + 1,
												MCXT_ALLOC_HUGE);
		memcpy(backup->files.data[i], p, backup->files.len[i]);
		backup->files.data[i][backup->files.len[i]] = '\0';
		p += backup->files.len[i];
		rest -= backup->files.len[i];
	}
	return rest == 0 ? NULL : "It has more than the files of a shared backup.";
}

static DurableBackup *
LoadBackup(const char *name)
{
	DurableBackup *backup = palloc(sizeof(DurableBackup));
	Size		len;
	char	   *contents = StateFileRead(name, &len, ERROR);
	const char *reason;

	if (!contents)
		return NULL;

	reason = DecodeBackup(contents, len, backup);
	if (!reason)
	{
		char		expected[MAX_STATE_FILE_NAME];

		GetFileName(expected, backup->record.file);
		if (strcmp(name, expected) == 0)
			return backup;
		reason = "It has been renamed.";
	}
	StateFileSetAside(name, reason, ERROR);
	return NULL;
}

/*
 * Read all state files, while nobody writes any.  What is left of an
 * interrupted write is removed.
 *
 * Returns a list of DurableBackup, in no particular order, and the highest
 * number of a file, whether or not it can be believed.  Fails if some file may
 * be overlooked that a later start would find: its backup would be taken for
 * one that core has protected all the time.
 */
List *
DurableLoadAll(uint64 *last_file)
{
	List	   *backups = NIL;
	DIR		   *dir = AllocateDir(STATE_FILE_DIR);
	struct dirent *de;

	*last_file = 0;
	while ((de = ReadDir(dir, STATE_FILE_DIR)) != NULL)
	{
		Size		len = strlen(de->d_name);
		Size		suffix_len = strlen(STATE_SUFFIX);
		DurableBackup *backup;

		if (strspn(de->d_name, "0123456789ABCDEF") == FILE_NUMBER_LEN)
			*last_file = Max(*last_file, strtoull(de->d_name, NULL, 16));
		if (len > 4 && strcmp(de->d_name + len - 4, ".tmp") == 0 &&
			len < MAX_STATE_FILE_NAME)
			(void) StateFileRemove(de->d_name, NULL, WARNING);
		if (len <= suffix_len || len >= MAX_STATE_FILE_NAME ||
			strcmp(de->d_name + len - suffix_len, STATE_SUFFIX) != 0)
			continue;

		backup = LoadBackup(de->d_name);
		if (backup)
			backups = lappend(backups, backup);
	}
	FreeDir(dir);
	fsync_fname(STATE_FILE_DIR, true);
	return backups;
}
