#!/usr/bin/env bash
# full_page_writes is turned off on a primary whose standby is being backed up. Pages of the copy may be torn, and WAL has
# no image of them, so that the stop of that backup must refuse. Does it, if the primary was restarted for it?
source "$(dirname "${BASH_SOURCE[0]}")/stock.sh"

# both: a primary with a table of one page, and its standby.
both() {
    rm -rf "$HERE"/{primary,standby,copy}
    new_server primary "wal_retrieve_retry_interval = 100ms" "wal_keep_size = 256MB"
    new_standby standby primary primary
    start primary
    start standby
    new_account primary
    catch_up primary standby
}

# back_up STEP...: backs the standby up while full_page_writes is turned off like that, and the page is changed; the copy
# has the first half of the page as it was before, and the second half as it is then. Fails if the stop refuses.
back_up() {
    open standby
    ask "SELECT pg_backup_start('nightly', true)" >/dev/null
    cp -a "$HERE/standby" "$HERE/copy"
    settings primary "full_page_writes = off"
    "$@"
    sql primary -c "UPDATE account SET owner = repeat('y', 100)" -c CHECKPOINT
    catch_up primary standby
    sql standby -c CHECKPOINT
    tear standby copy
    ask "SELECT labelfile FROM pg_backup_stop(false)" >"$HERE/label"
}

reload() {
    pg_ctl -D "$HERE/primary" reload >/dev/null
    await primary "current_setting('full_page_writes') = 'off'"
    sql primary -c CHECKPOINT -c CHECKPOINT # the second one begins after the checkpointer has read the setting
}
restart() {
    stop primary
    start primary
}

say "For comparison: the configuration is reloaded."
both
if back_up reload; then cannot "the stop accepts that, too"; fi
quoted <"$HERE/label"
stop standby
stop primary

say "The primary is restarted."
both
if ! back_up restart; then
    quoted <"$HERE/label"
    not_shown "the stop refuses"
fi
say "The stop accepts that. The copy, half of whose page is from before the change, is recovered:"
restore primary copy "$HERE/label"
if recovers copy; then not_shown "the copy is whole"; fi
log copy 1
shown "the stop accepts a copy that is corrupt: WAL does not tell that full_page_writes was turned off"
