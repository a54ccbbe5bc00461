#!/bin/sh
# A backup as in the README: start, copy, stop from another session, restore.
. "$(dirname "$0")/node.sh"

init_node primary
must_start primary
mkdir "$tmp/space"
sql primary "CREATE EXTENSION shared_backup"
sql primary "CREATE TABLESPACE space LOCATION '$tmp/space'"
sql primary "CREATE TABLE t (i int PRIMARY KEY, moment text); CREATE TABLE s (i int) TABLESPACE space"
sql primary "INSERT INTO t SELECT i, 'before' FROM generate_series(1, 1000) i"
sql primary "INSERT INTO s SELECT generate_series(1, 10)"

# The copy is made while the server works.
is "start" "$(sql primary "SELECT token IS NOT NULL FROM shared_backup_start('nightly', fast => true)")" t
sql primary "INSERT INTO t SELECT i, 'during' FROM generate_series(1001, 2000) i; UPDATE t SET i = -i"
copy_data primary copy base pg_xact
sql primary "INSERT INTO t SELECT i, 'while copying' FROM generate_series(2001, 3000) i"
sql primary "UPDATE t SET i = -i WHERE i < 0"
sql primary "DELETE FROM t WHERE i <= 100"
sql primary "CHECKPOINT"
sql primary "VACUUM t"
copy_data primary copy $(ls "$tmp/primary/data" | grep -vx 'base\|pg_xact')
cp -R "$tmp/space" "$tmp/copied_space"
ok "there is no backup_label in the data directory" test ! -e "$tmp/primary/data/backup_label"
stop_backup primary copy nightly
sql primary "INSERT INTO t SELECT i, 'after' FROM generate_series(3001, 4000) i"
like "label file" "$(cat "$tmp/copy/data/backup_label")" "LABEL: nightly"
like "tablespace map" "$(cat "$tmp/copy/data/tablespace_map")" "$tmp/space"
is "no control file" "$(cat "$tmp/copy/control")" ""
walfile=$(sql primary "SELECT pg_walfile_name(stop_lsn - 1) FROM shared_backups WHERE label = 'nightly'")
ok "stop has waited for the archive" test -f "$tmp/archive/$walfile"
history=$(cat "$tmp"/archive/*.backup)
like "backup history file: label" "$history" "LABEL: nightly"
like "backup history file: end" "$history" "STOP TIME"
like "backup history file: location" "$history" \
	"STOP WAL LOCATION: $(sql primary "SELECT stop_lsn FROM shared_backups WHERE label = 'nightly'")"

# Recovery up to the end of the backup, and not further
sed -i "s#$tmp/space#$tmp/copied_space#" "$tmp/copy/data/tablespace_map"
ok "restore" restore_node copy "recovery_target = immediate"
like "the end of the backup is reached" "$(cat "$tmp/copy/log")" "consistent recovery state reached"
is "what was committed" "$(sql copy "SELECT moment, count(*) FROM t GROUP BY 1 ORDER BY 1" | tr '\n' ' ')" \
	"before|900 during|1000 while copying|1000 "
is "by its index" "$(sql copy "SET enable_seqscan = off; SELECT count(*), sum(i) FROM t WHERE i > 0")" "2900|4496450"
is "in the tablespace" "$(sql copy "SELECT sum(i) FROM s")" 55
is "no backup in the restored server" "$(sql copy "SELECT count(*) FROM shared_backups")" 0
stop_node copy

# Full pages are written while a backup is live, even if the setting is off.
configure primary "full_page_writes = off"
reload primary
is "no full pages without a backup" "$(full_pages primary)" none
start_backup primary one
start_backup primary two
is "full pages" "$(full_pages primary)" some
sql primary "SELECT repeated FROM shared_backup_stop('one', false)" > /dev/null
is "full pages for the other one" "$(full_pages primary)" some
sql primary "SELECT shared_backup_abort('two')" > /dev/null
is "none after stop and abort" "$(full_pages primary)" none
start_backup primary short '100 ms'
await primary "SELECT state = 'expired' FROM shared_backups WHERE label = 'short'"
is "none after it has expired" "$(full_pages primary)" none
configure primary "full_page_writes = on"
reload primary

# The wait for the archive can be cancelled, and nothing is lost.
configure primary "archive_command = 'false'"
reload primary
start_backup primary slow
sql primary "SELECT repeated FROM shared_backup_stop('slow')" > "$tmp/answer" &
await primary "SELECT state = 'stopped' FROM shared_backups WHERE label = 'slow'"
is "it waits" "$(cat "$tmp/answer")" ""
is "cancelled" "$(sql primary "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
	WHERE query LIKE '%backup_stop(''slow%' AND pid <> pg_backend_pid()")" t
wait $!
like "told so" "$(cat "$tmp/answer")" "canceling statement due to user request"
configure primary "archive_command = 'cp \"%p\" \"$tmp/archive/%f\"'"
reload primary
like "stopped again" "$(sql primary "SELECT repeated FROM shared_backup_stop('slow')")" "had already been stopped"

# The session that has started it is terminated.
"$bindir/psql" -X -q -h "$tmp/primary" -U postgres -d postgres > /dev/null 2>&1 \
	-c "SELECT shared_backup_start('orphan', true)" -c "SELECT pg_terminate_backend(pg_backend_pid())"
is "the backup goes on" "$(sql primary "SELECT state FROM shared_backups WHERE label = 'orphan'")" active

# A restart forgets all backups, and so does a crash.
restart_node primary
is "forgotten" "$(sqlstate primary "SELECT shared_backup_stop('orphan')")" 42704
is "with its results" "$(sql primary "SELECT count(*) FROM shared_backups")" 0
start_backup primary crashed
counted="SELECT started, stopped, since FROM shared_backup_stats"
before=$(sql primary "$counted")
like "counted" "$before" "1|0|"
kill -9 $(sql primary "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
await primary "SELECT count(*) = 0 FROM shared_backups"
is "forgotten after a crash" "$(sqlstate primary "SELECT shared_backup_stop('crashed')")" 42704
after=$(sql primary "$counted")
like "counted anew" "$after" "0|0|"
ok "and that is told" test "${before#1|0|}" != "${after#0|0|}"
is "the next one starts" "$(sql primary "SELECT count(*) FROM shared_backup_start('crashed', true)")" 1

done_testing
