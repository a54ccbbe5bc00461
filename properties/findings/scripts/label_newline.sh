#!/usr/bin/env bash
# A backup is started under a label with a newline in it. Does recovery take the rest for a line of backup_label?
source "$(dirname "${BASH_SOURCE[0]}")/stock.sh"

new_server origin
start origin

say "A backup under a label of two lines, the second of which looks like one of the server's."
open origin
if ! ask "SELECT pg_backup_start(E'nightly\nSTART TIMELINE: 99', true)" >"$HERE/answer"; then
    quoted <"$HERE/answer"
    not_shown "the label is refused"
fi
cp -a "$HERE/origin" "$HERE/copy"
ask "SELECT labelfile FROM pg_backup_stop(false)" >"$HERE/label"
quoted <"$HERE/label"

say "The copy is recovered:"
restore origin copy "$HERE/label"
if recovers copy; then not_shown "the copy recovers"; fi
log copy 2
grep -q 'Timeline ID parsed is 99' "$HERE/copy.log" || cannot "the copy does not recover for another reason"
shown "a line of the label is taken for the server's own, and a good copy is refused"
