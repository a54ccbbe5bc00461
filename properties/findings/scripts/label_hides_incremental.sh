#!/usr/bin/env bash
# A line of backup_label says that a backup is incremental, and recovery refuses to start from it. Does it see that line
# under a label with a newline, and under one of 1024 bytes?
source "$(dirname "${BASH_SOURCE[0]}")/stock.sh"

needs pg_basebackup
new_server origin
settings origin "summarize_wal = on"
starts origin || cannot "this PostgreSQL has no incremental backups: 17 is the first"
export PGHOST="$HERE/origin.socket"
pg_basebackup -D "$HERE/full" -c fast --no-sync -X none 2>/dev/null

# refused NAME LABEL: starts a server from an incremental backup. Is that refused? What becomes of it is printed.
refused() {
    pg_basebackup -D "$HERE/$1" -c fast --no-sync -X fetch --label "$2" --incremental "$HERE/full/backup_manifest" \
        2>"$HERE/answer" || { quoted <"$HERE/answer"; return; }
    if starts "$1"; then
        echo "   It starts; a session says:"
        sql "$1" -c "SELECT 1" 2>&1 | sed 's/.*FATAL/   FATAL/' || true
        return 1
    fi
    log "$1" 1
    grep -q 'this is an incremental backup' "$HERE/$1.log"
}

say "An incremental backup is started from as it is."
refused plain nightly || cannot "it is not refused under a plain label"
say "The same, under a label with a newline:"
found=
refused newline $'nightly\nrun 2' || found=newline
say "The same, under a label of 1024 bytes, the longest that may be:"
refused long "$(printf 'x%.0s' {1..1024})" || found="${found:+$found, }1024 bytes"
[ -z "$found" ] || shown "recovery does not see that the backup is incremental ($found)"
not_shown "it is refused under each label"
