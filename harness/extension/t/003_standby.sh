#!/bin/sh
# Backups on a standby, and its promotion.
. "$(dirname "$0")/node.sh"

init_node primary
must_start primary
sql primary "CREATE EXTENSION shared_backup; CREATE TABLE t AS SELECT generate_series(1, 1000) AS i"
mkdir "$tmp/standby"
"$bindir/pg_basebackup" -h "$tmp/primary" -U postgres -D "$tmp/standby/data" -c fast -X stream -R \
	> "$tmp/basebackup" 2>&1 || bail_out "pg_basebackup failed: $(tail -1 "$tmp/basebackup")"
configure standby "unix_socket_directories = '$tmp/standby'"
must_start standby

caught_up()
{
	await standby "SELECT pg_last_wal_replay_lsn() >= '$(sql primary "SELECT pg_current_wal_flush_lsn()")'"
}

# A backup there, whose copy is restored
is "start" "$(sql standby "SELECT count(*) FROM shared_backup_start('s', true, '1 hour')")" 1
is "view" "$(sql standby "SELECT state, from_standby FROM shared_backups")" "active|t"
is "not on the primary" "$(sql primary "SELECT count(*) FROM shared_backups")" 0
sql primary "INSERT INTO t SELECT generate_series(1001, 2000)"
sql primary "CHECKPOINT"
caught_up
copy_data standby copy
rm -f "$tmp/copy/data/standby.signal"
sql primary "INSERT INTO t SELECT generate_series(2001, 3000)"
sql primary "SELECT count(*) FROM pg_switch_wal()" > /dev/null
caught_up
is "renew" "$(sql standby "SELECT shared_backup_renew('s', '2 hours') > now()")" t
sql standby "SELECT labelfile FROM shared_backup_stop('s', false)" > "$tmp/copy/data/backup_label" 2> /dev/null
like "label file" "$(cat "$tmp/copy/data/backup_label")" "BACKUP FROM: standby"
sql primary "SELECT count(*) FROM pg_switch_wal()" > /dev/null
stop_lsn=$(sql standby "SELECT stop_lsn FROM shared_backups")
await primary "SELECT last_archived_wal >= pg_walfile_name('$stop_lsn') FROM pg_stat_archiver"
ok "restore" restore_node copy
is "rows" "$(sql copy "SELECT count(*) >= 2000 FROM t")" t
stop_node copy

# Abort and expiry
start_backup standby a
start_backup standby e '100 ms'
sql standby "SELECT shared_backup_abort('a')" > /dev/null
await standby "SELECT state = 'expired' FROM shared_backups WHERE label = 'e'"
is "ended" "$(sql standby "SELECT label, state FROM shared_backups ORDER BY label" | tr '\n' ' ')" \
	"e|expired s|stopped "

# A promotion spoils what was started before, and nothing else.
start_backup standby before
start_backup standby aborted
"$bindir/pg_ctl" promote -w -D "$tmp/standby/data" > /dev/null
is "refused" "$(sqlstate standby "SELECT shared_backup_stop('before', false)")" 55000
is "gone" "$(sqlstate standby "SELECT shared_backup_stop('before', false)")" 42704
is "counted" "$(sql standby "SELECT started, stopped, aborted, expired, failed FROM shared_backup_stats")" "5|1|1|1|1"
is "aborted" "$(sql standby "SELECT shared_backup_abort('aborted')")" ""
is "start after it" "$(sql standby "SELECT count(*) FROM shared_backup_start('after', true)")" 1
is "view after it" "$(sql standby "SELECT from_standby FROM shared_backups WHERE label = 'after'")" f
like "stop after it" "$(sql standby "SELECT labelfile FROM shared_backup_stop('after', false)")" \
	"START TIMELINE: 2"
live="state IN ('starting', 'active', 'stopping')"
is "nothing live" "$(sql standby "SELECT count(*) FROM shared_backups WHERE $live")" 0
done_testing
