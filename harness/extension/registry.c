/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  The registry of backups in shared memory.
 *
 * The registry is a hash table in dynamic shared memory, keyed by label, and a
 * small header in the main shared memory segment.  The dynamic shared memory
 * area begins within the main segment, so that the postmaster, which cannot
 * create dynamic shared memory, can create the table at startup; it grows from
 * there without a limit, unless storage is fixed: see storage.c.  A restart of
 * any kind empties the registry, which is right, because core forgets its
 * running backups as well.  If backups are to survive a restart, they are put
 * back before anybody else sees the registry: see resume.c.
 *
 * Core counts each live backup, except that it counts only one for all of
 * those together that were carried over a restart.  So functions that end a
 * backup say whether core is to be released from it.
 *
 * Locking rules:
 *
 * - An entry is read and changed under the lock of its partition of the hash
 *	 table.  No pointer to an entry outlives that lock: callers work on copies
 *	 and come back with the serial number of the entry that they saw, which
 *	 changes whenever the label is used anew.  A function that finds another
 *	 entry, or the same one in another phase, says so, and its caller looks
 *	 again.
 *
 * - Whoever changes an entry holds CHANGE_LOCK in shared mode, and takes it
 *	 before the partition lock.  Whoever lists all entries holds it in exclusive
 *	 mode, or it would see them at different moments, and together what was
 *	 never there at the same time.
 *
 * - The fields of the header are read and changed under REGISTRY_LOCK, which
 *	 may be taken while holding a partition lock, never the other way round.
 *	 The same goes for REAPER_LOCK, which it takes to wake the reaper.
 *
 * - While an entry is STARTING it belongs to the process that reserved it, and
 *	 while it is STOPPING to the process that claimed it: nobody else changes
 *	 or removes it.  That process must see to it that it leaves this phase,
 *	 also when it fails or is terminated.  The owner of a reservation changes
 *	 once, from caller to background worker: see starter.c.
 *
 * - Only the reaper takes an entry from ACTIVE to EXPIRED, and releases core.
 *	 For everybody else an overdue entry is EXPIRED already because the clock
 *	 says so: see EffectivePhase().  An entry that has a state file stays ACTIVE
 *	 until the file says that it is EXPIRED.
 *
 * - Results (entries that are STOPPED, EXPIRED or LOST) are in a list, in the
 *	 order in which they ended, so that those beyond a limit can be found
 *	 without looking at all entries.  An entry gets into the list, and out of
 *	 it, under its partition lock and REGISTRY_LOCK.  What is beyond a limit is
 *	 moved to another list at the same moment: it is "doomed", and absent for
 *	 everybody from then on.  It is removed by whoever doomed it, as soon as he
 *	 holds no lock, or else by the reaper: see results.c.
 *
 * - Following a pointer into dynamic shared memory may fail, if this process has
 *	 not been there before.  So whoever changes a list follows all pointers that
 *	 he needs before he changes anything, there or elsewhere.
 *
 * - The files of an entry are immutable.  They are freed by the one who took
 *	 them out of the entry, or along with the entry under its partition lock.
 *
 * - Nothing that waits for anything but another short-term lock, and nothing
 *	 that runs user-defined code, is done under any of these locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/int.h"
#include "injection_points.h"
#include "instruments.h"
#include "lib/dshash.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "reaper.h"
#include "registry.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "storage.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/*
 * Key of the hash table.  A label can be long but seldom is, so an entry keeps
 * it in a chunk of its own; a key to look up has it in local memory.
 */
typedef struct LabelKey
{
	const char *local;			/* NULL in an entry */
	dsa_pointer shared;			/* a LabelChunk, if local is NULL */
	int			len;
} LabelKey;

/* Which list of results an entry is in. */
typedef enum ResultState
{
	RESULT_NOT,					/* none */
	RESULT_KEPT,
	RESULT_DOOMED,				/* beyond a limit, and to be removed */
} ResultState;

/* The label of an entry, and its place among the results. */
typedef struct LabelChunk
{
	/* protected by REGISTRY_LOCK, but others may look at the state */
	dsa_pointer previous;
	dsa_pointer next;
	ResultState state;
	ResultLimit limit;			/* that it was beyond, if doomed */
	BackupPhase phase;
	TimestampTz ended;			/* DT_NOBEGIN if it was overdue from the start */
	uint64		end_number;		/* 0 if EXPIRED */
	XLogRecPtr	startpoint;
	uint64		serial;			/* of the entry */
	Size		size;			/* of the entry and all that belongs to it */

	/* constant */
	int			len;
	char		text[FLEXIBLE_ARRAY_MEMBER];
} LabelChunk;

/* From the result that ended first to the one that ended last. */
typedef struct ResultList
{
	dsa_pointer first;
	dsa_pointer last;
} ResultList;

/* Entry of the hash table. */
typedef struct BackupEntry
{
	LabelKey	key;			/* must be first */
	uint64		serial;			/* number of this use of the label */
	BackupPhase phase;

	/*
	 * While the phase is STARTING, the starting role is here, and the record
	 * is still that of the finished backup that is going to be replaced, with
	 * that one's phase, or all zeroes if there was none.  In all other phases
	 * record.phase is not used.
	 */
	Oid			starting_owner;
	BackupRecord record;
} BackupEntry;

typedef struct RegistryHeader
{
	/* set at startup, then constant */
	TimestampTz since;			/* when this registry was created */
	dshash_table_handle table;
	StoragePlan plan;

	/* protected by REGISTRY_LOCK */
	uint64		last_serial;
	int			live;			/* number of live backups */
	int			carried;		/* of these, carried over a restart; plus one
								 * while "held" */
	bool		held;			/* is core, until they are all back? */
	bool		ready;			/* are they? */
	BackupStats stats;

	ResultList	kept;
	ResultList	doomed;
	int			nkept;
	Size		kept_size;
	int			max_results;	/* the settings, as the reaper has loaded them */
	int64		max_results_size;	/* in bytes */
	ResultLimit last_limit;		/* that some result was beyond */
	TimestampTz last_doomed;	/* when that was; 0 if never */

	/*
	 * No backup expires or is forgotten before next_due.  While the reaper
	 * makes a round, next_due_in_round takes the times that come up meanwhile,
	 * which the round may miss.
	 */
	TimestampTz next_due;
	TimestampTz next_due_in_round;

#ifdef SHARED_BACKUP_INSTRUMENTS
	pg_atomic_uint64 chunks;	/* that are allocated */
#endif

	char		area[FLEXIBLE_ARRAY_MEMBER];
} RegistryHeader;

