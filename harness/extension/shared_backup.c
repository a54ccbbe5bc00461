/*-------------------------------------------------------------------------
 *
 * shared_backup.c
 *	  Base backups that any session can stop: settings and SQL functions.
 *
 * A function here looks at the registry, decides by what it saw, and then asks
 * the registry for the change, which is made only if the entry is still what
 * it was; otherwise it looks again.  So no lock is held while permissions are
 * checked or errors are reported, and still each operation takes effect, or
 * fails for a reason that holds, at one moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <sys/stat.h>

#include "access/htup_details.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogarchive.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "continuity.h"
#include "core.h"
#include "durable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "instruments.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "injection_points.h"
#include "reaper.h"
#include "registry.h"
#include "results.h"
#include "resume.h"
#include "shared_backup.h"
#include "standby.h"
#include "starter.h"
#include "storage.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#endif

PG_MODULE_MAGIC;

#if PG_VERSION_NUM < 160000
extern PGDLLEXPORT void _PG_init(void);
#endif

PG_FUNCTION_INFO_V1(shared_backup_start);
PG_FUNCTION_INFO_V1(shared_backup_stop);
PG_FUNCTION_INFO_V1(shared_backup_abort);
PG_FUNCTION_INFO_V1(shared_backup_renew);
PG_FUNCTION_INFO_V1(shared_backup_list);
PG_FUNCTION_INFO_V1(shared_backup_starter_list);
PG_FUNCTION_INFO_V1(shared_backup_stats_list);

static const struct config_enum_entry stop_policy_options[] = {
	{"any", STOP_POLICY_ANY, false},
	{"owner", STOP_POLICY_OWNER, false},
	{NULL, 0, false}
};

static const struct config_enum_entry storage_options[] = {
	{"dynamic", STORAGE_DYNAMIC, false},
	{"fixed", STORAGE_FIXED, false},
	{NULL, 0, false}
};

/* settings */
int			shared_backup_max_backups = -1;
int			shared_backup_ttl = 0;
int			shared_backup_stop_policy = STOP_POLICY_ANY;
int			shared_backup_result_retention = 600;
int			shared_backup_max_results = 1000;
int			shared_backup_max_results_size = 16 * 1024;
int			shared_backup_max_starters = 2;
bool		shared_backup_durable = false;
int			shared_backup_storage = STORAGE_DYNAMIC;

/* the names of our tranches of locks, as waits for them are shown */
static const char *const tranche_names[NUM_TRANCHES] = {
	[CHANGE_LOCK] = "SharedBackupChange",
	[REGISTRY_LOCK] = "SharedBackupRegistry",
	[STARTER_LOCK] = "SharedBackupStarter",
	[REAPER_LOCK] = "SharedBackupReaper",
	[STANDBY_LOCK] = "SharedBackupStandby",
	[TABLE_LOCK] = "SharedBackupTable",
	[AREA_LOCK] = "SharedBackupArea",
	[FIRST_FILE_LOCK] = "SharedBackupFile",
};

static LWLockPadded *locks[NUM_TRANCHES];

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;
static object_access_hook_type prev_object_access_hook = NULL;

/* A backup that this process has claimed in order to end it. */
typedef struct BackupClaim
{
	const BackupLabel *label;
	uint64		serial;
	const BackupRecord *record;
	bool		core_entered;
} BackupClaim;

/*
 * Loading
 */

static void
SharedBackupShmemRequest(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	for (int i = 0; i < NUM_TRANCHES; i++)
		RequestNamedLWLockTranche(tranche_names[i],
								  i == FIRST_FILE_LOCK ? NUM_FILE_LOCKS : 1);
	RequestAddinShmemSpace(ClockShmemSize());
	RequestAddinShmemSpace(RegistryShmemSize());
	RequestAddinShmemSpace(StarterShmemSize());
	RequestAddinShmemSpace(ReaperShmemSize());
	RequestAddinShmemSpace(ContinuityShmemSize());
	RequestAddinShmemSpace(StandbyShmemSize());
#ifdef SHARED_BACKUP_INSTRUMENTS
	RequestAddinShmemSpace(TestClockShmemSize());
	RequestAddinShmemSpace(PointsShmemSize());
#endif
}

static void
SharedBackupShmemStartup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	for (int i = 0; i < NUM_TRANCHES; i++)
		locks[i] = GetNamedLWLockTranche(tranche_names[i]);

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	ClockShmemInit();
#ifdef SHARED_BACKUP_INSTRUMENTS
	TestClockShmemInit();
#endif
	RegistryShmemInit();
	StarterShmemInit();
	ReaperShmemInit();
	if (shared_backup_durable)
	{
		ContinuityShmemInit();
		StandbyShmemInit();
	}
#ifdef SHARED_BACKUP_INSTRUMENTS
	PointsShmemInit();
#endif
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Whoever drops the extension while backups are live should know that core goes
 * on with them.
 */
static void
SharedBackupObjectAccess(ObjectAccessType access, Oid classId, Oid objectId,
						 int subId, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, classId, objectId, subId, arg);

	if (access == OAT_DROP && classId == ExtensionRelationId)
	{
		char	   *name = get_extension_name(objectId);
		int			live = RegistryLive();

		if (live > 0 && name && strcmp(name, "shared_backup") == 0)
			ereport(WARNING,
					(errmsg_plural("%d shared backup is live while the extension is dropped",
								   "%d shared backups are live while the extension is dropped",
								   live, live),
					 errdetail("Until they have ended, the server goes on writing full pages to the WAL."),
					 errhint("With CREATE EXTENSION shared_backup in any database they can be seen, stopped and aborted again.")));
	}
}

