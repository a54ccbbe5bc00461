/*-------------------------------------------------------------------------
 *
 * storage.c
 *	  How much shared memory backups are kept in.
 *
 * Backups are kept in areas of dynamic shared memory that begin within the main
 * shared memory segment.  With "shared_backup.storage" = dynamic there is one,
 * which grows from there without a limit.  With "fixed" there are two, which
 * are as large as they will ever be when the server starts: dsa.c serves as an
 * allocator within the main segment, as it does for the server's cumulative
 * statistics.  So the registry is the same code either way.  A hash table of
 * ShmemInitHash() instead would need entries that are as long as the longest
 * tablespace map may be, or an allocator beside it.
 *
 * What a start needs must then be there whenever the limit allows the start.
 * It is not enough that so many bytes are free: they could be in pieces that
 * are too small.  So what is in an area has few sizes:
 *
 * - The entries of the hash table are in one area together with the labels,
 *	 each of which takes as much as the longest would.  dsa.c uses whatever is
 *	 free in its superblocks before it makes another one, and superblocks are
 *	 all equally long; so there are never more than the greatest number of
 *	 entries and labels asks for.
 *
 * - The files are in the other one, and take FILES_SIZE, or with durable
 *	 backups, which have a control file, DURABLE_FILES_SIZE.  The label file
 *	 fits there, and a tablespace map of some lines.  Longer ones take whole
 *	 pages; they may find none that are free and contiguous, and then the start
 *	 fails.  Results take no more than max_results_size, whatever their files
 *	 are, because beyond that the oldest are forgotten: so there is room for
 *	 that, and for the files of live backups beside.
 *
 * Beside as many entries, labels and files as the settings ask for there is one
 * of each per process, for what a process has under way: a label that turns out
 * to be there already, a reservation that turns out to be beyond the limit, the
 * files that are about to replace others, a result that is about to be
 * forgotten.  And there is room for the state files that are found at startup,
 * however many they are, since the settings may have been lowered.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "lib/dshash.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "shared_backup.h"
#include "statefile.h"
#include "storage.h"
#include "storage/fd.h"
#include "storage/shmem.h"
#include "utils/dsa.h"
#include "utils/freepage.h"

/*
 * The part of an area that can grow which is inside the main segment: there a
 * few backups find room, so that no process has to attach to another segment,
 * which takes as long as all the rest of keeping a backup.
 */
#define INITIAL_AREA_SIZE	(512 * 1024)

/* more than that is a slip of the pen, and would overflow where Size is short */
#define MAX_FIXED			1000000

/* what the files of a backup take at least, of which many are to fit a block */
#define FILES_SIZE			2048
#define DURABLE_FILES_SIZE	(3 * FPM_PAGE_SIZE)

/* what dsa.c and dshash.c do, and do not tell */
#define SUPERBLOCK_PAGES	16
#define LARGEST_SMALL_SIZE	8192
#define TABLE_PARTITIONS	128
#define TABLE_ITEM_HEADER	MAXALIGN(sizeof(dsa_pointer) + sizeof(dshash_hash))

/*
 * Pages for so many objects of one size, at most LARGEST_SMALL_SIZE.  dsa.c
 * rounds sizes up by less than a third.
 */
static Size
PagesForObjects(Size number, Size size)
{
	Size		per_block = SUPERBLOCK_PAGES * FPM_PAGE_SIZE / (size + size / 3);

	return mul_size(number / per_block + 2, SUPERBLOCK_PAGES);
}

/*
 * Pages for the buckets of the hash table, the old ones and those that they
 * are being copied to included.
 *
 * The table doubles when a partition of it has more than 3/4 as many entries as
 * buckets.  Four times the mean, and some more, is what no partition comes to
 * have unless labels are chosen for it.
 */
static Size
PagesForBuckets(Size number)
{
	Size		in_partition = 4 * (number / TABLE_PARTITIONS + 1) + 16;
	Size		buckets = pg_nextpower2_64(in_partition / 3 * 4 + 4);
	Size		size = TABLE_PARTITIONS * buckets * sizeof(dsa_pointer);

	return 2 * (size / FPM_PAGE_SIZE + 1) + 4 * SUPERBLOCK_PAGES;
}

/*
 * Pages for so many pieces of FILES_SIZE or DURABLE_FILES_SIZE.
 */