static void DeleteEntry(BackupEntry *entry);

static RegistryHeader *header = NULL;
static dsa_area *area = NULL;
static dsa_area *files_area = NULL; /* may be the same */
static dshash_table *table = NULL;

#define REGISTRY_AREA(h) \
	((char *) (h) + MAXALIGN(offsetof(RegistryHeader, area)))
#define REGISTRY_FILES_AREA(h) \
	(REGISTRY_AREA(h) + (h)->plan.entries_size)

/*
 * Labels and files are in chunks of the areas.  All of them are allocated and
 * freed here, so that tests can count them.
 */
static dsa_pointer
AllocateChunk(dsa_area *from, Size size, int flags)
{
	dsa_pointer chunk = dsa_allocate_extended(from, size, flags);

#ifdef SHARED_BACKUP_INSTRUMENTS
	if (DsaPointerIsValid(chunk))
		pg_atomic_fetch_add_u64(&header->chunks, 1);
#endif
	return chunk;
}

static void
FreeChunk(dsa_area *from, dsa_pointer chunk)
{
	dsa_free(from, chunk);
#ifdef SHARED_BACKUP_INSTRUMENTS
	pg_atomic_fetch_sub_u64(&header->chunks, 1);
#endif
}

/*
 * Hash table support
 */

static const char *
LabelKeyText(const LabelKey *key, void *arg)
{
	if (key->local)
		return key->local;
	return ((LabelChunk *) dsa_get_address((dsa_area *) arg, key->shared))->text;
}

static int
CompareLabelKeys(const void *a, const void *b, size_t size, void *arg)
{
	const LabelKey *left = a;
	const LabelKey *right = b;

	if (left->len != right->len)
		return left->len < right->len ? -1 : 1;
	return memcmp(LabelKeyText(left, arg), LabelKeyText(right, arg),
				  left->len);
}

static dshash_hash
HashLabelKey(const void *v, size_t size, void *arg)
{
	const LabelKey *key = v;

	return hash_bytes((const unsigned char *) LabelKeyText(key, arg),
					  key->len);
}

static void
GetTableParameters(dshash_parameters *params)
{
	memset(params, 0, sizeof(*params));
	params->key_size = sizeof(LabelKey);
	params->entry_size = sizeof(BackupEntry);
	params->compare_function = CompareLabelKeys;
	params->hash_function = HashLabelKey;
#if PG_VERSION_NUM >= 170000
	params->copy_function = dshash_memcpy;
#endif
	params->tranche_id = SharedBackupGetLock(TABLE_LOCK)->tranche;
}

static LabelKey
MakeLabelKey(const BackupLabel *label)
{
	LabelKey	key = {0};

	key.local = label->text;
	key.shared = InvalidDsaPointer;
	key.len = label->len;
	return key;
}

static LabelChunk *
GetLabelChunk(dsa_pointer chunk)
{
	return DsaPointerIsValid(chunk) ? dsa_get_address(area, chunk) : NULL;
}

/*
 * The memory that a label takes: with fixed storage, all take the same.
 */
static Size
LabelChunkSize(int len)
{
	return offsetof(LabelChunk, text) +
		(header->plan.fixed ? MAX_LABEL_LEN : len);
}

static Size
TotalLength(const uint32 *files_len)
{
	Size		total = 0;

	for (int i = 0; i < NUM_BACKUP_FILES; i++)
		total += files_len[i];
	return total;
}

/*
 * Copy a label into shared memory.
 */
static dsa_pointer
MakeLabelChunk(const BackupLabel *label)
{
	dsa_pointer shared = AllocateChunk(area, LabelChunkSize(label->len), 0);
	LabelChunk *chunk = dsa_get_address(area, shared);

	memset(chunk, 0, offsetof(LabelChunk, text));
	chunk->len = label->len;
	memcpy(chunk->text, label->text, label->len);
	return shared;
}

/*
 * The limits that apply: the settings, as far as there is memory for them.  The
 * last one is in bytes.
 */
int
RegistryMaxBackups(void)
{
	if (!header->plan.fixed)
		return shared_backup_max_backups;
	return Min(shared_backup_max_backups, header->plan.max_backups);
}

static int
MaxResults(void)
{
	if (!header->plan.fixed)
		return shared_backup_max_results;
	return Min(shared_backup_max_results, header->plan.max_results);
}

static int64
MaxResultsSize(void)
{
	int64		size = shared_backup_max_results_size < 0 ? -1 :
		shared_backup_max_results_size * INT64CONST(1024);
	int64		room = (int64) header->plan.max_results_size;

	if (!header->plan.fixed)
		return size;
	return size < 0 ? room : Min(size, room);
}

static const StoragePlan *
GetPlan(void)
{
	return StorageGetPlan(sizeof(BackupEntry),
						  offsetof(LabelChunk, text) + MAX_LABEL_LEN);
}

Size
RegistryShmemSize(void)
{
	const StoragePlan *plan = GetPlan();

	return add_size(MAXALIGN(offsetof(RegistryHeader, area)),
					add_size(plan->entries_size, plan->files_size));
}

/*
 * Create an area in the main segment, which is not to grow yet.  It is pinned.
 */
static dsa_area *
CreateArea(char *place, Size size)
{
	dsa_area   *created;

	created = dsa_create_in_place(place, size,
								  SharedBackupGetLock(AREA_LOCK)->tranche,
								  NULL);
	dsa_pin(created);
	dsa_set_size_limit(created, size);
	return created;
}

/*
 * Create the registry, or find it in a process that did not inherit it.
 */
void
RegistryShmemInit(void)
{
	bool		found;

	header = ShmemInitStruct("shared_backup registry", RegistryShmemSize(),
							 &found);
	if (!found)
	{
		dshash_parameters params;
		dsa_area   *new_area;
		dshash_table *new_table;

		memset(header, 0, offsetof(RegistryHeader, area));
		header->since = ClockNow();
		header->next_due = DT_NOEND;
		header->next_due_in_round = DT_NOEND;
		header->plan = *GetPlan();
		header->max_results = MaxResults();
		header->max_results_size = MaxResultsSize();
#ifdef SHARED_BACKUP_INSTRUMENTS
		pg_atomic_init_u64(&header->chunks, 0);
#endif

		/* keep the table itself out of dynamic shared memory */
		new_area = CreateArea(REGISTRY_AREA(header),
							  header->plan.entries_size);
		GetTableParameters(&params);
		new_table = dshash_create(new_area, &params, NULL);
		header->table = dshash_get_hash_table_handle(new_table);
		if (!header->plan.fixed)
			dsa_set_size_limit(new_area, (size_t) -1);

		/* each process attaches for itself when it needs to */
		dshash_detach(new_table);
		dsa_detach(new_area);
		if (header->plan.files_size > 0)
			dsa_detach(CreateArea(REGISTRY_FILES_AREA(header),
								  header->plan.files_size));
	}
}