LWLock *
SharedBackupGetLock(SharedBackupLock which)
{
	int			tranche = Min(which, FIRST_FILE_LOCK);

	return &locks[tranche][which - tranche].lock;
}

/*
 * Get a wait event, allocating it on first use where they can have names.
 */
uint32
SharedBackupWaitEvent(uint32 *event, const char *name)
{
	if (*event == 0)
	{
#if PG_VERSION_NUM >= 170000
		*event = WaitEventExtensionNew(name);
#else
		*event = PG_WAIT_EXTENSION;
#endif
	}
	return *event;
}

/*
 * Where memory is preallocated there is a limit, and "none" is refused.
 *
 * Too high a limit is not, although what there is memory for applies: it may be
 * meant for the next start of the server, and ALTER SYSTEM must take it.  When
 * the server starts, the kind of storage is not known yet; StorageCheckSettings()
 * looks at both then.
 */
static bool
CheckLimit(int *newval, void **extra, GucSource source)
{
	if (*newval >= 0 || shared_backup_storage != STORAGE_FIXED)
		return true;

	GUC_check_errdetail("\"%s\" is \"fixed\", so there is a limit.",
						"shared_backup.storage");
	GUC_check_errhint("Set it to a number; memory for more than before is preallocated when the server is restarted.");
	return false;
}

void
_PG_init(void)
{
	DefineCustomIntVariable("shared_backup.max_backups",
							"Sets the maximum number of simultaneous shared backups.",
							"-1 means no limit.",
							&shared_backup_max_backups,
							-1, -1, INT_MAX,
							PGC_SIGHUP, 0, CheckLimit, NULL, NULL);
	DefineCustomIntVariable("shared_backup.ttl",
							"Sets the time to live of shared backups that are started without one of their own.",
							"0 means that they do not expire.",
							&shared_backup_ttl,
							0, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomEnumVariable("shared_backup.stop_policy",
							 "Sets who may stop, abort and renew a shared backup.",
							 NULL,
							 &shared_backup_stop_policy,
							 STOP_POLICY_ANY, stop_policy_options,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("shared_backup.result_retention",
							"Sets how long a stopped or expired shared backup is remembered.",
							NULL,
							&shared_backup_result_retention,
							600, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("shared_backup.max_results",
							"Sets the maximum number of stopped, expired and lost shared backups that are remembered.",
							"-1 means no limit.",
							&shared_backup_max_results,
							1000, -1, INT_MAX,
							PGC_SIGHUP, 0, CheckLimit, NULL, NULL);
	DefineCustomIntVariable("shared_backup.max_results_size",
							"Sets the maximum memory for stopped, expired and lost shared backups that are remembered.",
							"-1 means no limit.",
							&shared_backup_max_results_size,
							16 * 1024, -1, MAX_KILOBYTES,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("shared_backup.max_starters",
							"Sets the maximum number of background workers that start shared backups at once.",
							NULL,
							&shared_backup_max_starters,
							2, 1, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	if (!process_shared_preload_libraries_in_progress)
		return;

	DefineCustomBoolVariable("shared_backup.durable",
							 "Lets shared backups survive a restart of the server.",
							 NULL,
							 &shared_backup_durable,
							 false,
							 PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("shared_backup.storage",
							 "Selects the kind of shared memory that shared backups are kept in.",
							 NULL,
							 &shared_backup_storage,
							 STORAGE_DYNAMIC, storage_options,
							 PGC_POSTMASTER, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("shared_backup");

	StorageCheckSettings();

#ifdef SHARED_BACKUP_INSTRUMENTS
	RegisterRecoveryHold();
#endif

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = SharedBackupShmemRequest;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = SharedBackupShmemStartup;
	prev_object_access_hook = object_access_hook;
	object_access_hook = SharedBackupObjectAccess;

	ReaperRegister();
	if (shared_backup_durable)
		ResumeRegister();
}

/*
 * Checking arguments
 */

static void
CheckRegistry(void)
{
	if (!RegistryExists())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("shared_backup must be loaded via \"shared_preload_libraries\""),
				 errhint("Add \"shared_backup\" to \"shared_preload_libraries\" and restart the server.")));

	if (!RegistryReady())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("shared backups are being read back after a restart of the server"),
				 errhint("Try again in a moment.  If that does not help, the server's log tells why; \"max_worker_processes\" may be too low.")));
}

static void
CheckServer(void)
{
	CheckRegistry();

	/* In recovery, the primary must have had it high enough. */
	if (!RecoveryInProgress() && !XLogIsNeeded())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("WAL level not sufficient for making an online backup"),
				 errhint("\"%s\" must be set to \"replica\" or \"logical\" at server start.",
						 "wal_level")));
}

static void
CheckLabelNotNull(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("backup label must not be null"),
				 errhint("Pass the label that tells this backup from others.")));
}

static void
CheckOptionNotNull(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"%s\" must not be null", name),
				 errhint("Omit the argument to get its default.")));
}

/*
 * Does some UTF-8 text contain a control character (Unicode category Cc)?
 */
static bool
ContainsControlCharacter(const char *text, int len)
{
	const unsigned char *p = (const unsigned char *) text;
	const unsigned char *end = p + len;

	for (; p < end; p++)
	{
		if (*p < 0x20 || *p == 0x7F)
			return true;
		if (*p == 0xC2 && p + 1 < end && p[1] >= 0x80 && p[1] <= 0x9F)
			return true;
	}
	return false;
}

/*
 * Get a label from the argument list, which must not be null.
 */
