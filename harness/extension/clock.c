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

#include "clock.h"
#include "portability/instr_time.h"
#include "storage/shmem.h"

/* set at startup, then constant */
typedef struct ClockShared
{
	TimestampTz base;			/* by the system's clock */
	instr_time	began;			/* the same moment, by the other clock */
} ClockShared;

static ClockShared *shared = NULL;

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
		INSTR_TIME_SET_CURRENT(shared->began);
	}
}

TimestampTz
ClockReal(void)
{
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, shared->began);
	return shared->base + (int64) INSTR_TIME_GET_MICROSEC(elapsed);
}
