#!/usr/bin/env bash
# A standby is backed up while the server it follows is promoted. full_page_writes is on everywhere. The new primary writes
# full pages as its own last restartpoint needs them, and that may be older than the one that the backup begins at: a page
# that was changed between the two, and is changed again after the promotion, comes without an image. Does the stop refuse?
source "$(dirname "${BASH_SOURCE[0]}")/stock.sh"

# all: a primary with a table of one page, its standby "next", and "last", which follows that.
all() {
    rm -rf "$HERE"/{primary,next,last,copy,busy}
    new_server primary "wal_retrieve_retry_interval = 100ms" "wal_keep_size = 256MB"
    new_standby next primary primary
    settings next "archive_cleanup_command = 'touch $HERE/cleans; while [ -e $HERE/busy ]; do sleep 0.05; done'"
    new_standby last primary next
    for name in primary next last; do start "$name"; done
    new_account primary
    catch_up primary last
}

# be_busy: the last restartpoint of "next" is from here; its checkpointer is not done with the command that follows it.
be_busy() {
    rm -f "$HERE/cleans"
    touch "$HERE/busy"
    sql next -c CHECKPOINT &
    until [ -e "$HERE/cleans" ]; do sleep 0.05; done
}

# back_up STEP...: the page is changed and "last" is backed up from a later checkpoint on; "next" does this, is promoted,
# and changes the page again. The copy has the first half of the page as it was before that, and the second half as it is
# then. Says so and ends if the stop refuses.
back_up() {
    sql primary -c "UPDATE account SET number = -number" -c "VACUUM account" -c CHECKPOINT
    catch_up primary last
    sql last -c CHECKPOINT
    open last
    ask "SELECT pg_backup_start('nightly', true)" >/dev/null
    cp -a "$HERE/last" "$HERE/copy"
    stop primary
    "$@"
    sql next -c "SELECT pg_promote()" >/dev/null
    sql next -c "UPDATE account SET owner = repeat('y', 100)"
    rm -f "$HERE/busy"
    sql next -c CHECKPOINT
    catch_up next last
    sql last -c CHECKPOINT
    tear last copy
    if ! ask "SELECT labelfile FROM pg_backup_stop(false)" >"$HERE/label"; then
        quoted <"$HERE/label"
        not_shown "the stop refuses"
    fi
    close
}

say "For comparison: the server that is promoted has made the restartpoint that the backup begins at."
all
back_up sql next -c CHECKPOINT
quoted <"$HERE/label"
restore next copy "$HERE/label"
if ! recovers copy; then cannot "that copy is torn, too: $(log copy 1)"; fi
say "That copy, half of whose page is from before the change, is whole."
for name in copy last next; do stop "$name"; done

say "The server that is promoted is still busy with the archive_cleanup_command of an earlier restartpoint."
all
be_busy
back_up true
say "The stop accepts that. The copy is recovered:"
restore next copy "$HERE/label"
if recovers copy; then not_shown "the copy is whole"; fi
log copy 1
shown "the stop accepts a copy that is corrupt: the new primary wrote no image of a page that the backup needs one of"