static void
GetLabel(FunctionCallInfo fcinfo, int argno, BackupLabel *label)
{
	text	   *arg = PG_GETARG_TEXT_PP(argno);
	char	   *string = text_to_cstring(arg);
	char	   *utf8 = pg_server_to_any(string, strlen(string), PG_UTF8);
	Size		len = strlen(utf8);

	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("backup label must not be empty"),
				 errhint("Pass a label that tells this backup from others.")));
	if (len > MAX_LABEL_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("backup label too long (max %d bytes)",
						MAX_LABEL_LEN),
				 errdetail("The label has %zu bytes in UTF-8.", len)));
	if (ContainsControlCharacter(utf8, len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("backup label must not contain control characters"),
				 errdetail("The label is a line of the backup_label file.")));

	memset(label, 0, sizeof(*label));
	memcpy(label->text, utf8, len);
	label->len = len;
}

/*
 * The time to live given by an argument, or by the setting if it is null, from
 * "now" on, in microseconds.  PG_INT64_MAX stands for "for ever".
 */
static int64
GetTimeToLive(FunctionCallInfo fcinfo, int argno, TimestampTz now)
{
	TimestampTz deadline;

	if (PG_ARGISNULL(argno))
		return shared_backup_ttl == 0 ? PG_INT64_MAX :
			shared_backup_ttl * USECS_PER_SEC;

	deadline =
		DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												TimestampTzGetDatum(now),
												PG_GETARG_DATUM(argno)));
	if (deadline == DT_NOEND)
		return PG_INT64_MAX;
	if (deadline <= now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time to live must be positive"),
				 errhint("Use null for the default, which is set by \"%s\".",
						 "shared_backup.ttl")));
	return deadline - now;
}

/*
 * A deadline, as it is returned.
 *
 * Null if there is none: many clients have no value for infinity, and cannot
 * read a row that has one.  Nor can they read a year of five digits, whatever
 * the time zone; a deadline so far away is as good as none.
 */
static Datum
GetDeadline(TimestampTz expires_at, bool *isnull)
{
	TimestampTz year_9999 = (date2j(9999, 1, 1) - POSTGRES_EPOCH_JDATE) *
		USECS_PER_DAY;

	*isnull = expires_at >= year_9999;
	return TimestampTzGetDatum(expires_at);
}

/*
 * Checking the state of a backup
 */

/*
 * May the current user stop the given backup?
 */
static bool
MayStop(const BackupSnapshot *snapshot)
{
	Oid			owner;

	if (shared_backup_stop_policy == STOP_POLICY_ANY)
		return true;

	owner = snapshot->phase == BACKUP_STARTING ? snapshot->starting_owner :
		snapshot->record.owner;
	return has_privs_of_role(GetUserId(), owner);
}

/*
 * Why there may be no backup of some name that once was there; NULL if nothing
 * comes to mind.
 */
static const char *
GetHintOfAbsence(void)
{
	StringInfoData hint;
	ResultLimit limit;
	TimestampTz last_forgotten = RegistryLastDoomed(&limit);

	initStringInfo(&hint);
	if (!shared_backup_durable)
		appendStringInfo(&hint, _("The server has been up since %s; backups do not survive a restart."),
						 timestamptz_to_str(RegistrySince()));
	if (last_forgotten != 0)
		appendStringInfo(&hint, _("%sBackups that have ended are forgotten early if there are more than \"%s\" allows, which last happened at %s."),
						 hint.len > 0 ? "  " : "", ResultLimitName(limit),
						 timestamptz_to_str(last_forgotten));
	return hint.len > 0 ? hint.data : NULL;
}

/*
 * Look up a backup that the current user wants to do something with.
 */
static void
LookupForChange(const BackupLabel *label, const char *name, TimestampTz now,
				BackupSnapshot *snapshot)
{
	if (!RegistryLookup(label, now, snapshot))
	{
		const char *hint = GetHintOfAbsence();

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("shared backup \"%s\" does not exist", name),
				 hint ? errhint("%s", hint) : 0));
	}

	if (!MayStop(snapshot))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for shared backup \"%s\"", name),
				 errdetail("\"%s\" is \"%s\", and the backup was started by another role.",
						   "shared_backup.stop_policy", "owner")));

	if (snapshot->phase == BACKUP_EXPIRED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("shared backup \"%s\" has expired", name),
				 errdetail("It expired at %s.",
						   timestamptz_to_str(snapshot->record.expires_at)),
				 errhint("The copy cannot be used.  Start another backup with a longer time to live, or renew it in time.")));

	if (snapshot->phase == BACKUP_LOST)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("shared backup \"%s\" was lost in a restart of the server",
						name),
				 errdetail_internal("%s",
									LostReasonDetail(snapshot->record.lost_reason)),
				 errhint("The copy cannot be used.  Start another backup.")));

	SHARED_BACKUP_POINT("backup-found", label);
}

/*
 * The fence: is it the start that the caller means, if it says which?  The
 * right token is not told to those who have a wrong one.
 */
static void
CheckToken(FunctionCallInfo fcinfo, int argno, const BackupSnapshot *snapshot,
		   const char *name)
{
	pg_uuid_t  *token;

	if (PG_ARGISNULL(argno) || snapshot->phase == BACKUP_STARTING)
		return;

	token = PG_GETARG_UUID_P(argno);
	if (memcmp(token, &snapshot->record.token, sizeof(pg_uuid_t)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("shared backup \"%s\" does not have the token %s", name,
						DatumGetCString(DirectFunctionCall1(uuid_out,
															UUIDPGetDatum(token)))),
				 errdetail("The backup of that name was started at %s and has another token.",
						   timestamptz_to_str(snapshot->record.start_time)),
				 errhint("Another backup may have been started under the same label since.")));
}

