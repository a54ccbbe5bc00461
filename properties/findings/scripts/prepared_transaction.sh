#!/usr/bin/env bash
# A transaction is prepared while a base backup is made, and a checkpoint writes it to pg_twophase, where it is copied.
# Is it there when the backup is restored?
source "$(dirname "${BASH_SOURCE[0]}")/stock.sh"

new_server origin "max_prepared_transactions = 5"
start origin
sql origin -c "CREATE TABLE account (balance int)"

say "A backup is started; a transaction is prepared, and a checkpoint writes its file; all is copied; the backup ends."
open origin
ask "SELECT pg_backup_start('nightly', true)" >/dev/null
sql origin <<SQL
INSERT INTO account VALUES (1);
BEGIN;
INSERT INTO account VALUES (100);
PREPARE TRANSACTION 'transfer';
CHECKPOINT;
SQL
cp -a "$HERE/origin" "$HERE/copy"
ask "SELECT labelfile FROM pg_backup_stop(false)" >"$HERE/label"

say "The server has the prepared transaction $(sql origin -c "SELECT gid FROM pg_prepared_xacts"). The copy is recovered:"
restore origin copy "$HERE/label"
if ! recovers copy; then
    log copy 5
    grep -q TRAP "$HERE/copy.log" || cannot "the copy does not recover"
    shown "an assertion fails in recovery"
fi
log copy 5
there=$(sql copy -c "SELECT gid FROM pg_prepared_xacts")
[ "$there" = transfer ] || shown "the restored server has lost the prepared transaction"
not_shown "the restored server has the prepared transaction"
