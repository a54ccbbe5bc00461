#!/bin/sh
# Settings of the server's start, and the background workers.
. "$(dirname "$0")/node.sh"

init_node node
must_start node
sql node "CREATE EXTENSION shared_backup"

# Workers that are terminated are replaced.
reaper="SELECT pid FROM pg_stat_activity WHERE backend_type = 'shared_backup reaper'"
warm="SELECT pid FROM shared_backup_starters WHERE state = 'warm'"
await node "SELECT EXISTS ($reaper) AND EXISTS ($warm)"
old_reaper=$(sql node "$reaper")
old_warm=$(sql node "$warm")
start_backup node kept '1 hour'
await node "SELECT EXISTS ($warm AND pid <> $old_warm)"
old_warm=$(sql node "$warm")
sql node "SELECT pg_terminate_backend($old_reaper)" > /dev/null
kill "$old_warm"
ok "another reaper" await node "SELECT EXISTS ($reaper AND pid <> $old_reaper)"
ok "another starter" await node "SELECT EXISTS ($warm AND pid <> $old_warm)"
is "the backup is there" "$(sql node "SELECT state FROM shared_backups")" active
start_backup node brief '100 ms'
ok "and backups expire" await node "SELECT state = 'expired' FROM shared_backups WHERE label = 'brief'"

# No room for a starter
stop_node node
configure node "max_worker_processes = 1" "max_parallel_workers = 0" "max_logical_replication_workers = 0"
must_start node
await node "SELECT EXISTS ($reaper)"
is "no worker" "$(sqlstate node "SELECT shared_backup_start('no', true)")" 53000
is "nothing is left" "$(sql node "SELECT count(*) FROM shared_backups")" 0
stop_node node
configure node "max_worker_processes = 8"

# Not preloaded
configure node "shared_preload_libraries = ''"
must_start node
for call in "start('a')" "stop('a')" "abort('a')" "renew('a')" "list()" "stats_list()" "starter_list()"
do
	is "not preloaded: $call" "$(sqlstate node "SELECT shared_backup_$call")" 55000
done
like "which setting" "$(sql node "SELECT shared_backup_start('a')")" "shared_preload_libraries"
stop_node node
configure node "shared_preload_libraries = 'shared_backup'"

# wal_level
configure node "wal_level = minimal" "max_wal_senders = 0" "archive_mode = off"
must_start node
is "wal_level" "$(sqlstate node "SELECT shared_backup_start('a', true)")" 55000
stop_node node
configure node "wal_level = replica"

# Fixed storage needs a limit, and keeps to it.
configure node "shared_backup.storage = fixed"
ok "without a limit it is refused" test "$(start_node node && echo started)" = ""
configure node "shared_backup.max_backups = 2"
must_start node
start_backup node first
start_backup node second
is "no more" "$(sqlstate node "SELECT shared_backup_start('third', true)")" 53400
is "no limit" "$(sqlstate node "ALTER SYSTEM SET shared_backup.max_backups = -1")" 22023
stop_node node
configure node "shared_backup.storage = dynamic" "shared_backup.max_backups = -1"
must_start node
done_testing