static void
CheckNotStopped(const BackupSnapshot *snapshot, const char *name)
{
	if (snapshot->phase == BACKUP_STOPPED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("shared backup \"%s\" has already been stopped", name),
				 errhint("Its result can be had from shared_backup_stop() until it is forgotten.")));
}

static void
CheckNotBusy(const BackupSnapshot *snapshot, const char *name)
{
	if (snapshot->phase == BACKUP_STARTING)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("shared backup \"%s\" is being started by another session", name),
				 errhint("Try again when it has been started.")));
	if (snapshot->phase == BACKUP_STOPPING)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("shared backup \"%s\" is being stopped by another session", name),
				 errhint("Try again when it has been stopped.")));
}

/*
 * Core would take the end of any backup for the end of the session's own one.
 */
static void
CheckNoOwnBackup(void)
{
	if (get_backup_status() != SESSION_BACKUP_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a backup is in progress in this session"),
				 errhint("Call pg_backup_stop() first, or use another session.")));
}

/*
 * A claim must not outlive the function that made it.
 */
static void
ReleaseClaim(int code, Datum arg)
{
	BackupClaim *claim = (BackupClaim *) DatumGetPointer(arg);

	/* what failed may have left locks that are needed here */
	LWLockReleaseAll();

	/* Core lowers its count before anything in it can fail. */
	if (claim->core_entered)
	{
		if (claim->record->file != 0)
			DurableForgetEnded(claim->label, claim->record, WARNING);
		(void) RegistryRemove(claim->label, claim->serial, true);
	}
	else
		RegistryUnclaim(claim->label, claim->serial);
}

/*
 * Starting
 */

/*
 * Reserve a label.  Returns the serial number of the reservation.
 */
static uint64
ReserveLabel(const BackupLabel *label, const char *name)
{
	uint64		overdue = 0;	/* what the reaper has been asked to expire */

	for (;;)
	{
		TimestampTz now = ClockNow();
		BackupSnapshot snapshot;
		uint64		serial;

		CHECK_FOR_INTERRUPTS();

		if (RegistryLookup(label, now, &snapshot) &&
			(BackupPhaseIsLive(snapshot.phase) || !MayStop(&snapshot)))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("shared backup \"%s\" already exists", name),
					 BackupPhaseIsLive(snapshot.phase) ?
					 errhint("Stop or abort it first, or use another label.") :
					 errhint("It has ended, but only a role that may stop it can replace it.  Use another label.")));

		/* Only the reaper can make an overdue backup not live. */
		if (snapshot.stored_phase == BACKUP_ACTIVE)
		{
			if (snapshot.serial == overdue)
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_IN_USE),
						 errmsg("shared backup \"%s\" cannot be replaced yet", name),
						 errdetail("It has expired, but its state file could not be brought up to date."),
						 errhint("The server's log tells why.  Use another label, or try again.")));
			overdue = snapshot.serial;
			ReaperAwaitRound();
			continue;
		}

		SHARED_BACKUP_POINT("start-checked", label);
		switch (RegistryReserve(label, snapshot.serial, GetUserId(), now,
								&serial))
		{
			case RESERVE_OK:
				return serial;
			case RESERVE_CHANGED:
				break;
			case RESERVE_LIMIT_OVERDUE:
				ReaperAwaitRound();
				break;
			case RESERVE_LIMIT:
				ereport(ERROR,
						(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						 errmsg("too many shared backups"),
						 RegistryMaxBackups() == shared_backup_max_backups ?
						 errdetail("\"%s\" is %d.",
								   "shared_backup.max_backups",
								   shared_backup_max_backups) :
						 errdetail("\"%s\" was %d when the server was started, and memory was preallocated for as many.",
								   "shared_backup.max_backups",
								   RegistryMaxBackups()),
						 RegistryMaxBackups() == shared_backup_max_backups ?
						 errhint("Stop or abort a backup first, or raise the limit.") :
						 errhint("Stop or abort a backup first, or restart the server.")));
		}
	}
}

Datum
shared_backup_start(PG_FUNCTION_ARGS)
{
	StarterRequest request;
	char	   *name;
	pg_uuid_t  *token;
	TupleDesc	tupdesc;
	Datum		values[2];
	bool		nulls[2] = {0};

	CheckServer();
	CheckLabelNotNull(fcinfo);
	CheckOptionNotNull(fcinfo, 1, "fast");
	GetLabel(fcinfo, 0, &request.label);
	request.fast = PG_GETARG_BOOL(1);
	request.ttl = GetTimeToLive(fcinfo, 2, ClockNow());
	request.owner = GetUserId();

	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	/* made while nothing has to be undone if there are no random numbers */
	token = DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));
	request.token = *token;

	request.serial = ReserveLabel(&request.label, name);
	values[0] = LSNGetDatum(StarterRun(&request));
	values[1] = UUIDPGetDatum(token);

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}

/*
 * Stopping
 */

/*
 * End a claimed backup that core counts, and publish its result.
 */
static void
EndCounted(const BackupLabel *label, BackupSnapshot *snapshot,
		   BackupFiles *files, BackupClaim *claim)
{
	BackupRecord *record = &snapshot->record;

	/*
	 * From the moment when core lowers its count, pages may be unprotected.
	 * If the server crashes before there is a result, the backup must not be
	 * ACTIVE again.
	 */
	if (record->file != 0)
	{
		DurableLock(record->file);
		(void) DurableSave(label, record, BACKUP_ACTIVE, true, files, ERROR);
		DurableUnlock(record->file);
	}

	/* Once core is entered, only errors can stop us. */
	claim->core_entered = true;
	CoreBackupStop(&record->core, label->text, files->data[FILE_LABEL]);
	SHARED_BACKUP_POINT("stop-core-ended", label);
	if (record->file != 0)
	{
		DurableLock(record->file);
		RegistrySetForgetTime(record);
		record->unsaved = !DurableSave(label, record, BACKUP_STOPPED, false,
									   files, LOG);
	}
	(void) RegistryPublishStop(label, snapshot->serial, record);
	if (record->file != 0)
		DurableUnlock(record->file);
}

