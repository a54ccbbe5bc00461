/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  A clock that does not jump while the server runs.
 *
 * The system's clock may be set, by hand, by NTP or when a virtual machine goes
 * on after a pause.  If deadlines were compared with it, one jump would end all
 * backups, or none.  So this one shows what the system's clock showed when our
 * shared memory was made, plus the time that has elapsed since, by a clock that
 * is the same in all processes and is never set.
 *
 * A pause of the machine may not count as elapsed.  Then backups live longer,
 * never shorter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "clock.h"
#include "storage/shmem.h"

/* set at startup, then constant */
typedef struct ClockShared
{
	TimestampTz base;			/* by the system's clock */
	int64		began;			/* the same moment, by the other clock */
} ClockShared;

static ClockShared *shared = NULL;

/*
 * The clock that is never set, in microseconds.
 *
 * Since PostgreSQL 19 each session chooses the clock that instr_time.h reads.
 */
static int64
Monotonic(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * USECS_PER_SEC + now.tv_nsec / 1000;
}

Size
ClockShmemSize(void)
{
	return sizeof(ClockShared);
}

void
ClockShmemInit(void)
{
	bool		found;

	shared = ShmemInitStruct("shared_backup clock", sizeof(ClockShared),
							 &found);
	if (!found)
	{
		shared->base = GetCurrentTimestamp();
		shared->began = Monotonic();
	}
}

TimestampTz
ClockReal(void)
{
	int64		elapsed = Monotonic() - shared->began;

	return shared->base + elapsed;
}