/*
 * Is there a registry, that is, were we preloaded?
 */
bool
RegistryExists(void)
{
	return header != NULL;
}

TimestampTz
RegistrySince(void)
{
	return header->since;
}

int
RegistryLive(void)
{
	int			live;

	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_SHARED);
	live = header->live;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	return live;
}

/*
 * Attach to an area, for the rest of the life of this process.
 */
static dsa_area *
AttachArea(char *place)
{
	dsa_area   *attached = dsa_attach_in_place(place, NULL);

	dsa_pin_mapping(attached);
	on_shmem_exit(dsa_on_shmem_exit_release_in_place, PointerGetDatum(place));
	return attached;
}

/*
 * Attach to the hash table, for the rest of the life of this process.
 */
static void
RegistryAttach(void)
{
	dshash_parameters params;
	MemoryContext oldcontext;

	if (table)
		return;

	oldcontext = MemoryContextSwitchTo(TopMemoryContext);
	if (!area)
		area = AttachArea(REGISTRY_AREA(header));
	if (!files_area)
		files_area = header->plan.files_size == 0 ? area :
			AttachArea(REGISTRY_FILES_AREA(header));
	GetTableParameters(&params);
	table = dshash_attach(area, &params, header->table, area);
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Unlock an entry that was locked for a change.
 */
static void
UnlockEntry(BackupEntry *entry)
{
	dshash_release_lock(table, entry);
	LWLockRelease(SharedBackupGetLock(CHANGE_LOCK));
}

/*
 * Find the entry of a label, and lock it for a change, if it is still the one
 * with the given serial number.
 */
static BackupEntry *
FindEntry(const BackupLabel *label, uint64 serial)
{
	LabelKey	key = MakeLabelKey(label);
	BackupEntry *entry;

	RegistryAttach();
	LWLockAcquire(SharedBackupGetLock(CHANGE_LOCK), LW_SHARED);
	entry = dshash_find(table, &key, true);
	if (entry && entry->serial == serial)
		return entry;

	if (entry)
		UnlockEntry(entry);
	else
		LWLockRelease(SharedBackupGetLock(CHANGE_LOCK));
	return NULL;
}

/*
 * Find the entry of a label, or insert one with nothing but the label, and lock
 * it for a change.
 */
static BackupEntry *
FindOrInsertEntry(const BackupLabel *label, bool *found)
{
	LabelKey	key = MakeLabelKey(label);
	dsa_pointer text = MakeLabelChunk(label);
	BackupEntry *entry;

	LWLockAcquire(SharedBackupGetLock(CHANGE_LOCK), LW_SHARED);
	PG_TRY();
	{
		entry = dshash_find_or_insert(table, &key, found);
	}
	PG_CATCH();
	{
		FreeChunk(area, text);
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (*found)
	{
		FreeChunk(area, text);
		return entry;
	}

	memset((char *) entry + sizeof(LabelKey), 0,
		   sizeof(BackupEntry) - sizeof(LabelKey));
	entry->key.local = NULL;
	entry->key.shared = text;
	entry->record.files = InvalidDsaPointer;
	return entry;
}

/*
 * Find an entry that belongs to this process, and lock it for a change.
 */
static BackupEntry *
FindOwnEntry(const BackupLabel *label, uint64 serial, BackupPhase phase)
{
	BackupEntry *entry = FindEntry(label, serial);

	if (entry && entry->phase == phase)
		return entry;

	if (entry)
		UnlockEntry(entry);
	elog(ERROR, "shared backup \"%s\" is not in the expected state",
		 label->text);
	return NULL;				/* keep compiler quiet */
}

/*
 * Put a result into a list, behind another one, or to its beginning.  If this
 * fails, nothing has changed.
 */
static void
LinkResult(ResultList *list, dsa_pointer shared, dsa_pointer previous)
{
	LabelChunk *chunk = GetLabelChunk(shared);
	LabelChunk *before = GetLabelChunk(previous);
	dsa_pointer next = before ? before->next : list->first;
	LabelChunk *behind = GetLabelChunk(next);

	chunk->previous = previous;
	chunk->next = next;
	if (before)
		before->next = shared;
	else
		list->first = shared;
	if (behind)
		behind->previous = shared;
	else
		list->last = shared;
}

/*
 * Take a result out of a list.  If this fails, nothing has changed.
 */
static void
UnlinkResult(ResultList *list, LabelChunk *chunk)
{
	LabelChunk *before = GetLabelChunk(chunk->previous);
	LabelChunk *behind = GetLabelChunk(chunk->next);

	if (before)
		before->next = chunk->next;
	else
		list->first = chunk->next;
	if (behind)
		behind->previous = chunk->previous;
	else
		list->last = chunk->previous;
}

/*
 * Doom the oldest results until no limit is exceeded; REGISTRY_LOCK must be
 * held exclusively.
 */
static void
DoomResults(void)
{
	for (;;)
	{
		dsa_pointer oldest = header->kept.first;
		LabelChunk *chunk = GetLabelChunk(oldest);
		ResultLimit limit = RESULT_LIMIT_NONE;

		if (header->max_results >= 0 && header->nkept > header->max_results)
			limit = RESULT_LIMIT_NUMBER;
		else if (header->max_results_size >= 0 &&
				 header->kept_size > (uint64) header->max_results_size)
			limit = RESULT_LIMIT_SIZE;
		if (!chunk || limit == RESULT_LIMIT_NONE)
			return;

		(void) GetLabelChunk(header->doomed.last);	/* does not fail below */
		UnlinkResult(&header->kept, chunk);
		header->nkept--;
		header->kept_size -= chunk->size;
		LinkResult(&header->doomed, oldest, header->doomed.last);
		chunk->state = RESULT_DOOMED;

		/* nobody misses what is overdue anyway */
		if (chunk->ended != DT_NOBEGIN)
		{
			chunk->limit = limit;
			header->last_limit = limit;
			header->last_doomed = ClockNow();
		}
	}
}

/*
 * Did a result end before another one?
 *
 * Backups that expire or are lost together are found in no particular order.
 */
static bool
EndedBefore(const LabelChunk *chunk, const LabelChunk *other)
{
	if (chunk->ended != other->ended)
		return chunk->ended < other->ended;
	if (chunk->phase != other->phase || chunk->phase == BACKUP_STOPPED)
		return chunk->end_number < other->end_number;
	return chunk->startpoint < other->startpoint;
}

/*
 * Put an entry, which is locked for a change, into the list of results;
 * REGISTRY_LOCK must be held exclusively.
 */
static void
EnterResult(const BackupEntry *entry, TimestampTz now)
{
	const BackupRecord *record = &entry->record;
	LabelChunk *chunk = GetLabelChunk(entry->key.shared);
	dsa_pointer previous;
	LabelChunk *before;

	chunk->limit = RESULT_LIMIT_NONE;
	chunk->phase = entry->phase;
	chunk->end_number = record->end_number;
	if (record->forget_at <= now)
		chunk->ended = DT_NOBEGIN;
	else if (entry->phase == BACKUP_EXPIRED)
		chunk->ended = record->expires_at;
	else
		chunk->ended = record->end_time;
	chunk->startpoint = record->core.startpoint;
	chunk->serial = entry->serial;
	chunk->size = sizeof(BackupEntry) + LabelChunkSize(chunk->len) +
		StorageSizeOfFiles(TotalLength(record->files_len), header->plan.fixed);

	previous = header->kept.last;
	while ((before = GetLabelChunk(previous)) != NULL &&
		   EndedBefore(chunk, before))
		previous = before->previous;
	LinkResult(&header->kept, entry->key.shared, previous);
	chunk->state = RESULT_KEPT;
	header->nkept++;
	header->kept_size += chunk->size;
	DoomResults();
}

/*
 * An entry, which is locked for a change, has become a result.  The caller has
 * to call ResultsTrim() once it holds no lock.
 *
 * This does not fail, because what it follows cannot be undone.  Should memory
 * be so short that the list cannot be reached, the result is not in it, and is
 * forgotten only when its time is over.
 */
static void
AddResult(BackupEntry *entry, TimestampTz now)
{
	LWLock	   *lock = SharedBackupGetLock(REGISTRY_LOCK);
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	uint32		holdoff_count;

	/* only what was stopped is handed out */
	if (entry->phase != BACKUP_STOPPED)
		RegistryFreeFiles(&entry->record);

	LWLockAcquire(lock, LW_EXCLUSIVE);
	holdoff_count = InterruptHoldoffCount;
	PG_TRY();
	{
		EnterResult(entry, now);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		InterruptHoldoffCount = holdoff_count;
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		edata = CopyErrorData();
		FlushErrorState();
		ereport(LOG,
				(errmsg("shared backup that has ended does not count against the limits of results: %s",
						edata->message)));
		FreeErrorData(edata);
	}
	PG_END_TRY();
	LWLockRelease(lock);
}

/*
 * An entry, which is locked for a change, is not a result any more, if it was
 * one; REGISTRY_LOCK must be held exclusively.  If this fails, nothing has
 * changed.
 */
static void
RemoveResult(BackupEntry *entry)
{
	LabelChunk *chunk = GetLabelChunk(entry->key.shared);

	if (chunk->state == RESULT_KEPT)
	{
		UnlinkResult(&header->kept, chunk);
		header->nkept--;
		header->kept_size -= chunk->size;
	}
	else if (chunk->state == RESULT_DOOMED)
		UnlinkResult(&header->doomed, chunk);
	chunk->state = RESULT_NOT;
}

static void
WarnOfSetting(const char *name, int value, int preallocated)
{
	if (header->plan.fixed && value > preallocated)
		ereport(WARNING,
				(errmsg("\"%s\" = %d will apply only when the server is restarted",
						name, value),
				 errdetail("Until then there is preallocated memory for %d.",
						   preallocated)));
}

/*
 * The reaper has loaded the settings.  It has to call ResultsTrim().
 */
void
RegistryLoadSettings(void)
{
	WarnOfSetting("shared_backup.max_backups", shared_backup_max_backups,
				  header->plan.max_backups);
	WarnOfSetting("shared_backup.max_results", shared_backup_max_results,
				  header->plan.max_results);

	RegistryAttach();
	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	header->max_results = MaxResults();
	header->max_results_size = MaxResultsSize();
	DoomResults();
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
}

/*
 * Remove a result that is doomed.  Returns whether there was one: its label,
 * its record without files, and the limit that it was beyond, if it would have
 * been remembered without that.
 */
bool
RegistryEvict(BackupLabel *label, BackupRecord *record, ResultLimit *limit)
{
	RegistryAttach();
	for (;;)
	{
		uint64		serial = 0;
		LabelChunk *chunk;
		BackupEntry *entry;

		LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_SHARED);
		chunk = GetLabelChunk(header->doomed.first);
		if (chunk)
		{
			memset(label, 0, sizeof(*label));
			label->len = chunk->len;
			memcpy(label->text, chunk->text, chunk->len);
			serial = chunk->serial;
			*limit = chunk->limit;
		}
		LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
		if (!chunk)
			return false;
		SHARED_BACKUP_POINT("result-doomed", label);

		/* if it has changed, it is not doomed any more, or gone */
		entry = FindEntry(label, serial);
		if (entry)
		{
			*record = entry->record;
			DeleteEntry(entry);
			return true;
		}
	}
}

/*
 * When was a result last forgotten because of a limit, and which?  0 if never.
 */
TimestampTz
RegistryLastDoomed(ResultLimit *limit)
{
	TimestampTz last;

	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_SHARED);
	last = header->last_doomed;
	*limit = header->last_limit;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	return last;
}