static bool
BeganOnStandby(const BackupRecord *record)
{
	return record->file != 0 && record->core.started_in_recovery;
}

/*
 * Was the standby promoted on which a backup was started?  Core would not end it.
 */
static bool
WasPromoted(const BackupRecord *record)
{
	return BeganOnStandby(record) && !RecoveryInProgress();
}

/*
 * End a claimed backup that has crossed a restart or a promotion, and publish its
 * result.
 *
 * Core is held for it until that is done, so everything may fail before.
 */
static void
EndCarried(const BackupLabel *label, BackupSnapshot *snapshot,
		   BackupFiles *files)
{
	BackupRecord *record = &snapshot->record;

	ResumeEndCarried(record, files);
	SHARED_BACKUP_POINT("stop-core-ended", label);

	/* what the state file says must come true, so nothing may fail after it */
	RegistryStoreFiles(record, files);
	PG_TRY();
	{
		DurableLock(record->file);
		RegistrySetForgetTime(record);
		(void) DurableSave(label, record, BACKUP_STOPPED, false, files, ERROR);
	}
	PG_CATCH();
	{
		RegistryFreeFiles(record);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (RegistryPublishStop(label, snapshot->serial, record))
		CoreBackupRelease();
	DurableUnlock(record->file);
}

/*
 * End a claimed backup and publish its result.
 *
 * On return the record in the snapshot is complete, and the files are those of
 * the result.
 */
static void
EndClaimedBackup(const BackupLabel *label, BackupSnapshot *snapshot,
				 BackupFiles *files)
{
	BackupRecord *record = &snapshot->record;
	BackupClaim claim = {label, snapshot->serial, record, false};

	PG_ENSURE_ERROR_CLEANUP(ReleaseClaim, PointerGetDatum(&claim));
	{
		SHARED_BACKUP_POINT("stop-claimed", label);

		if (!RegistryReadFiles(label, snapshot, files))
			elog(ERROR, "claimed backup has disappeared");

		/* a backup whose label file cannot be returned must not be ended */
		(void) pg_any_to_server(files->data[FILE_LABEL],
								files->len[FILE_LABEL], PG_UTF8);

		HOLD_INTERRUPTS();

		/* up to this time, at least, the backup covers what is copied */
		record->stop_time = ClockNow();
		if (record->carried || WasPromoted(record))
			EndCarried(label, snapshot, files);
		else
			EndCounted(label, snapshot, files, &claim);
	}
	PG_END_ENSURE_ERROR_CLEANUP(ReleaseClaim, PointerGetDatum(&claim));
	ResultsTrim();
	RESUME_INTERRUPTS();
}

/*
 * A copy may have gone on after a stop that came too early.
 */
static void
NoticeRepeated(const BackupRecord *record, const char *name)
{
	ereport(NOTICE,
			(errmsg("shared backup \"%s\" had already been stopped at %s",
					name, timestamptz_to_str(record->stop_time)),
			 errdetail("What was copied after that time is not covered by the backup.")));
}

/*
 * See to it that a result is in its state file, if that failed before.
 */
static void
SaveResult(const BackupLabel *label, const BackupSnapshot *snapshot,
		   const BackupFiles *files)
{
	const BackupRecord *record = &snapshot->record;
	BackupSnapshot current;

	if (!record->unsaved)
		return;

	/* unless it has been forgotten, and the file removed */
	DurableLock(record->file);
	if (RegistryLookup(label, ClockNow(), &current) &&
		current.serial == snapshot->serial)
	{
		(void) DurableSave(label, record, BACKUP_STOPPED, false, files, ERROR);
		RegistryNoteSaved(label, snapshot->serial);
	}
	DurableUnlock(record->file);
}

/*
 * Where waiting for the archive has come to.
 */
typedef struct ArchiveWait
{
	TimestampTz begin;
	long		delay_ms;
	int			seconds_before_warning;
	bool		reported_waiting;
} ArchiveWait;

/*
 * Wait a moment, and say so if it has been long.
 */
static void
WaitMoment(ArchiveWait *wait)
{
	long		waited;

	CHECK_FOR_INTERRUPTS();

	waited = TimestampDifferenceMilliseconds(wait->begin,
											 GetCurrentTimestamp()) / 1000;
	if (!wait->reported_waiting && waited > 5)
	{
		ereport(NOTICE,
				(errmsg("base backup done, waiting for required WAL segments to be archived")));
		wait->reported_waiting = true;
	}
	if (waited >= wait->seconds_before_warning)
	{
		wait->seconds_before_warning *= 2;
		ereport(WARNING,
				(errmsg("still waiting for all required WAL segments to be archived (%ld seconds elapsed)",
						waited),
				 errhint("Check that your \"%s\" is executing properly.  You can safely cancel this function and call it again for the same result, but the backup will not be usable without all the WAL segments.",
						 "archive_command")));
	}

	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 wait->delay_ms,
					 WAIT_EVENT_BACKUP_WAIT_WAL_ARCHIVE);
	ResetLatch(MyLatch);
	wait->delay_ms = Min(wait->delay_ms * 2, 1000);
}

