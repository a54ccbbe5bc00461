#!/usr/bin/env bash
# pg_backup_stop() is cancelled while it waits for the archive. Can one still have the label file, without which the copy
# is of no use?
source "$(dirname "${BASH_SOURCE[0]}")/stock.sh"

new_server origin "archive_mode = on" "archive_command = 'false'"
start origin

say "A backup is stopped. Nothing can be archived: the stop waits, until statement_timeout cancels it. It is called again."
sql origin -v ON_ERROR_STOP=0 <<SQL >"$HERE/answer" 2>&1
\o /dev/null
SELECT pg_backup_start('nightly', true);
\o
SET statement_timeout = '2s';
SELECT labelfile FROM pg_backup_stop();
RESET statement_timeout;
SELECT labelfile FROM pg_backup_stop(false);
SQL
quoted <"$HERE/answer"
grep -q 'canceling statement' "$HERE/answer" || cannot "the stop was not cancelled"
if grep -q '^LABEL: nightly' "$HERE/answer"; then not_shown "the second call returns the label file"; fi
say "The same lines are in the backup history file, in pg_wal and later in the archive:"
grep -h . "$HERE"/origin/pg_wal/*.backup | quoted
shown "the backup has ended, and no function returns its label file any more"
