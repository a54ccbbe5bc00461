#!/usr/bin/env bash
# full_page_writes is turned off when a promotion is not quite over, while a standby behind it is backed up. Where pages
# may be torn and WAL has no image of them, the stop of that backup must refuse. Does it?
source "$(dirname "${BASH_SOURCE[0]}")/stock.sh"

# standbys: a primary, a standby of it, and behind that another, which is to be backed up.
standbys() {
    rm -rf "$HERE"/{primary,middle,standby,copy,torn}*
    new_server primary "wal_retrieve_retry_interval = 100ms" "wal_keep_size = 256MB"
    local name upstream=primary
    for name in middle standby; do
        cp -a "$HERE/primary" "$HERE/$name"
        touch "$HERE/$name/standby.signal"
        settings $name "primary_conninfo = 'host=$HERE/$upstream.socket'"
        upstream=$name
    done
    start primary
    start middle
    start standby
    sql primary <<SQL
CREATE TABLE account (number int, owner text);
INSERT INTO account SELECT n, repeat('x', 100) FROM generate_series(1, 55) n;
VACUUM FREEZE account;
CHECKPOINT;
SQL
    account=$(sql primary -c "SELECT pg_relation_filepath('account')")
    await middle "pg_last_wal_replay_lsn() >= '$(sql primary -c "SELECT pg_current_wal_lsn()")'"
    await standby "pg_last_wal_replay_lsn() >= '$(sql middle -c "SELECT pg_last_wal_replay_lsn()")'"
}

await() { until [ "$(sql "$1" -c "SELECT $2")" = t ]; do sleep 0.05; done; }

# turn_off: full_page_writes, on the server in the middle; the second checkpoint begins after that is done.
turn_off() {
    settings middle "full_page_writes = off"
    pg_ctl -D "$HERE/middle" reload >/dev/null
    await middle "current_setting('full_page_writes') = 'off'"
    sql middle -c CHECKPOINT -c CHECKPOINT
}

promote() { pg_ctl -D "$HERE/middle" -w -t 60 promote >/dev/null; }

# write: a page is changed on the promoted server, and on the disk of the standby.
write() {
    sql middle -c "UPDATE account SET owner = repeat('y', 100)" -c CHECKPOINT
    await standby "pg_last_wal_replay_lsn() >= '$(sql middle -c "SELECT pg_current_wal_lsn()")'"
    sql standby -c CHECKPOINT
}

# tear: the copy has the first half of the page as it was, and the second one as it is; pg_control is copied last.
tear() {
    dd if="$HERE/standby/$account" of="$HERE/copy/$account" bs=4096 skip=1 seek=1 count=1 conv=notrunc status=none
    cp "$HERE/standby/global/pg_control" "$HERE/copy/global/"
}

# back_up STEP...: backs the standby up, and takes these steps meanwhile; fails if the stop refuses.
back_up() {
    open standby
    ask "SELECT pg_backup_start('nightly', true)" >/dev/null
    cp -a "$HERE/standby" "$HERE/copy"
    local step
    for step in "$@"; do $step; done
    ask "SELECT labelfile FROM pg_backup_stop(false)" >"$HERE/label"
}

standbys
say "For comparison: full_page_writes is turned off when the promotion is over."
if back_up promote turn_off write; then cannot "the stop accepts that, too"; fi
quoted <"$HERE/label"
for name in standby middle primary; do stop $name; done

standbys
say "It is turned off by recovery_end_command, which a promotion runs when it is nearly over."
{ declare -f sql settings await turn_off; echo "HERE='$HERE'; turn_off"; } >"$HERE/turn_off"
settings middle "recovery_end_command = 'bash -eu $HERE/turn_off'"
pg_ctl -D "$HERE/middle" reload >/dev/null
if ! back_up promote write tear; then
    quoted <"$HERE/label"
    not_shown "the stop refuses"
fi
[ "$(sql middle -c "SHOW full_page_writes")" = off ] || cannot "it has not been turned off"

say "The stop accepts that. The copy, with half a page from before the change and half from after it, is recovered:"
restore middle copy "$HERE/label"
if recovers copy; then cannot "the copy recovers: its page was not torn"; fi
log copy 1
shown "the stop accepts a copy that is corrupt, because WAL does not tell that full_page_writes was off"