/*
 * Remove an entry, which must be locked for a change, and unlock.
 */
static void
DeleteEntry(BackupEntry *entry)
{
	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	RemoveResult(entry);
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	FreeChunk(area, entry->key.shared);
	RegistryFreeFiles(&entry->record);
	dshash_delete_entry(table, entry);
	LWLockRelease(SharedBackupGetLock(CHANGE_LOCK));
}

/*
 * Note that the reaper has something to do at the given time.
 */
void
RegistryNoteDue(TimestampTz due)
{
	bool		earlier;

	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	earlier = due < header->next_due;
	header->next_due = Min(header->next_due, due);
	header->next_due_in_round = Min(header->next_due_in_round, due);
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));

	if (earlier)
		ReaperWake();
}

/*
 * What is counted is changed by one process at a time.
 */
static void
AdjustLive(int by)
{
	Assert(LWLockHeldByMeInMode(SharedBackupGetLock(REGISTRY_LOCK),
								LW_EXCLUSIVE));
	Assert(header->live + by >= 0);
	header->live += by;
}

/*
 * A backup is not live any more.  Returns whether core has to be released, if
 * core has not ended this very backup.
 */
static bool
LowerLive(const BackupRecord *record)
{
	bool		release = true;

	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	AdjustLive(-1);
	if (record->carried)
		release = --header->carried == 0;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	return release;
}