/*
 * Can a WAL segment be seen to be archived, or to be waiting for that?
 */
static bool
SegmentIsKnown(const char *wal_file)
{
	char		path[MAXPGPATH];
	struct stat st;

	StatusFilePath(path, wal_file, ".done");
	if (stat(path, &st) == 0)
		return true;
	snprintf(path, MAXPGPATH, XLOGDIR "/%s", wal_file);
	return stat(path, &st) == 0;
}

/*
 * Wait until each WAL segment from the start point of a backup to its last one
 * has been archived.
 *
 * Core looks at the last one only, because it archives one after another.  But
 * a crash may have lost what told that a segment is ready for that, and with
 * archiving off, nothing has told it; core would come to such segments only
 * when it removes them.
 *
 * Returns whether all of them are archived.  If archiving was off meanwhile, a
 * segment that is not here any more may have been removed without, and the name
 * of the first such one is left in "missing".
 */
static bool
WaitForSegments(const BackupRecord *record, ArchiveWait *wait, char *missing)
{
	bool		all = true;
	XLogSegNo	segno;
	XLogSegNo	last;

	XLByteToSeg(record->core.startpoint, segno, wal_segment_size);
	XLByteToPrevSeg(record->core.stoppoint, last, wal_segment_size);
	for (; segno <= last; segno++)
	{
		char		wal_file[MAXFNAMELEN];
		XLogRecPtr	end;

		XLogFileName(wal_file, record->core.stoptli, segno, wal_segment_size);
		XLogSegNoOffsetToRecPtr(segno + 1, 0, wal_segment_size, end);
		if (all && record->unarchived && !SegmentIsKnown(wal_file))
		{
			strlcpy(missing, wal_file, MAXFNAMELEN);
			all = false;
		}
		while (XLogArchiveIsBusy(wal_file))
		{
			if (end <= GetFlushRecPtr(NULL))
				(void) XLogArchiveCheckDone(wal_file);
			WaitMoment(wait);
		}
	}
	return all;
}

/*
 * Wait until the WAL that a stopped backup needs has been archived.
 *
 * This follows what core does at the end of a backup, except that we look more
 * often at first, because archiving a file can be a matter of milliseconds, and
 * at more of the WAL if the backup may have crossed a restart.
 */
static void
WaitForArchive(const char *name, const BackupRecord *record)
{
	const CoreBackup *backup = &record->core;
	char		last_wal_file[MAXFNAMELEN];
	char		history_file[MAXFNAMELEN];
	char		missing[MAXFNAMELEN];
	XLogSegNo	segno;
	ArchiveWait wait = {GetCurrentTimestamp(), 1, 60, false};

	if (backup->stopped_in_recovery ? !XLogArchivingAlways() :
		!XLogArchivingActive())
	{
		ereport(NOTICE,
				(errmsg("WAL archiving is not enabled; you must ensure that all required WAL segments are copied through other means to complete the backup")));
		return;
	}

	if (record->file != 0 && !RecoveryInProgress() &&
		!WaitForSegments(record, &wait, missing))
	{
		ereport(WARNING,
				(errmsg("not all required WAL segments of shared backup \"%s\" are known to be archived",
						name),
				 errdetail("WAL archiving was not enabled all the time since the backup was started, or WAL was removed while the server was down, and WAL segment \"%s\" has been removed.",
						   missing),
				 errhint("Check that the archive has it and all that follow, or else start another backup.")));
		return;
	}

	XLByteToPrevSeg(backup->stoppoint, segno, wal_segment_size);
	XLogFileName(last_wal_file, backup->stoptli, segno, wal_segment_size);
	XLByteToSeg(backup->startpoint, segno, wal_segment_size);
	BackupHistoryFileName(history_file, backup->stoptli, segno,
						  backup->startpoint, wal_segment_size);

	while (XLogArchiveIsBusy(last_wal_file) || XLogArchiveIsBusy(history_file))
		WaitMoment(&wait);

	ereport(NOTICE,
			(errmsg("all required WAL segments have been archived")));
}

static void
AbortClaimedBackup(const BackupLabel *label, const BackupSnapshot *snapshot,
				   bool failed)
{
	const BackupRecord *record = &snapshot->record;
	BackupClaim claim = {label, snapshot->serial, record, false};

	PG_ENSURE_ERROR_CLEANUP(ReleaseClaim, PointerGetDatum(&claim));
	{
		HOLD_INTERRUPTS();
		SHARED_BACKUP_POINT("abort-claimed", label);
		if (record->file != 0)
			DurableForgetEnded(label, record, ERROR);

		/* from here on, nothing fails */
		if (!record->carried)
			CoreBackupRelease();
		SHARED_BACKUP_POINT("abort-released", label);
		if (RegistryRemove(label, snapshot->serial, failed) && record->carried)
			CoreBackupRelease();
		RESUME_INTERRUPTS();
	}
	PG_END_ENSURE_ERROR_CLEANUP(ReleaseClaim, PointerGetDatum(&claim));
}

/*
 * A claimed backup that was begun on a standby ends here if it cannot be vouched
 * for.  So it does if it is core that says so.
 */
static void
CheckStandbyBackup(const BackupLabel *label, const BackupSnapshot *snapshot,
				   const char *name)
{
	LostReason	reason;

	if (!BeganOnStandby(&snapshot->record))
		return;
	reason = StandbyReason(&snapshot->record.core);
	if (reason == LOST_NOT)
		return;

	AbortClaimedBackup(label, snapshot, true);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("shared backup \"%s\" was lost on a standby", name),
			 errdetail_internal("%s", LostReasonDetail(reason)),
			 errhint("The copy cannot be used.  Start another backup.")));
}

