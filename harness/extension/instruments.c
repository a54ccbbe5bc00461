/*-------------------------------------------------------------------------
 *
 * instruments.c
 *	  A clock that tests can stop and move, and a view of our workers.
 *
 * Only in builds with INSTRUMENTS=1.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "instruments.h"
#include "reaper.h"
#include "registry.h"
#include "starter.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/builtins.h"

/* What the clock shows is the system's time, or frozen_at, plus an offset. */
typedef struct TestClock
{
	slock_t		mutex;			/* protects the fields below */
	bool		frozen;
	TimestampTz frozen_at;
	int64		offset;
} TestClock;

static TestClock *test_clock = NULL;

PG_FUNCTION_INFO_V1(shared_backup_clock_freeze);
PG_FUNCTION_INFO_V1(shared_backup_clock_advance);
PG_FUNCTION_INFO_V1(shared_backup_clock_release);
PG_FUNCTION_INFO_V1(shared_backup_reaper);
PG_FUNCTION_INFO_V1(shared_backup_reaper_settle);
PG_FUNCTION_INFO_V1(shared_backup_starter);

Size
ClockShmemSize(void)
{
	return sizeof(TestClock);
}

void
ClockShmemInit(void)
{
	bool		found;

	test_clock = ShmemInitStruct("shared_backup clock", sizeof(TestClock),
								 &found);
	if (!found)
	{
		memset(test_clock, 0, sizeof(TestClock));
		SpinLockInit(&test_clock->mutex);
	}
}

TimestampTz
ClockNow(void)
{
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&test_clock->mutex);
	if (test_clock->frozen)
		now = test_clock->frozen_at;
	now += test_clock->offset;
	SpinLockRelease(&test_clock->mutex);
	return now;
}

static void
CheckPreloaded(void)
{
	if (!test_clock)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("shared_backup must be loaded via \"shared_preload_libraries\"")));
}

/*
 * Stop the clock at the present.
 */
Datum
shared_backup_clock_freeze(PG_FUNCTION_ARGS)
{
	TimestampTz now;

	CheckPreloaded();
	now = GetCurrentTimestamp();
	SpinLockAcquire(&test_clock->mutex);
	if (!test_clock->frozen)
		test_clock->frozen_at = now;
	test_clock->frozen = true;
	SpinLockRelease(&test_clock->mutex);
	PG_RETURN_TIMESTAMPTZ(ClockNow());
}

/*
 * Move the clock forward and let the reaper act on it.
 */
Datum
shared_backup_clock_advance(PG_FUNCTION_ARGS)
{
	Datum		step = PG_GETARG_DATUM(0);
	TimestampTz now;
	TimestampTz then;

	CheckPreloaded();
	now = ClockNow();
	then = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(now),
												   step));
	if (then < now || TIMESTAMP_NOT_FINITE(then))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("clock can only be moved forward")));

	SpinLockAcquire(&test_clock->mutex);
	test_clock->offset += then - now;
	SpinLockRelease(&test_clock->mutex);

	ReaperAwaitRound();
	PG_RETURN_TIMESTAMPTZ(ClockNow());
}

/*
 * Show the system's time again.
 */
Datum
shared_backup_clock_release(PG_FUNCTION_ARGS)
{
	CheckPreloaded();
	SpinLockAcquire(&test_clock->mutex);
	test_clock->frozen = false;
	test_clock->offset = 0;
	SpinLockRelease(&test_clock->mutex);

	/* it may sleep until a time by the clock as it was */
	ReaperWake();
	PG_RETURN_VOID();
}

/*
 * What the reaper has done, and the number of live backups.
 */
Datum
shared_backup_reaper(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	Datum		values[4];
	bool		nulls[4] = {0};
	ReaperStatus status;

	CheckPreloaded();
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	ReaperGetStatus(&status);
	values[0] = Int32GetDatum(status.pid);
	nulls[0] = status.pid == 0;
	values[1] = Int64GetDatum((int64) status.rounds);
	values[2] = TimestampTzGetDatum(status.settings_loaded);
	nulls[2] = status.settings_loaded == 0;
	values[3] = Int32GetDatum(RegistryLive());

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}

/*
 * Wait until the reaper has dealt with everything that is due now.
 */
Datum
shared_backup_reaper_settle(PG_FUNCTION_ARGS)
{
	CheckPreloaded();
	ReaperAwaitRound();
	PG_RETURN_VOID();
}

/*
 * The warm worker, and how many starts took one or launched their own.
 */
Datum
shared_backup_starter(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		nulls[3] = {0};
	StarterStatus status;

	CheckPreloaded();
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	StarterGetStatus(&status);
	values[0] = Int32GetDatum(status.warm_pid);
	nulls[0] = status.warm_pid == 0;
	values[1] = Int64GetDatum((int64) status.warm_starts);
	values[2] = Int64GetDatum((int64) status.cold_starts);

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}