/*
 * Count something that has happened to an entry, which is locked for a change.
 */
static void
Count(uint64 *counter)
{
	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	(*counter)++;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
}

/*
 * Add a span, which PG_INT64_MAX makes endless, to a finite time.  A finite
 * result stays within the range of the type.
 */
TimestampTz
TimestampTzAfter(TimestampTz start, int64 usec)
{
	TimestampTz result;

	if (usec == PG_INT64_MAX)
		return DT_NOEND;
	if (pg_add_s64_overflow(start, usec, &result) ||
		!IS_VALID_TIMESTAMP(result))
		return END_TIMESTAMP - 1;
	return result;
}

/*
 * The phase that an entry is in at a given time.
 *
 * Time passes without anybody writing it into the entry, so the stored phase
 * is right only together with the clock.  *forget_at is set if the result is
 * one of a finished backup, or BACKUP_ABSENT because that is over.
 */
static BackupPhase
EffectivePhase(const BackupEntry *entry, TimestampTz now,
			   TimestampTz *forget_at)
{
	BackupPhase phase = entry->phase;

	switch (entry->phase)
	{
		case BACKUP_ACTIVE:
			if (entry->record.expires_at > now)
				return phase;
			phase = BACKUP_EXPIRED;
			*forget_at = TimestampTzAfter(entry->record.expires_at,
										  shared_backup_result_retention *
										  USECS_PER_SEC);
			break;
		case BACKUP_STOPPED:
		case BACKUP_EXPIRED:
		case BACKUP_LOST:
			*forget_at = entry->record.forget_at;
			if (GetLabelChunk(entry->key.shared)->state == RESULT_DOOMED)
				return BACKUP_ABSENT;
			break;
		default:
			return phase;
	}

	return *forget_at > now ? phase : BACKUP_ABSENT;
}

static void
TakeSnapshot(const BackupEntry *entry, TimestampTz now,
			 BackupSnapshot *snapshot)
{
	TimestampTz forget_at = DT_NOEND;

	snapshot->serial = entry->serial;
	snapshot->phase = EffectivePhase(entry, now, &forget_at);
	snapshot->stored_phase = entry->phase;
	snapshot->starting_owner = entry->starting_owner;
	snapshot->record = entry->record;
}

/*
 * Look up a label.  Returns whether there is a backup of that name, as opposed
 * to none, or the remains of one that is to be forgotten.
 */
bool
RegistryLookup(const BackupLabel *label, TimestampTz now,
			   BackupSnapshot *snapshot)
{
	LabelKey	key = MakeLabelKey(label);
	BackupEntry *entry;

	memset(snapshot, 0, sizeof(*snapshot));
	RegistryAttach();
	entry = dshash_find(table, &key, false);
	if (!entry)
		return false;

	TakeSnapshot(entry, now, snapshot);
	dshash_release_lock(table, entry);
	return snapshot->phase != BACKUP_ABSENT;
}

/*
 * List all backups as they are at one moment, in no particular order.
 */
BackupListItem *
RegistryList(int *nitems)
{
	TimestampTz now;
	BackupListItem *items;
	int			max = 64;
	int			n = 0;
	dshash_seq_status status;
	BackupEntry *entry;

	RegistryAttach();
	items = palloc(max * sizeof(BackupListItem));

	LWLockAcquire(SharedBackupGetLock(CHANGE_LOCK), LW_EXCLUSIVE);
	now = ClockNow();
	dshash_seq_init(&status, table, false);
	while ((entry = dshash_seq_next(&status)) != NULL)
	{
		BackupListItem *item;

		if (n == max)
		{
			max *= 2;
			items = repalloc_huge(items, max * sizeof(BackupListItem));
		}
		item = &items[n];
		TakeSnapshot(entry, now, &item->snapshot);
		if (item->snapshot.phase == BACKUP_ABSENT)
			continue;
		item->label = pnstrdup(LabelKeyText(&entry->key, area),
							   entry->key.len);
		item->label_len = entry->key.len;
		n++;
	}
	dshash_seq_term(&status);
	LWLockRelease(SharedBackupGetLock(CHANGE_LOCK));

	*nitems = n;
	return items;
}

/*
 * What has happened until one moment, at which no entry is being changed.
 */
void
RegistryGetStats(BackupStats *stats)
{
	LWLockAcquire(SharedBackupGetLock(CHANGE_LOCK), LW_EXCLUSIVE);
	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_SHARED);
	*stats = header->stats;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	LWLockRelease(SharedBackupGetLock(CHANGE_LOCK));
}

/*
 * Reserve a label for a backup about to be started.
 *
 * "expected" is the serial number of the finished backup that is to be
 * replaced, or 0 if there is no entry.  On success the entry is STARTING and
 * belongs to the caller.
 */
ReserveResult
RegistryReserve(const BackupLabel *label, uint64 expected, Oid owner,
				TimestampTz now, uint64 *serial)
{
	ReserveResult result;
	BackupEntry *entry;
	bool		found;

	RegistryAttach();
	if (expected != 0)
	{
		entry = FindEntry(label, expected);
		if (!entry)
			return RESERVE_CHANGED;
		found = true;

		if (BackupPhaseIsLive(entry->phase))
		{
			UnlockEntry(entry);
			return RESERVE_CHANGED;
		}
	}
	else
	{
		entry = FindOrInsertEntry(label, &found);
		if (found)
		{
			UnlockEntry(entry);
			return RESERVE_CHANGED;
		}
	}

	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	if (RegistryMaxBackups() >= 0 &&
		header->live >= RegistryMaxBackups())
		result = header->next_due <= now ? RESERVE_LIMIT_OVERDUE :
			RESERVE_LIMIT;
	else
	{
		RemoveResult(entry);
		result = RESERVE_OK;
		AdjustLive(1);
		*serial = ++header->last_serial;
	}
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));

	if (result == RESERVE_OK)
	{
		entry->record.phase = entry->phase;
		entry->phase = BACKUP_STARTING;
		entry->serial = *serial;
		entry->starting_owner = owner;
		UnlockEntry(entry);
	}
	else if (found)
		UnlockEntry(entry);
	else
		DeleteEntry(entry);

	return result;
}

/*
 * Give up a reservation, and put back what was there before.  The caller has
 * to call ResultsTrim() once it holds no lock.
 */