static Size
PagesForFiles(Size size)
{
	if (shared_backup_durable)
		return size / FPM_PAGE_SIZE;
	return (size / FPM_PAGE_SIZE / SUPERBLOCK_PAGES + 2) * SUPERBLOCK_PAGES;
}

/*
 * The size of an area that has so many pages for what is allocated there.
 *
 * dsa.c and freepage.c need some pages for themselves, in between, where they
 * may spoil some more, and an entry in a map for each.
 */
static Size
AreaSize(Size pages)
{
	pages = add_size(pages, pages / 16 + 8);
	pages = add_size(pages, pages / (FPM_PAGE_SIZE / sizeof(dsa_pointer)) + 2);
	return add_size(dsa_minimum_size(), mul_size(pages, FPM_PAGE_SIZE));
}

/*
 * The memory that the files of a backup take.
 */
Size
StorageSizeOfFiles(Size size, bool fixed)
{
	Size		least = shared_backup_durable ? DURABLE_FILES_SIZE : FILES_SIZE;

	if (size == 0 || !fixed)
		return size;
	return size <= least ? least : TYPEALIGN(FPM_PAGE_SIZE, size);
}

/*
 * Count the state files that there are, and what their backups' files may take.
 * Those that cannot be seen now are complained of when they are read.
 */
static void
CountStateFiles(Size *number, Size *files_size)
{
	DIR		   *dir = AllocateDir(STATE_FILE_DIR);
	struct dirent *de;

	if (!dir)
		return;
	while ((de = ReadDirExtended(dir, STATE_FILE_DIR, LOG)) != NULL)
	{
		char		path[MAXPGPATH];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", STATE_FILE_DIR, de->d_name);
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		{
			*number += 1;
			*files_size = add_size(*files_size,
								   StorageSizeOfFiles(st.st_size, true));
		}
	}
	FreeDir(dir);
}

static void
PlanFixed(StoragePlan *plan, Size entry_size, Size label_size)
{
	Size		least = StorageSizeOfFiles(1, true);
	Size		number = (Size) MaxBackends + shared_backup_max_backups +
		shared_backup_max_results;
	Size		files_size;

	plan->max_backups = shared_backup_max_backups;
	plan->max_results = shared_backup_max_results;
	plan->max_results_size = mul_size(shared_backup_max_results,
									  entry_size + label_size + least);

	files_size = add_size(mul_size(number - shared_backup_max_results, least),
						  plan->max_results_size);
	if (shared_backup_durable)
		CountStateFiles(&number, &files_size);
	plan->entries_size =
		AreaSize(PagesForObjects(number, entry_size + TABLE_ITEM_HEADER) +
				 PagesForObjects(number, label_size) +
				 PagesForBuckets(number));
	plan->files_size = AreaSize(PagesForFiles(files_size));
}

/*
 * Decide, by the settings as they are, what to allocate.  That is done once, by
 * the postmaster: the settings may have changed when it allocates the same
 * again after a crash.
 */
const StoragePlan *
StorageGetPlan(Size entry_size, Size label_size)
{
	static StoragePlan plan;

	if (plan.entries_size == 0)
	{
		plan.fixed = shared_backup_storage == STORAGE_FIXED;
		if (plan.fixed)
			PlanFixed(&plan, entry_size, label_size);
		else
			plan.entries_size = INITIAL_AREA_SIZE;
	}
	return &plan;
}

static void
CheckNumber(const char *name, int value)
{
	if (value < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be set if \"%s\" is \"fixed\"",
						name, "shared_backup.storage"),
				 errdetail("Memory is preallocated for as many backups as it says."),
				 errhint("Set \"%s\" to a number, or \"%s\" to \"dynamic\".",
						 name, "shared_backup.storage")));
	if (value > MAX_FIXED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not be greater than %d if \"%s\" is \"fixed\"",
						name, MAX_FIXED, "shared_backup.storage"),
				 errdetail("It is %d, and memory is preallocated for as many backups.",
						   value),
				 errhint("Lower \"%s\", or set \"%s\" to \"dynamic\".",
						 name, "shared_backup.storage")));
}

/*
 * Refuse to start the server with settings that nothing can be allocated for.
 */
void
StorageCheckSettings(void)
{
	if (shared_backup_storage != STORAGE_FIXED)
		return;
	CheckNumber("shared_backup.max_backups", shared_backup_max_backups);
	CheckNumber("shared_backup.max_results", shared_backup_max_results);
}
