#!/bin/sh
# A backup by rsync: rsync.sh FOLDER. Needs PGDATA, and where psql connects: PGHOST, PGUSER, PGDATABASE.
# FOLDER/data is the copy, FOLDER/tablespaces has those, by OID. A second backup into it copies what has changed.
#
# To restore, into $NEW:
#     rsync -a "$FOLDER/data/" "$NEW"
#     [ ! -d "$FOLDER/tablespaces" ] || rsync -a "$FOLDER/tablespaces/" "$NEW.tablespaces"
set -eu
backup=$(dirname "$0")/shared-backup.sh
leave_out=$(dirname "$0")/leave-out.txt
label=nightly-rsync

# Every file, as times tell too little. Those that vanish meanwhile (24) are no loss: recovery drops or makes them again.
copy() { # FROM TO
    mkdir -p "$2"
    rsync -a --ignore-times --delete --delete-excluded --exclude-from="$leave_out" "$1/" "$2" || [ $? -eq 24 ]
}

"$backup" start "$label"
trap '"$backup" abort "$label"' EXIT
trap 'exit 1' HUP INT TERM
copy "$PGDATA" "$1/data"
for link in "$PGDATA"/pg_tblspc/*; do
    [ ! -d "$link" ] || copy "$link" "$1/tablespaces/${link##*/}"
done
cp -p "$PGDATA/global/pg_control" "$1/data/global/" # on a standby it has to be the last one
# once more if it fails: the same answer is given again
"$backup" stop "$label" "$1/data" || "$backup" stop "$label" "$1/data"
trap - EXIT
