# node.sh: what the tests in this folder have in common: servers of their own, and the Test Anything Protocol.
#
# PG_CONFIG (default: pg_config), or BINDIR, the folder of its programs, names the PostgreSQL that the extension is
# installed in. If they are set, TEMP_CONFIG is a file with settings for all servers, and TESTDIR the empty folder to use.
# Run as the user who is to own the servers, which cannot be root.

set -u
umask 077
bindir=${BINDIR:-$("${PG_CONFIG:-pg_config}" --bindir)}
tmp=${TESTDIR:-$(mktemp -d "${TMPDIR:-/tmp}/sb.XXXXXX")}
tests=0
failures=0
trap 'stop_all; rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

stop_all()
{
	for pid_file in "$tmp"/*/data/postmaster.pid
	do
		if [ -f "$pid_file" ]; then stop_node "$(basename "${pid_file%/data/postmaster.pid}")" immediate; fi
	done
}

# Something that is no test went wrong.
bail_out()
{
	echo "Bail out! $1"
	exit 255
}

# ok NAME COMMAND...: the command succeeds
ok()
{
	name=$1
	shift
	tests=$((tests + 1))
	if "$@"; then
		echo "ok $tests - $name"
	else
		echo "not ok $tests - $name"
		failures=$((failures + 1))
	fi
}

# is NAME GOT WANTED
is()
{
	ok "$1" test "$2" = "$3"
	if [ "$2" != "$3" ]; then printf '%s\n%s\n' "got: $2" "expected: $3" | sed 's/^/# /'; fi
}

# like NAME GOT WORDS: the words occur in it
like()
{
	ok "$1" contains "$2" "$3"
	if ! contains "$2" "$3"; then printf '%s\n%s\n' "got: $2" "expected in it: $3" | sed 's/^/# /'; fi
}

contains()
{
	case $1 in *"$2"*) ;; *) return 1 ;; esac
}

done_testing()
{
	echo "1..$tests"
	if [ $failures -gt 0 ]; then exit 1; fi
	exit 0
}

# init_node NAME: a new cluster, which archives its WAL and has the extension preloaded
init_node()
{
	if [ ! -d "$tmp/template" ]; then
		"$bindir/initdb" -N -A trust -U postgres -E UTF8 --locale=C --wal-segsize=1 -D "$tmp/template" > "$tmp/initdb" 2>&1 ||
			bail_out "initdb failed: $(tail -1 "$tmp/initdb")"
	fi
	mkdir -p "$tmp/$1" "$tmp/archive"
	cp -R "$tmp/template" "$tmp/$1/data"
	if [ -n "${TEMP_CONFIG:-}" ]; then cat "$TEMP_CONFIG" >> "$tmp/$1/data/postgresql.conf"; fi
	archived="\"$tmp/archive/%f\""
	partly="\"$tmp/archive/%f.part\""
	configure "$1" "shared_preload_libraries = 'shared_backup'" "listen_addresses = ''" \
		"unix_socket_directories = '$tmp/$1'" "fsync = off" "statement_timeout = 60s" "dynamic_shared_memory_type = mmap" \
		"archive_mode = on" "archive_command = 'cp \"%p\" $partly && mv $partly $archived'" \
		"restore_command = 'cp $archived \"%p\"'"
}

# configure NAME SETTING...
configure()
{
	conf=$tmp/$1/data/postgresql.conf
	shift
	printf '%s\n' "$@" >> "$conf"
}

# reload NAME: returns when new sessions have the new settings
reload()
{
	before=$(sql "$1" "SELECT pg_conf_load_time()")
	"$bindir/pg_ctl" reload -D "$tmp/$1/data" > /dev/null
	await "$1" "SELECT pg_conf_load_time() > '$before'"
}

start_node()
{
	"$bindir/pg_ctl" start -w -D "$tmp/$1/data" -l "$tmp/$1/log" > "$tmp/$1/pg_ctl" 2>&1
}

# start_node or bail out
must_start()
{
	start_node "$1" || bail_out "server $1 did not start: $(tail -3 "$tmp/$1/log" | tr '\n' ' ')"
}

stop_node()
{
	"$bindir/pg_ctl" stop -w -m "${2:-fast}" -D "$tmp/$1/data" > "$tmp/$1/pg_ctl" 2>&1
}

restart_node()
{
	stop_node "$1" "${2:-fast}"
	must_start "$1"
}

# sql NAME QUERY: the answer, or the error
sql()
{
	"$bindir/psql" -X -A -t -q -h "$tmp/$1" -U postgres -d postgres -v VERBOSITY="${verbosity:-default}" -c "$2" 2>&1
}

# sqlstate NAME QUERY: that of the error
sqlstate()
{
	verbosity=sqlstate
	sql "$1" "$2" | sed -n 's/^ERROR:  //p'
	verbosity=default
}

# await NAME QUERY: until it answers t; half a minute at most
await()
{
	for _ in $(seq 300)
	do
		if [ "$(sql "$1" "$2")" = t ]; then return 0; fi
		sleep 0.1
	done
	bail_out "waited in vain for: $2"
}

# start_backup NAME LABEL [TTL]
start_backup()
{
	sql "$1" "SELECT count(*) FROM shared_backup_start('$2', true, nullif('${3:-}', '')::interval)" > /dev/null
}

# copy_data NAME COPY WHAT...: these parts of the data directory (default: all) without what a copy does not need
copy_data()
{
	from=$tmp/$1/data
	to=$tmp/$2/data
	shift 2
	mkdir -p "$to"
	if [ $# -eq 0 ]; then set -- $(ls -A "$from"); fi
	for part in "$@"
	do
		cp -R "$from/$part" "$to" 2> /dev/null
	done
	rm -rf "$to"/postmaster.* "$to/pg_wal" "$to"/pg_replslot "$to"/pg_dynshmem/* "$to"/pg_shared_backup
	mkdir -p "$to/pg_wal/archive_status" "$to/pg_replslot"
}

# stop_backup NAME COPY LABEL: stops it, and writes the files into the copy, as the hooks of the README do
stop_backup()
{
	to=$tmp/$2/data
	call="shared_backup_stop('$3')"
	part()
	{
		PGOPTIONS='-c client_min_messages=warning' sql "$node" "SELECT rtrim($1, chr(10)) FROM $call WHERE $1 <> ''"
	}
	node=$1
	part labelfile > "$to/backup_label"
	part spcmapfile > "$tmp/$2/map"
	part "encode(controlfile, 'base64')" > "$tmp/$2/control"
	if [ -s "$tmp/$2/map" ]; then cp "$tmp/$2/map" "$to/tablespace_map"; fi
	if [ -s "$tmp/$2/control" ]; then base64 -d "$tmp/$2/control" > "$to/global/pg_control"; fi
}

# restore_node COPY SETTING...: recovers the copy from the archive, on a socket of its own
restore_node()
{
	copy=$1
	shift
	chmod 700 "$tmp/$copy/data"
	configure "$copy" "unix_socket_directories = '$tmp/$copy'" "archive_mode = off" "hot_standby = on" \
		"recovery_target_action = promote" "$@"
	touch "$tmp/$copy/data/recovery.signal"
	if ! start_node "$copy"; then
		grep -h 'FATAL\|PANIC' "$tmp/$copy/log" | sed 's/^/# /'
		return 1
	fi
	await "$copy" "SELECT NOT pg_is_in_recovery()"
}

# full_pages NAME: how many page images a small change writes right after a checkpoint, with full_page_writes off
full_pages()
{
	sql "$1" "CREATE TABLE IF NOT EXISTS probe AS SELECT 1 AS i" > /dev/null
	"$bindir/psql" -X -A -t -q -h "$tmp/$1" -U postgres -d postgres > "$tmp/explained" 2>&1 <<-END
		UPDATE probe SET i = i + 1;
		CHECKPOINT;
		SELECT pg_logical_emit_message(false, 'look', 'again');
		EXPLAIN (ANALYZE, WAL, COSTS OFF, TIMING OFF, SUMMARY OFF) UPDATE probe SET i = i + 1;
	END
	if grep -q 'WAL: .*fpi=' "$tmp/explained"; then
		echo some
	elif grep -q 'WAL: ' "$tmp/explained"; then
		echo none
	else
		cat "$tmp/explained"
	fi
}
