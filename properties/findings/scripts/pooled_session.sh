#!/usr/bin/env bash
# A session in which a backup was started is reset with ROLLBACK and DISCARD ALL, as poolers do before they give it to
# somebody else. Does that end the backup?
source "$(dirname "${BASH_SOURCE[0]}")/stock.sh"

new_server origin
start origin

say "A backup is started in a transaction that is rolled back, and all of the session is discarded."
open origin
ask "BEGIN; SELECT pg_backup_start('nightly', true); ROLLBACK" >/dev/null
ask "DISCARD ALL"
if ! ask "SELECT labelfile FROM pg_backup_stop(false)" >"$HERE/answer"; then
    quoted <"$HERE/answer"
    not_shown "that has ended the backup"
fi
say "It can be stopped:"
quoted <"$HERE/answer"
shown "the backup goes on, and belongs to whoever has the session next"