void
RegistryCancelReservation(const BackupLabel *label, uint64 serial)
{
	BackupEntry *entry = FindOwnEntry(label, serial, BACKUP_STARTING);
	BackupRecord reserved = {0};

	(void) LowerLive(&reserved);
	if (entry->record.phase == BACKUP_ABSENT)
		DeleteEntry(entry);
	else
	{
		TimestampTz forget_at = entry->record.forget_at;

		entry->phase = entry->record.phase;
		AddResult(entry, ClockNow());
		UnlockEntry(entry);
		RegistryNoteDue(forget_at);
	}
}

/*
 * The time to live of a backup begins now.
 */
void
RegistrySetStartTime(BackupRecord *record, int64 ttl)
{
	record->start_time = ClockNow();
	record->expires_at = TimestampTzAfter(record->start_time, ttl);
}

/*
 * Turn a reservation into an ACTIVE backup.
 *
 * The times in *record are set here and not by the caller, because its clock
 * could be behind by whatever it had to wait for the locks, unless there is a
 * state file that has them.
 *
 * From here on the start has taken place, whatever becomes of its caller: others
 * see the backup and may have ended it already.  Returns the number of the
 * state file of the backup that was replaced, which is to be removed, or 0.
 */
uint64
RegistryPublishStart(const BackupLabel *label, uint64 serial, int64 ttl,
					 BackupRecord *record)
{
	BackupEntry *entry = FindOwnEntry(label, serial, BACKUP_STARTING);

	if (record->file == 0)
		RegistrySetStartTime(record, ttl);
	RegistryFreeFiles(&entry->record);
	record->replaces = entry->record.file;
	entry->record = *record;
	entry->phase = BACKUP_ACTIVE;
	RegistryNoteDue(record->expires_at);
	Count(&header->stats.started);
	UnlockEntry(entry);
	return record->replaces;
}

/*
 * Claim an ACTIVE backup in order to end it.  Returns false if it is not there
 * or not ACTIVE any more.
 */
bool
RegistryClaim(const BackupLabel *label, uint64 serial)
{
	BackupEntry *entry = FindEntry(label, serial);
	TimestampTz forget_at;
	bool		active;

	if (!entry)
		return false;

	active = EffectivePhase(entry, ClockNow(), &forget_at) == BACKUP_ACTIVE;
	if (active)
		entry->phase = BACKUP_STOPPING;
	UnlockEntry(entry);
	return active;
}

/*
 * Give up a claim; core must not have been entered.
 */
void
RegistryUnclaim(const BackupLabel *label, uint64 serial)
{
	BackupEntry *entry = FindOwnEntry(label, serial, BACKUP_STOPPING);

	entry->phase = BACKUP_ACTIVE;
	RegistryNoteDue(entry->record.expires_at);
	UnlockEntry(entry);
}

static uint64
NextNumber(void)
{
	uint64		number;

	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	number = ++header->last_serial;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	return number;
}

/*
 * A backup is lost, as of the start of the server.
 */
void
RegistrySetLostTime(BackupRecord *record)
{
	record->end_time = header->since;
	record->end_number = NextNumber();
}

/*
 * From now on, the result of a stopped backup is remembered.
 */
void
RegistrySetForgetTime(BackupRecord *record)
{
	record->end_time = ClockNow();
	record->end_number = NextNumber();
	record->forget_at = TimestampTzAfter(record->end_time,
										 shared_backup_result_retention *
										 USECS_PER_SEC);
}

/*
 * Keep the result of a claimed backup.  As in RegistryPublishStart(), the time
 * until which it is remembered is set here unless there is a state file.
 *
 * If the record has other files than the entry, these are freed.  Returns
 * whether core has to be released, if core has not ended this very backup.  The
 * caller has to call ResultsTrim() once it holds no lock.
 */
bool
RegistryPublishStop(const BackupLabel *label, uint64 serial,
					BackupRecord *record)
{
	BackupEntry *entry = FindOwnEntry(label, serial, BACKUP_STOPPING);
	bool		release;

	if (record->file == 0)
		RegistrySetForgetTime(record);
	if (record->files != entry->record.files)
		RegistryFreeFiles(&entry->record);
	record->expires_at = entry->record.expires_at;
	entry->record = *record;
	entry->phase = BACKUP_STOPPED;
	release = LowerLive(record);
	RegistryNoteDue(record->forget_at);
	AddResult(entry, record->end_time);
	Count(&header->stats.stopped);
	UnlockEntry(entry);
	return release;
}

/*
 * The state file has the result that could not be saved at first.
 */
void
RegistryNoteSaved(const BackupLabel *label, uint64 serial)
{
	BackupEntry *entry = FindEntry(label, serial);

	if (!entry)
		return;
	entry->record.unsaved = false;
	UnlockEntry(entry);
}

/*
 * Remove a claimed backup, because it was aborted or because its stop has failed
 * when it had come to nothing.  Returns whether core has to be released, if it
 * has not been released from this very backup.
 */
bool
RegistryRemove(const BackupLabel *label, uint64 serial, bool failed)
{
	BackupEntry *entry = FindOwnEntry(label, serial, BACKUP_STOPPING);
	bool		release = LowerLive(&entry->record);

	Count(failed ? &header->stats.failed : &header->stats.aborted);
	DeleteEntry(entry);
	return release;
}

/*
 * Move the deadline of an ACTIVE backup to *expires_at, or if that is
 * DT_NOBEGIN, to "ttl" from now, which is returned there.  Returns false if it
 * is not there or not ACTIVE any more.
 */
bool
RegistryRenew(const BackupLabel *label, uint64 serial, int64 ttl,
			  TimestampTz *expires_at)
{
	BackupEntry *entry = FindEntry(label, serial);
	TimestampTz now = ClockNow();
	TimestampTz forget_at;
	bool		active;

	if (!entry)
		return false;

	/* or the last one in the registry might not be the last one in the file */
	Assert(entry->record.file == 0 ||
		   LWLockHeldByMe(FileLock(entry->record.file)));

	active = EffectivePhase(entry, now, &forget_at) == BACKUP_ACTIVE;
	if (active)
	{
		if (*expires_at == DT_NOBEGIN)
			*expires_at = TimestampTzAfter(now, ttl);
		entry->record.expires_at = *expires_at;
		RegistryNoteDue(*expires_at);
	}
	UnlockEntry(entry);
	return active;
}

/*
 * Allocate memory for files.  With fixed storage, say which memory it is that
 * there is no more of.
 */
