#!/bin/sh
# A backup by restic: restic.sh. Needs PGDATA, where psql connects (PGHOST, PGUSER, PGDATABASE), and restic's repository
# (RESTIC_REPOSITORY, RESTIC_PASSWORD_FILE). It makes two snapshots: the copy, tagged "data", and then the files that
# belong into it, tagged "files". Tablespaces are in the first, where they are on the server.
#
# To restore, into $NEW, with $FILES as below:
#     restic restore latest --tag data --target "$NEW.restic"
#     restic restore latest --tag files --target "$NEW.restic"
#     mv "$NEW.restic$PGDATA" "$NEW"
#     cp -a "$NEW.restic$FILES/." "$NEW"
#     mkdir -p "$NEW.tablespaces"
#     touch "$NEW/tablespace_map"
#     while read -r oid place; do
#         mv "$NEW.restic$place" "$NEW.tablespaces/$oid"
#     done < "$NEW/tablespace_map"
set -eu
backup=$(dirname "$0")/shared-backup.sh
leave_out=$(dirname "$0")/leave-out.txt
label=nightly-restic
FILES=${FILES:-/var/lib/shared-backup/restic-files}

# Every file, as times tell too little. Some could not be read (3): no loss if they have vanished meanwhile, as recovery drops or makes them again.
copy() {
    said=$(restic backup --quiet --force --tag data --exclude-file "$leave_out" "$@" 2>&1) && return
    status=$?
    printf '%s\n' "$said" >&2
    [ "$status" -eq 3 ] && ! printf '%s\n' "$said" | grep '^error:' | grep -qv 'no such file or directory$'
}

"$backup" start "$label"
trap '"$backup" abort "$label"' EXIT
trap 'exit 1' HUP INT TERM
set -- "$PGDATA"
for link in "$PGDATA"/pg_tblspc/*; do
    [ ! -d "$link" ] || set -- "$@" "$(readlink -f "$link")"
done
copy "$@"
# once more if it fails: the same answer is given again
"$backup" stop "$label" "$FILES" || "$backup" stop "$label" "$FILES"
trap - EXIT
restic backup --quiet --tag files "$FILES"
