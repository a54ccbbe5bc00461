#!/bin/sh
# A backup by BorgBackup: borg.sh. Needs PGDATA, where psql connects (PGHOST, PGUSER, PGDATABASE), and borg's repository
# (BORG_REPO, BORG_PASSPHRASE or the like). It makes two archives, of one number: the copy, and then the files that belong
# into it; and one for each tablespace.
#
# To restore the last one, into $NEW:
#     mkdir -p "$NEW"
#     cd "$NEW"
#     name=$(borg list --short --glob-archives 'nightly-*-files' --last 1)
#     borg extract --numeric-ids "::${name%-files}-data"
#     borg extract --numeric-ids "::$name"
#     for archive in $(borg list --short --glob-archives "${name%-files}-[0-9]*"); do
#         mkdir -p "$NEW.tablespaces/${archive##*-}"
#         cd "$NEW.tablespaces/${archive##*-}"
#         borg extract --numeric-ids "::$archive"
#     done
set -eu
backup=$(cd "$(dirname "$0")" && pwd)/shared-backup.sh
leave_out=$(dirname "$backup")/leave-out.txt
label=nightly-borg
name=nightly-$(date -u +%Y%m%dT%H%M%S)
FILES=${FILES:-/var/lib/shared-backup/borg-files}

# Every file, as times tell too little. Warnings (1) are no loss if a file has changed or vanished meanwhile: WAL has what it needs.
copy() { # FOLDER ARCHIVE
    said=$(cd "$1" && borg create --numeric-ids --files-cache disabled --exclude-from "$leave_out" "::$2" . 2>&1) && return
    status=$?
    printf '%s\n' "$said" >&2
    [ "$status" -eq 1 ] && ! printf '%s\n' "$said" | grep -Eqv 'file changed while we backed it up|No such file or directory'
}

"$backup" start "$label"
trap '"$backup" abort "$label"' EXIT
trap 'exit 1' HUP INT TERM
copy "$PGDATA" "$name-data"
for link in "$PGDATA"/pg_tblspc/*; do
    [ ! -d "$link" ] || copy "$link" "$name-${link##*/}"
done
# once more if it fails: the same answer is given again
"$backup" stop "$label" "$FILES" || "$backup" stop "$label" "$FILES"
trap - EXIT
copy "$FILES" "$name-files"
