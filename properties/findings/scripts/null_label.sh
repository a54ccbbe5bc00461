#!/usr/bin/env bash
# A role without EXECUTE on pg_backup_start() calls it with a label, and with NULL. Is it refused both times?
source "$(dirname "${BASH_SOURCE[0]}")/stock.sh"

new_server origin
start origin
sql origin -c "CREATE ROLE guest LOGIN"

# refused CALL: is the role refused? What it is told is printed.
refused() {
    say "A role without EXECUTE calls $1"
    sql origin -U guest -P null='(null)' -c "SELECT $1" >"$HERE/answer" 2>&1 || true
    quoted <"$HERE/answer"
    grep -q 'permission denied for function' "$HERE/answer"
}

refused "pg_backup_start('nightly', true)" || cannot "the role is not refused with a label either"
if refused "pg_backup_start(NULL, true)"; then not_shown "it is refused both times"; fi
shown "with NULL the privilege is not asked for; nor is the function called"