Datum
shared_backup_stop(PG_FUNCTION_ARGS)
{
	BackupLabel label;
	char	   *name;
	BackupSnapshot snapshot;
	BackupRecord *record = &snapshot.record;
	BackupFiles files;
	bool		repeated = false;
	uint64		looked_at = 0;	/* what the reaper has looked at WAL for */
	TupleDesc	tupdesc;
	Datum		values[6];
	bool		nulls[6] = {0};

	CheckServer();
	CheckLabelNotNull(fcinfo);
	CheckOptionNotNull(fcinfo, 1, "wait_for_archive");
	GetLabel(fcinfo, 0, &label);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	for (;;)
	{
		TimestampTz now = ClockNow();

		CHECK_FOR_INTERRUPTS();

		LookupForChange(&label, name, now, &snapshot);
		CheckToken(fcinfo, 2, &snapshot, name);
		CheckNotBusy(&snapshot, name);

		if (snapshot.phase == BACKUP_STOPPED)
		{
			/* The first answer may have been lost; give it again. */
			repeated = RegistryReadFiles(&label, &snapshot, &files);
			if (repeated)
				break;
			continue;
		}

		CheckNoOwnBackup();
		if (BeganOnStandby(record) && looked_at != snapshot.serial)
		{
			ReaperAwaitRound();
			looked_at = snapshot.serial;
			continue;
		}
		if (RegistryClaim(&label, snapshot.serial))
		{
			CheckStandbyBackup(&label, &snapshot, name);
			EndClaimedBackup(&label, &snapshot, &files);
			SHARED_BACKUP_POINT("stop-published", &label);
			break;
		}
	}

	SaveResult(&label, &snapshot, &files);
	if (repeated)
		NoticeRepeated(record, name);
	if (PG_GETARG_BOOL(1))
	{
		SHARED_BACKUP_POINT("stop-waiting-archive", &label);
		WaitForArchive(name, record);
	}

	values[0] = LSNGetDatum(record->core.stoppoint);
	values[1] = CStringGetTextDatum(pg_any_to_server(files.data[FILE_LABEL],
													 files.len[FILE_LABEL],
													 PG_UTF8));
	values[2] = CStringGetTextDatum(files.data[FILE_TABLESPACE_MAP]);
	nulls[3] = !record->as_standby;
	values[3] = PointerGetDatum(cstring_to_text_with_len(files.data[FILE_CONTROL],
														 files.len[FILE_CONTROL]));
	values[4] = TimestampTzGetDatum(record->stop_time);
	values[5] = BoolGetDatum(repeated);

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}

/*
 * Aborting and renewing
 */

Datum
shared_backup_abort(PG_FUNCTION_ARGS)
{
	BackupLabel label;
	char	   *name;

	CheckServer();
	CheckLabelNotNull(fcinfo);
	GetLabel(fcinfo, 0, &label);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	for (;;)
	{
		TimestampTz now = ClockNow();
		BackupSnapshot snapshot;

		CHECK_FOR_INTERRUPTS();

		LookupForChange(&label, name, now, &snapshot);
		CheckToken(fcinfo, 1, &snapshot, name);
		CheckNotStopped(&snapshot, name);
		CheckNotBusy(&snapshot, name);
		CheckNoOwnBackup();
		if (RegistryClaim(&label, snapshot.serial))
		{
			AbortClaimedBackup(&label, &snapshot, false);
			PG_RETURN_VOID();
		}
	}
}

/*
 * Renew a backup that has a state file.  Returns false if it is not that of
 * the snapshot any more, or not ACTIVE.
 */
static bool
RenewDurably(const BackupLabel *label, const BackupSnapshot *snapshot,
			 int64 ttl, TimestampTz *expires_at)
{
	uint64		file = snapshot->record.file;
	BackupSnapshot current;
	BackupRecord renewed;
	BackupFiles files;
	bool		done = false;

	DurableLock(file);
	if (RegistryLookup(label, ClockNow(), &current) &&
		current.serial == snapshot->serial &&
		current.phase == BACKUP_ACTIVE &&
		RegistryReadFiles(label, &current, &files))
	{
		renewed = current.record;
		renewed.expires_at = *expires_at = TimestampTzAfter(ClockNow(), ttl);
		(void) DurableSave(label, &renewed, BACKUP_ACTIVE, false, &files,
						   ERROR);

		/* if it has been claimed or has expired since, that comes first */
		done = RegistryRenew(label, snapshot->serial, ttl, expires_at);
		if (!done)
			(void) DurableSave(label, &current.record, BACKUP_ACTIVE, false,
							   &files, ERROR);
	}
	DurableUnlock(file);
	return done;
}

Datum
shared_backup_renew(PG_FUNCTION_ARGS)
{
	BackupLabel label;
	char	   *name;

	CheckServer();
	CheckLabelNotNull(fcinfo);
	GetLabel(fcinfo, 0, &label);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	for (;;)
	{
		TimestampTz now = ClockNow();
		int64		ttl = GetTimeToLive(fcinfo, 1, now);
		TimestampTz expires_at = DT_NOBEGIN;
		BackupSnapshot snapshot;

		CHECK_FOR_INTERRUPTS();

		LookupForChange(&label, name, now, &snapshot);
		CheckToken(fcinfo, 2, &snapshot, name);
		CheckNotStopped(&snapshot, name);
		CheckNotBusy(&snapshot, name);
		if (snapshot.record.file != 0 ?
			RenewDurably(&label, &snapshot, ttl, &expires_at) :
			RegistryRenew(&label, snapshot.serial, ttl, &expires_at))
			return GetDeadline(expires_at, &fcinfo->isnull);
	}
}

