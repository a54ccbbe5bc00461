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
cp -a "$HERE/copy" "$HERE/cured"
if recovers copy; then
    there=$(sql copy -c "SELECT gid FROM pg_prepared_xacts")
    log copy 5
    [ "$there" != transfer ] || not_shown "the restored server has the prepared transaction"
else
    log copy 5
    grep -q TRAP "$HERE/copy.log" || cannot "the copy does not recover"
fi

say "The same copy without the file in pg_twophase is recovered, and has:"
rm "$HERE"/cured/pg_twophase/*
recovers cured || cannot "that copy does not recover"
sql cured -c "SELECT gid FROM pg_prepared_xacts" | quoted
shown "the restored server has lost the prepared transaction"
