/*-------------------------------------------------------------------------
 *
 * instruments.c
 *	  A clock that tests can stop and move, a view of our workers, what is
 *	  counted of backups, a limit to our memory, a hold on recovery, and a way
 *	  to carry the state of a backup over a restart.
 *
 * Only in builds with INSTRUMENTS=1.
 *
 * shared_backup_carry_out() and shared_backup_carry_in() do what a design would
 * do that keeps its backups in a catalogue table, so that a test can show what
 * comes of that.  Keeping the bytes meanwhile is up to the test.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/rmgr.h"
#include "access/xlog_internal.h"
#include "durable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "instruments.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postmaster/startup.h"
#include "reaper.h"
#include "registry.h"
#include "starter.h"
#include "statefile.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/builtins.h"

/* What the clock shows is the real one's time, or frozen_at, plus an offset. */
typedef struct TestClock
{
	slock_t		mutex;			/* protects the fields below */
	bool		frozen;
	TimestampTz frozen_at;
	int64		offset;
} TestClock;

static TestClock *test_clock = NULL;

/* What shared_backup_carry_out() returns begins with; the two files follow. */
typedef struct CarriedState
{
	uint32		magic;
	uint32		server_version; /* CoreBackup is of that version */
	uint32		labelfile_len;
	uint32		spcmapfile_len;
	TimestampTz start_time;
	pg_uuid_t	token;
	CoreBackup	core;
} CarriedState;

#define CARRIED_STATE_MAGIC		0x53424331	/* SBC1 */

#define CLOCK_FILE		"clock"

/* As long as it is in the data directory, no redo begins. */
#define RECOVERY_HOLD_FILE	"shared_backup_recovery_hold"

PG_FUNCTION_INFO_V1(shared_backup_clock_freeze);
PG_FUNCTION_INFO_V1(shared_backup_clock_advance);
PG_FUNCTION_INFO_V1(shared_backup_clock_release);
PG_FUNCTION_INFO_V1(shared_backup_reaper);
PG_FUNCTION_INFO_V1(shared_backup_reaper_settle);
PG_FUNCTION_INFO_V1(shared_backup_starter);
PG_FUNCTION_INFO_V1(shared_backup_counts);
PG_FUNCTION_INFO_V1(shared_backup_limit_memory);
PG_FUNCTION_INFO_V1(shared_backup_carry_out);
PG_FUNCTION_INFO_V1(shared_backup_carry_in);

/*
 * In the startup process, before it replays the first record.
 */
static void
HoldRecovery(void)
{
	while (access(RECOVERY_HOLD_FILE, F_OK) == 0)
	{
#if PG_VERSION_NUM >= 180000
		ProcessStartupProcInterrupts();
#else
		HandleStartupProcInterrupts();
#endif
		pg_usleep(1000L);
	}
}

/*
 * Nothing else of ours runs in the startup process.  No record is ever written
 * for this resource manager.
 */
void
RegisterRecoveryHold(void)
{
	static RmgrData hold = {
		.rm_name = "shared_backup recovery hold",
		.rm_startup = HoldRecovery,
	};

	RegisterCustomRmgr(RM_EXPERIMENTAL_ID, &hold);
}

Size
TestClockShmemSize(void)
{
	return sizeof(TestClock);
}

/*
 * Durable backups outlive the server, so then the clock has to as well.
 */
static void
KeepClock(void)
{
	TestClock	copy;
	StateFilePart part = {&copy, sizeof(copy)};

	if (!shared_backup_durable)
		return;
	SpinLockAcquire(&test_clock->mutex);
	copy = *test_clock;
	SpinLockRelease(&test_clock->mutex);
	(void) StateFileWrite(CLOCK_FILE, &part, 1, NULL, ERROR);
}

static void
FindClock(void)
{
	Size		len;
	char	   *contents;

	if (!shared_backup_durable)
		return;
	contents = StateFileRead(CLOCK_FILE, &len, WARNING);
	if (contents && len == sizeof(TestClock))
		memcpy(test_clock, contents, len);
}

void
TestClockShmemInit(void)
{
	bool		found;

	test_clock = ShmemInitStruct("shared_backup test clock", sizeof(TestClock),
								 &found);
	if (!found)
	{
		memset(test_clock, 0, sizeof(TestClock));
		FindClock();
		SpinLockInit(&test_clock->mutex);
	}
}

TimestampTz
ClockNow(void)
{
	TimestampTz now = ClockReal();

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
	now = ClockReal();
	SpinLockAcquire(&test_clock->mutex);
	if (!test_clock->frozen)
		test_clock->frozen_at = now;
	test_clock->frozen = true;
	SpinLockRelease(&test_clock->mutex);
	KeepClock();
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

	DurableLockAll();
	SpinLockAcquire(&test_clock->mutex);
	test_clock->offset += then - now;
	SpinLockRelease(&test_clock->mutex);
	KeepClock();
	DurableUnlockAll();

	ReaperAwaitRound();
	PG_RETURN_TIMESTAMPTZ(ClockNow());
}

/*
 * Show the real time again.
 */
