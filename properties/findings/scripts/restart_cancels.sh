#!/usr/bin/env bash
# The server is restarted in the middle of a backup. Its label file is written by hand, from what a table could have kept.
# Does the copy recover?
source "$(dirname "${BASH_SOURCE[0]}")/stock.sh"

new_server origin
start origin

# copy NAME: a backup is started, its label file written by hand and everything copied, into a folder of that name.
copy() {
    ask "SELECT pg_backup_start('nightly', true)" >/dev/null
    sql origin <<'SQL' >"$HERE/$1.label"
SELECT format(E'START WAL LOCATION: %s (file %s)\nCHECKPOINT LOCATION: %s\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n'
              'START TIME: %s\nLABEL: nightly\nSTART TIMELINE: %s',
              redo_lsn, redo_wal_file, checkpoint_lsn, checkpoint_time, timeline_id)
FROM pg_control_checkpoint();
SQL
    cp -a "$HERE/origin" "$HERE/$1"
    restore origin "$1" "$HERE/$1.label"
}

say "For comparison: no restart. The copy, with a label file written by hand, is recovered."
open origin
copy whole
ask "SELECT pg_backup_stop(false)" >/dev/null
recovers whole || cannot "it is not recovered"
quoted <"$HERE/whole.label"

say "The same again, and the server is restarted after it was copied. The copy is recovered:"
copy crossed
stop origin
start origin
if recovers crossed; then not_shown "the copy recovers"; fi
log crossed 1
grep -q 'online backup was canceled' "$HERE/crossed.log" || cannot "the copy does not recover for another reason"
shown "the copy is of no use, whatever is known of its backup"
