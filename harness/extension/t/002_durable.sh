#!/bin/sh
# Backups that survive restarts of the server.
. "$(dirname "$0")/node.sh"

init_node primary
configure primary "shared_backup.durable = on"
must_start primary
sql primary "CREATE EXTENSION shared_backup; CREATE TABLE t (i int PRIMARY KEY, moment text)"
sql primary "INSERT INTO t SELECT i, 'before' FROM generate_series(1, 1000) i"

# back NAME: the backups have been read back
back()
{
	await "$1" "SELECT count(*) >= 0 FROM shared_backups"
}

# A clean restart and a crash, both while the copy is made
back primary
start_backup primary nightly
row="SELECT owner, start_lsn, start_time, expires_at, token FROM shared_backups"
before=$(sql primary "$row")
sql primary "INSERT INTO t SELECT i, 'during' FROM generate_series(1001, 2000) i; UPDATE t SET i = -i"
sql primary "CHECKPOINT"
copy_data primary copy base
sql primary "UPDATE t SET i = -i"
restart_node primary fast
back primary
is "active after a restart" "$(sql primary "SELECT state FROM shared_backups WHERE label = 'nightly'")" active
is "and the same" "$(sql primary "$row")" "$before"
configure primary "full_page_writes = off"
reload primary
is "with full pages" "$(full_pages primary)" some
configure primary "full_page_writes = on"
reload primary
sql primary "INSERT INTO t SELECT i, 'between' FROM generate_series(2001, 3000) i"
restart_node primary immediate
back primary
is "active after a crash" "$(sql primary "SELECT state FROM shared_backups WHERE label = 'nightly'")" active
counted="SELECT started, carried, lost FROM shared_backup_stats"
is "counted" "$(sql primary "$counted")" "0|1|0"
sql primary "INSERT INTO t SELECT i, 'after the crash' FROM generate_series(3001, 4000) i"
copy_data primary copy $(ls "$tmp/primary/data" | grep -vx 'base')
stop_backup primary copy nightly
sql primary "INSERT INTO t SELECT i, 'after' FROM generate_series(4001, 5000) i"
like "label file" "$(cat "$tmp/copy/data/backup_label")" "BACKUP FROM: standby"
ok "there is a control file" test -s "$tmp/copy/control"
ok "restore" restore_node copy "recovery_target = immediate" "shared_backup.durable = off"
is "what was committed" "$(sql copy "SELECT moment, count(*) FROM t GROUP BY 1 ORDER BY 1" | tr '\n' ' ')" \
	"after the crash|1000 before|1000 between|1000 during|1000 "
is "by its index" "$(sql copy "SET enable_seqscan = off; SELECT count(*), sum(i) FROM t WHERE i > 0")" "4000|8002000"
stop_node copy
result="SELECT lsn, labelfile, md5(controlfile), stop_time FROM shared_backup_stop('nightly', false)"
stopped=$(PGOPTIONS='-c client_min_messages=warning' sql primary "$result")

# What has ended stays so.
start_backup primary 'given up'
start_backup primary renewed '1 hour'
start_backup primary safe '2 hours'
start_backup primary brief '1 s'
sql primary "SELECT shared_backup_abort('given up'), shared_backup_renew('renewed', '1 day')" > /dev/null
deadlines="SELECT label, expires_at FROM shared_backups WHERE label IN ('renewed', 'safe') ORDER BY label"
kept=$(sql primary "$deadlines")
stop_node primary
sleep 1
must_start primary
back primary
await primary "SELECT state <> 'active' FROM shared_backups WHERE label = 'brief'"
is "states" "$(sql primary "SELECT label, state FROM shared_backups ORDER BY label" | tr '\n' ' ')" \
	"brief|expired nightly|stopped renewed|active safe|active "
is "deadlines" "$(sql primary "$deadlines")" "$kept"
is "the result is the same" "$(PGOPTIONS='-c client_min_messages=warning' sql primary "$result")" "$stopped"
sql primary "SELECT shared_backup_abort('renewed')" > /dev/null

# Without full pages, a backup is lost.
stop_node primary
configure primary "full_page_writes = off"
must_start primary
back primary
is "lost without full pages" "$(sql primary "SELECT state FROM shared_backups WHERE label = 'safe'")" lost
is "counted as lost" "$(sql primary "$counted")" "0|0|1"
is "not handed out" "$(sqlstate primary "SELECT shared_backup_stop('safe')")" 55000
like "for a reason" "$(sql primary "SELECT shared_backup_stop('safe')")" "full_page_writes"
is "no full pages for it" "$(full_pages primary)" none
configure primary "full_page_writes = on"
reload primary

# If the server runs without the extension for a time, or not durable, it is lost, too.
start_backup primary safe
stop_node primary
configure primary "shared_preload_libraries = ''"
must_start primary
stop_node primary
configure primary "shared_preload_libraries = 'shared_backup'"
must_start primary
back primary
is "lost without the extension" "$(sql primary "SELECT state FROM shared_backups WHERE label = 'safe'")" lost
is "the label can be used again" "$(sql primary "SELECT count(*) FROM shared_backup_start('safe', true)")" 1
stop_node primary
configure primary "shared_backup.durable = off"
must_start primary
stop_node primary
configure primary "shared_backup.durable = on"
must_start primary
back primary
is "lost if not durable" "$(sql primary "SELECT state FROM shared_backups WHERE label = 'safe'")" lost

# A copy of the data directory has lost them.
start_backup primary safe
stop_node primary
mkdir "$tmp/clone"
cp -R "$tmp/primary/data" "$tmp/clone/data"
configure clone "unix_socket_directories = '$tmp/clone'" "archive_mode = off"
must_start clone
back clone
is "lost in a clone" "$(sql clone "SELECT state FROM shared_backups WHERE label = 'safe'")" lost
must_start primary
back primary
is "not in the original" "$(sql primary "SELECT state FROM shared_backups WHERE label = 'safe'")" active

# A damaged state file is put aside.
stop_node primary
for file in $(find "$tmp/primary/data/pg_shared_backup" -type f -size +0 ! -name '*.bad')
do
	if grep -q safe "$file"; then printf 'damaged' | dd of="$file" bs=1 seek=40 conv=notrunc 2> /dev/null; fi
done
must_start primary
back primary
is "unknown after damage" "$(sqlstate primary "SELECT shared_backup_stop('safe')")" 42704
ok "put aside" test -n "$(find "$tmp/primary/data/pg_shared_backup" -name '*.bad')"
done_testing