static dsa_pointer
AllocateFiles(Size size)
{
	bool		fixed = header->plan.fixed;
	dsa_pointer files;

	files = AllocateChunk(files_area, StorageSizeOfFiles(size, fixed),
						  DSA_ALLOC_HUGE | (fixed ? DSA_ALLOC_NO_OOM : 0));
	if (!DsaPointerIsValid(files))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("out of preallocated memory for shared backups"),
				 errdetail("The label file, tablespace map and control file of this backup have %zu bytes.",
						   size),
				 errhint("Stop or abort a backup first, or raise \"%s\" and restart the server.",
						 "shared_backup.max_backups")));
	return files;
}

/*
 * Copy the files of a backup into shared memory and set the record's fields
 * for them.
 */
void
RegistryStoreFiles(BackupRecord *record, const BackupFiles *files)
{
	Size		size = TotalLength(files->len);
	char	   *p;

	record->files = InvalidDsaPointer;
	memset(record->files_len, 0, sizeof(record->files_len));
	if (size == 0)
		return;

	RegistryAttach();
	record->files = AllocateFiles(size);
	p = dsa_get_address(files_area, record->files);
	for (int i = 0; i < NUM_BACKUP_FILES; i++)
	{
		if (files->len[i] > 0)	/* else there may be no data to point to */
			memcpy(p, files->data[i], files->len[i]);
		p += files->len[i];
		record->files_len[i] = files->len[i];
	}
}

/*
 * Touch in advance what RegistryStoreFiles() needs for files of this size.
 * There may be no memory for it, which is nothing to complain about yet.
 */
void
RegistryRehearseStore(Size size)
{
	dsa_pointer memory;

	RegistryAttach();
	HOLD_INTERRUPTS();
	memory = AllocateChunk(files_area,
						   StorageSizeOfFiles(size, header->plan.fixed),
						   DSA_ALLOC_NO_OOM | DSA_ALLOC_ZERO);
	if (DsaPointerIsValid(memory))
		FreeChunk(files_area, memory);
	RESUME_INTERRUPTS();
}

void
RegistryFreeFiles(BackupRecord *record)
{
	if (DsaPointerIsValid(record->files))
		FreeChunk(files_area, record->files);
	record->files = InvalidDsaPointer;
	memset(record->files_len, 0, sizeof(record->files_len));
}

/*
 * Get copies of the files of a backup, each with a NUL behind it.  Returns
 * false if the backup is not that of the snapshot any more.
 */
bool
RegistryReadFiles(const BackupLabel *label, const BackupSnapshot *snapshot,
				  BackupFiles *files)
{
	const BackupRecord *record = &snapshot->record;
	LabelKey	key = MakeLabelKey(label);
	BackupEntry *entry;
	bool		found;

	for (int i = 0; i < NUM_BACKUP_FILES; i++)
	{
		files->len[i] = record->files_len[i];
		files->data[i] = palloc_extended((Size) files->len[i] + 1,
										 MCXT_ALLOC_HUGE);
	}

	RegistryAttach();
	entry = dshash_find(table, &key, false);
	found = entry && entry->serial == snapshot->serial &&
		entry->record.files == record->files &&
		DsaPointerIsValid(record->files);
	if (found)
	{
		char	   *p = dsa_get_address(files_area, record->files);

		/* the files may be gone as soon as the entry is not locked any more */
		Assert(InterruptHoldoffCount > 0);
		for (int i = 0; i < NUM_BACKUP_FILES; i++)
		{
			memcpy(files->data[i], p, files->len[i]);
			files->data[i][files->len[i]] = '\0';
			p += files->len[i];
		}
	}
	if (entry)
		dshash_release_lock(table, entry);

	if (!found)
	{
		for (int i = 0; i < NUM_BACKUP_FILES; i++)
			pfree(files->data[i]);
	}
	return found;
}

/*
 * Note that the reaper has to deal with a backup that has a state file.
 */
static void
NoteDueBackup(DueBackup *due, const BackupEntry *entry, TimestampTz forget_at,
			  bool forgotten)
{
	memset(&due->label, 0, sizeof(due->label));
	due->label.len = entry->key.len;
	memcpy(due->label.text, LabelKeyText(&entry->key, area), entry->key.len);
	due->serial = entry->serial;
	due->record = entry->record;
	due->record.forget_at = forget_at;
	due->forgotten = forgotten;
}

/*
 * Expire and forget what is due.
 *
 * Backups with state files are returned in due[], at most max_due of them; if
 * there are any, this has to be called again.  Those that are forgotten are
 * gone, and their files are to be removed.  Those that are overdue are left as
 * they are, for RegistryExpire(), and do not make the reaper come back.  The
 * first "skip" of them are passed over.
 *
 * *nreleases is raised by how many times the caller has to release core, for the
 * others, also if this fails.  The caller has to call ResultsTrim() once it
 * holds no lock.
 */
void
RegistryReap(TimestampTz now, int skip, DueBackup *due, int max_due,
			 int *ndue, volatile int *nreleases)
{
	TimestampTz next_due = DT_NOEND;
	dshash_seq_status status;
	BackupEntry *entry;

	*ndue = 0;
	RegistryAttach();

	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	header->next_due_in_round = DT_NOEND;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));

	LWLockAcquire(SharedBackupGetLock(CHANGE_LOCK), LW_SHARED);
	dshash_seq_init(&status, table, true);
	while ((entry = dshash_seq_next(&status)) != NULL)
	{
		TimestampTz forget_at = DT_NOEND;
		BackupPhase phase = EffectivePhase(entry, now, &forget_at);
		bool		overdue = entry->phase == BACKUP_ACTIVE &&
			phase != BACKUP_ACTIVE;

		if ((overdue || phase == BACKUP_ABSENT) && entry->record.file != 0)
		{
			if (overdue && skip > 0)
			{
				skip--;
				continue;
			}
			if (*ndue == max_due)
				break;
			NoteDueBackup(&due[(*ndue)++], entry, forget_at, !overdue);
			if (overdue)
				continue;
		}

		/* entries are changed and removed here */
		Assert(status.exclusive);
		if (overdue)
		{
			entry->phase = BACKUP_EXPIRED;
			entry->record.forget_at = forget_at;
			if (LowerLive(&entry->record))
				(*nreleases)++;
			if (phase == BACKUP_EXPIRED)
				AddResult(entry, now);
			Count(&header->stats.expired);
		}

		if (phase == BACKUP_ABSENT)
		{
			LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
			RemoveResult(entry);
			LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
			FreeChunk(area, entry->key.shared);
			RegistryFreeFiles(&entry->record);
			dshash_delete_current(&status);
		}
		else if (phase == BACKUP_ACTIVE)
			next_due = Min(next_due, entry->record.expires_at);
		else
			next_due = Min(next_due, forget_at);
	}
	dshash_seq_term(&status);
	LWLockRelease(SharedBackupGetLock(CHANGE_LOCK));

	SHARED_BACKUP_POINT("reaper-looked", NULL);
	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	header->next_due = Min(next_due, header->next_due_in_round);
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
}

