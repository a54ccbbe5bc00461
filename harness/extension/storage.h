/*-------------------------------------------------------------------------
 *
 * storage.h
 *	  How much shared memory backups are kept in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STORAGE_H
#define STORAGE_H

/*
 * What is allocated in the main shared memory segment, and for how many
 * backups that is.
 */
typedef struct StoragePlan
{
	bool		fixed;			/* there will be no more than that */
	int			max_backups;	/* if fixed */
	int			max_results;	/* if fixed */
	Size		entries_size;	/* of the area for entries and labels */
	Size		files_size;		/* of the area for files; 0: they are in the
								 * other one */
	Size		max_results_size;	/* of all results together, if fixed */
} StoragePlan;

extern void StorageCheckSettings(void);
extern const StoragePlan *StorageGetPlan(Size entry_size, Size label_size);
extern Size StorageSizeOfFiles(Size size, bool fixed);

#endif							/* STORAGE_H */
