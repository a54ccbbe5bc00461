#!/bin/sh
# A backup by GNU tar: tar.sh FOLDER. Needs PGDATA, and where psql connects: PGHOST, PGUSER, PGDATABASE.
# FOLDER/data.tar is the copy; each tablespace is in FOLDER/tablespace-OID.tar.
#
# To restore, into $NEW:
#     mkdir -p "$NEW"
#     tar -C "$NEW" -xpf "$FOLDER/data.tar"
#     for archive in "$FOLDER"/tablespace-*.tar; do
#         [ -e "$archive" ] || continue
#         place=${archive##*/tablespace-}
#         mkdir -p "$NEW.tablespaces/${place%.tar}"
#         tar -C "$NEW.tablespaces/${place%.tar}" -xpf "$archive"
#     done
set -eu
backup=$(dirname "$0")/shared-backup.sh
leave_out=$(dirname "$0")/leave-out.txt
label=nightly-tar

copy() { # FROM ARCHIVE; files that change or vanish meanwhile (1) are no loss: WAL has what they need
    tar -C "$1" --exclude-from="$leave_out" -cf "$2" . || [ $? -eq 1 ]
}

mkdir -p "$1"
rm -f "$1"/*.tar
"$backup" start "$label"
trap '"$backup" abort "$label"' EXIT
trap 'exit 1' HUP INT TERM
copy "$PGDATA" "$1/data.tar"
for link in "$PGDATA"/pg_tblspc/*; do
    [ ! -d "$link" ] || copy "$link/" "$1/tablespace-${link##*/}.tar"
done
files=$1/files
# once more if it fails: the same answer is given again
"$backup" stop "$label" "$files" || "$backup" stop "$label" "$files"
trap - EXIT
# behind the others of these names: what comes last is what is restored
(cd "$files" && find . -type f) | tar -C "$files" -rf "$1/data.tar" -T -