/*
 * An overdue backup is EXPIRED now that its state file says so; its file lock
 * must be held.  Returns false if it is not there or not ACTIVE any more.
 *
 * *release is set to whether core has to be released.  The caller has to call
 * ResultsTrim() once it holds no lock.
 */
bool
RegistryExpire(const BackupLabel *label, uint64 serial, TimestampTz forget_at,
			   bool *release)
{
	BackupEntry *entry = FindEntry(label, serial);

	if (!entry)
		return false;
	Assert(LWLockHeldByMe(FileLock(entry->record.file)));
	if (entry->phase != BACKUP_ACTIVE)
	{
		UnlockEntry(entry);
		return false;
	}

	entry->phase = BACKUP_EXPIRED;
	entry->record.forget_at = forget_at;
	*release = LowerLive(&entry->record);
	RegistryNoteDue(forget_at);
	AddResult(entry, ClockNow());
	Count(&header->stats.expired);
	UnlockEntry(entry);
	return true;
}

/*
 * Begin to put back what was there before a restart.  "last_number" is the
 * greatest number of a state file, or of the end of a backup.
 */
void
RegistryBeginResume(uint64 last_number)
{
	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	header->last_serial = Max(header->last_serial, last_number);
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
}

/*
 * Core is held for all backups together that are going to be put back, and
 * until RegistryEndResume() even if there are none.
 */
void
RegistryHoldCarried(void)
{
	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	if (!header->held)
		header->carried++;
	header->held = true;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
}

/*
 * Put back a backup; ResultsTrim() has to follow.  If there is one of that
 * label already, returns the number of that one's state file, and leaves the
 * files to the caller; otherwise 0.
 */
uint64
RegistryAdopt(const BackupLabel *label, BackupPhase phase,
			  BackupRecord *record)
{
	BackupEntry *entry;
	bool		found;

	RegistryAttach();
	entry = FindOrInsertEntry(label, &found);
	if (found)
	{
		uint64		file = entry->record.file;

		UnlockEntry(entry);
		return file;
	}

	entry->phase = phase;
	entry->record = *record;

	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	entry->serial = ++header->last_serial;
	if (phase == BACKUP_ACTIVE)
	{
		AdjustLive(1);
		header->carried++;
		header->stats.carried++;
	}
	else if (phase == BACKUP_LOST && record->end_time == header->since &&
			 record->lost_reason != LOST_COPY)
		header->stats.lost++;	/* at this start, and ours */
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	if (phase != BACKUP_ACTIVE)
		AddResult(entry, ClockNow());

	RegistryNoteDue(phase == BACKUP_ACTIVE ? record->expires_at : record->forget_at);
	UnlockEntry(entry);
	return 0;
}

/*
 * Everything has been put back; let others see the registry.  Returns whether
 * core has to be released, because nothing live was among it.
 */
bool
RegistryEndResume(void)
{
	bool		release = false;

	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
	if (header->held)
		release = --header->carried == 0;
	header->held = false;
	header->ready = true;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	return release;
}

/*
 * Is everything back that was there before a restart?
 */
bool
RegistryReady(void)
{
	bool		ready;

	if (!shared_backup_durable)
		return true;

	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_SHARED);
	ready = header->ready;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	return ready;
}

/*
 * No backup expires or is forgotten before this time.
 */
TimestampTz
RegistryNextDue(void)
{
	TimestampTz next_due;

	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_SHARED);
	next_due = header->next_due;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	return next_due;
}

#ifdef SHARED_BACKUP_INSTRUMENTS

/*
 * Exchange the record of an ACTIVE backup, except for its deadline, which may
 * have been moved since the caller looked.  Returns false if the backup is not
 * there or not ACTIVE any more.
 *
 * Either way the caller has to free the files of *record afterwards.
 */
bool
RegistryExchange(const BackupLabel *label, uint64 serial, TimestampTz now,
				 BackupRecord *record)
{
	BackupEntry *entry = FindEntry(label, serial);
	TimestampTz forget_at;
	bool		active;

	if (!entry)
		return false;

	active = EffectivePhase(entry, now, &forget_at) == BACKUP_ACTIVE;
	if (active)
	{
		BackupRecord replaced = entry->record;

		entry->record = *record;
		entry->record.expires_at = replaced.expires_at;
		*record = replaced;

		/* whoever has seen the old record must look again */
		LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_EXCLUSIVE);
		entry->serial = ++header->last_serial;
		LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	}
	UnlockEntry(entry);
	return active;
}

/*
 * The label of a backup that the reaper has to expire, or NULL if there is
 * none.  It is good until the next call.
 */
const BackupLabel *
RegistryOverdueLabel(TimestampTz now)
{
	static BackupLabel label;
	dshash_seq_status status;
	BackupEntry *entry;

	memset(&label, 0, sizeof(label));
	RegistryAttach();

	dshash_seq_init(&status, table, false);
	while (label.len == 0 && (entry = dshash_seq_next(&status)) != NULL)
	{
		if (entry->phase == BACKUP_ACTIVE && entry->record.expires_at <= now)
		{
			label.len = entry->key.len;
			memcpy(label.text, LabelKeyText(&entry->key, area), label.len);
		}
	}
	dshash_seq_term(&status);
	return label.len > 0 ? &label : NULL;
}

/*
 * What is counted.  While the table is empty, all of it is zero.
 */
void
RegistryGetCounts(RegistryCounts *counts)
{
	LWLockAcquire(SharedBackupGetLock(REGISTRY_LOCK), LW_SHARED);
	counts->live = header->live;
	counts->results = header->nkept;
	counts->results_size = header->kept_size;
	LWLockRelease(SharedBackupGetLock(REGISTRY_LOCK));
	counts->chunks = pg_atomic_read_u64(&header->chunks);
}

/*
 * Let the dynamic shared memory area grow only up to so many bytes.  It keeps
 * what it has, and what is fixed does not grow anyway.
 */
void
RegistryLimitMemory(Size limit)
{
	RegistryAttach();
	if (!header->plan.fixed)
		dsa_set_size_limit(area, limit);
}

#endif							/* SHARED_BACKUP_INSTRUMENTS */