Datum
shared_backup_clock_release(PG_FUNCTION_ARGS)
{
	CheckPreloaded();
	SpinLockAcquire(&test_clock->mutex);
	test_clock->frozen = false;
	test_clock->offset = 0;
	SpinLockRelease(&test_clock->mutex);
	KeepClock();

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

/*
 * What the registry has counted.
 */
Datum
shared_backup_counts(PG_FUNCTION_ARGS)
{
	RegistryCounts counts;
	TupleDesc	tupdesc;
	Datum		values[4];
	bool		nulls[4] = {false};

	CheckPreloaded();
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	RegistryGetCounts(&counts);
	values[0] = Int32GetDatum(counts.live);
	values[1] = Int32GetDatum(counts.results);
	values[2] = Int64GetDatum((int64) counts.results_size);
	values[3] = Int64GetDatum((int64) counts.chunks);

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}

/*
 * Let the registry have so many bytes of dynamic shared memory and no more, if
 * it does not have them already, or for null as many as there are.
 */
Datum
shared_backup_limit_memory(PG_FUNCTION_ARGS)
{
	int64		limit = PG_ARGISNULL(0) ? PG_INT64_MAX : PG_GETARG_INT64(0);

	CheckPreloaded();
	if (limit < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a limit to memory must not be negative")));

	RegistryLimitMemory((Size) limit);
	PG_RETURN_VOID();
}

/*
 * Look up a backup that must be ACTIVE.
 */
static void
LookupActive(text *arg, TimestampTz now, BackupLabel *label,
			 BackupSnapshot *snapshot)
{
	char	   *name = text_to_cstring(arg);
	char	   *utf8 = pg_server_to_any(name, strlen(name), PG_UTF8);

	memset(label, 0, sizeof(*label));
	label->len = strlcpy(label->text, utf8, sizeof(label->text));

	if (label->len > MAX_LABEL_LEN || !RegistryLookup(label, now, snapshot))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("shared backup \"%s\" does not exist", name)));
	if (snapshot->phase != BACKUP_ACTIVE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("shared backup \"%s\" is not active", name)));
}

/*
 * The state of an ACTIVE backup, which it keeps.
 */
Datum
shared_backup_carry_out(PG_FUNCTION_ARGS)
{
	BackupLabel label;
	BackupSnapshot snapshot;
	CarriedState state;
	BackupFiles files;
	StringInfoData buf;

	CheckPreloaded();
	do
	{
		CHECK_FOR_INTERRUPTS();
		LookupActive(PG_GETARG_TEXT_PP(0), ClockNow(), &label, &snapshot);
	} while (!RegistryReadFiles(&label, &snapshot, &files));

	memset(&state, 0, sizeof(state));
	state.magic = CARRIED_STATE_MAGIC;
	state.server_version = PG_VERSION_NUM;
	state.labelfile_len = files.len[FILE_LABEL];
	state.spcmapfile_len = files.len[FILE_TABLESPACE_MAP];
	state.start_time = snapshot.record.start_time;
	state.token = snapshot.record.token;
	state.core = snapshot.record.core;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, (char *) &state, sizeof(state));
	appendBinaryStringInfo(&buf, files.data[FILE_LABEL], state.labelfile_len);
	appendBinaryStringInfo(&buf, files.data[FILE_TABLESPACE_MAP],
						   state.spcmapfile_len);
	PG_RETURN_BYTEA_P(cstring_to_text_with_len(buf.data, buf.len));
}

/*
 * Get the fixed part of a carried state.  Returns the files behind it.
 */
static char *
ReadCarriedState(bytea *arg, CarriedState *state)
{
	Size		len = VARSIZE_ANY_EXHDR(arg);

	memset(state, 0, sizeof(*state));
	memcpy(state, VARDATA_ANY(arg), Min(len, sizeof(*state)));

	if (state->magic != CARRIED_STATE_MAGIC ||
		state->server_version != PG_VERSION_NUM ||
		len != sizeof(*state) + (uint64) state->labelfile_len +
		state->spcmapfile_len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this is not the state of a shared backup"),
				 errhint("Pass what shared_backup_carry_out() has returned on this version of the server.")));
	return VARDATA_ANY(arg) + sizeof(*state);
}

/*
 * Make an ACTIVE backup, which has been started anew so that core counts it,
 * the one whose state was carried out.  Its owner and its deadline stay.
 */
Datum
shared_backup_carry_in(PG_FUNCTION_ARGS)
{
	CarriedState state;
	BackupFiles files = {0};
	bool		replaced;

	CheckPreloaded();
	files.data[FILE_LABEL] = ReadCarriedState(PG_GETARG_BYTEA_PP(1), &state);
	files.len[FILE_LABEL] = state.labelfile_len;
	files.data[FILE_TABLESPACE_MAP] = files.data[FILE_LABEL] + state.labelfile_len;
	files.len[FILE_TABLESPACE_MAP] = state.spcmapfile_len;
	do
	{
		TimestampTz now = ClockNow();
		BackupLabel label;
		BackupSnapshot snapshot;
		BackupRecord *record = &snapshot.record;

		CHECK_FOR_INTERRUPTS();
		LookupActive(PG_GETARG_TEXT_PP(0), now, &label, &snapshot);
		record->start_time = state.start_time;
		record->token = state.token;
		record->core = state.core;
		RegistryStoreFiles(record, &files);
		replaced = RegistryExchange(&label, snapshot.serial, now, record);

		/* the old ones, or the new ones if nothing was replaced */
		RegistryFreeFiles(record);
	} while (!replaced);

	PG_RETURN_VOID();
}