/*
 * The view
 */

static const char *
PhaseName(BackupPhase phase)
{
	switch (phase)
	{
		case BACKUP_ABSENT:
			break;
		case BACKUP_STARTING:
			return "starting";
		case BACKUP_ACTIVE:
			return "active";
		case BACKUP_STOPPING:
			return "stopping";
		case BACKUP_STOPPED:
			return "stopped";
		case BACKUP_EXPIRED:
			return "expired";
		case BACKUP_LOST:
			return "lost";
	}
	elog(ERROR, "unexpected phase of a shared backup: %d", (int) phase);
	return NULL;				/* keep compiler quiet */
}

static void
GetRoleName(Oid roleid, NameData *result)
{
	char	   *name = GetUserNameFromId(roleid, true);

	/* like pg_get_userbyid() if the role is gone */
	if (name)
		namestrcpy(result, name);
	else
		snprintf(NameStr(*result), NAMEDATALEN, "unknown (OID=%u)", roleid);
}

/*
 * A label as the view shows it.
 *
 * One label that our database's encoding has no characters for must not hide
 * all other backups from those who watch them, so such a label is shown with
 * its non-ASCII bytes escaped.
 */
static char *
GetPrintableLabel(const char *label, int len)
{
	int			encoding = GetDatabaseEncoding();
	int			max_len = len * MAX_CONVERSION_GROWTH + 1;
	unsigned char *source = (unsigned char *) unconstify(char *, label);
	char	   *converted;
	Oid			proc;
	StringInfoData buf;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return pg_any_to_server(label, len, PG_UTF8);

	converted = palloc(max_len);
	proc = FindDefaultConversionProc(PG_UTF8, encoding);
	if (OidIsValid(proc) &&
		pg_do_encoding_conversion_buf(proc, PG_UTF8, encoding,
									  source, len,
									  (unsigned char *) converted, max_len,
									  true) == len)
		return converted;

	initStringInfo(&buf);
	for (int i = 0; i < len; i++)
	{
		if (IS_HIGHBIT_SET(label[i]))
			appendStringInfo(&buf, "\\x%02x", (unsigned char) label[i]);
		else
			appendStringInfoChar(&buf, label[i]);
	}
	return buf.data;
}

Datum
shared_backup_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	BackupListItem *items;
	int			nitems;

	CheckRegistry();
	InitMaterializedSRF(fcinfo, 0);

	items = RegistryList(&nitems);
	for (int i = 0; i < nitems; i++)
	{
		BackupListItem *item = &items[i];
		BackupPhase phase = item->snapshot.phase;
		BackupRecord *record = &item->snapshot.record;
		Datum		values[10] = {0};
		bool		nulls[10] = {0};
		NameData	owner;

		values[0] = CStringGetTextDatum(GetPrintableLabel(item->label,
														  item->label_len));
		values[1] = CStringGetTextDatum(PhaseName(phase));
		GetRoleName(phase == BACKUP_STARTING ? item->snapshot.starting_owner :
					record->owner, &owner);
		values[2] = NameGetDatum(&owner);

		if (phase == BACKUP_STARTING)
			memset(&nulls[3], true, 3 * sizeof(bool));
		else
		{
			values[3] = LSNGetDatum(record->core.startpoint);
			values[4] = TimestampTzGetDatum(record->start_time);
			values[5] = GetDeadline(record->expires_at, &nulls[5]);
		}
		if (phase == BACKUP_STOPPED)
		{
			values[6] = LSNGetDatum(record->core.stoppoint);
			values[7] = TimestampTzGetDatum(record->stop_time);
		}
		else
			nulls[6] = nulls[7] = true;
		if (phase == BACKUP_STARTING)
			nulls[8] = nulls[9] = true;
		else
		{
			values[8] = BoolGetDatum(record->core.started_in_recovery);
			values[9] = UUIDPGetDatum(&record->token);
		}

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}

	return (Datum) 0;
}

/*
 * The background workers that start backups
 */
Datum
shared_backup_starter_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	StarterInfo *starters;
	int			nstarters;

	CheckRegistry();
	InitMaterializedSRF(fcinfo, 0);

	starters = StarterList(&nstarters);
	for (int i = 0; i < nstarters; i++)
	{
		StarterInfo *starter = &starters[i];
		Datum		values[4] = {0};
		bool		nulls[4] = {0};

		values[0] = Int32GetDatum(starter->pid);
		nulls[0] = starter->pid == 0;
		values[1] = CStringGetTextDatum(starter->state);
		if (starter->label.len > 0)
			values[2] = CStringGetTextDatum(GetPrintableLabel(starter->label.text,
															  starter->label.len));
		else
			nulls[2] = true;
		values[3] = TimestampTzGetDatum(starter->since);

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}

	return (Datum) 0;
}

/*
 * The counters
 */
Datum
shared_backup_stats_list(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	BackupStats stats;
	Datum		values[8];
	bool		nulls[8] = {0};

	CheckRegistry();
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	RegistryGetStats(&stats);
	values[0] = Int64GetDatum((int64) stats.started);
	values[1] = Int64GetDatum((int64) stats.carried);
	values[2] = Int64GetDatum((int64) stats.stopped);
	values[3] = Int64GetDatum((int64) stats.aborted);
	values[4] = Int64GetDatum((int64) stats.expired);
	values[5] = Int64GetDatum((int64) stats.failed);
	values[6] = Int64GetDatum((int64) stats.lost);
	values[7] = TimestampTzGetDatum(RegistrySince());

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}
