/*-------------------------------------------------------------------------
 *
 * results.c
 *	  Limits to what is remembered of backups that have ended.
 *
 * A result takes memory until it is forgotten, and whoever may start and stop
 * backups can make as many as there is time for.  So they are limited, in
 * number by shared_backup.max_results and in size by
 * shared_backup.max_results_size.  Those that ended first are forgotten first.
 *
 * The registry decides which these are, at the same moment when another result
 * is added or a limit is lowered: see registry.c.  What is done here is the
 * rest, which must not be done under its locks: whoever has added a result sees
 * to it that the memory is free again, and the state files are gone, before he
 * returns to his caller.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "durable.h"
#include "results.h"

const char *
ResultLimitName(ResultLimit limit)
{
	return limit == RESULT_LIMIT_SIZE ? "shared_backup.max_results_size" :
		"shared_backup.max_results";
}

/*
 * Remove the results that are beyond a limit.  No lock of ours may be held.
 */
void
ResultsTrim(void)
{
	BackupLabel label;
	BackupRecord record;
	ResultLimit limit;

	while (RegistryEvict(&label, &record, &limit))
	{
		if (record.file != 0)
			DurableForgetEnded(&label, &record, LOG);
		if (limit != RESULT_LIMIT_NONE)
			ereport(LOG,
					(errmsg("shared backup \"%s\" has ended and was forgotten early",
							label.text),
					 errdetail("There were more results than \"%s\" allows.",
							   ResultLimitName(limit))));
	}
}
