#!/bin/sh
# A backup by a snapshot: snapshot.sh COMMAND [ARGUMENT...], where the command takes the snapshot. For example:
#   snapshot.sh zfs snapshot -r tank/pg@nightly
#   snapshot.sh lvcreate --snapshot --size 10G --name nightly /dev/vg/pg
#   snapshot.sh btrfs subvolume snapshot -r /srv/pg /srv/snapshots/nightly
# Needs PGDATA, and where psql connects: PGHOST, PGUSER, PGDATABASE. What belongs into the copy is in the folder FILES
# afterwards: keep it with the snapshot. Tablespaces must be in the same snapshot, or in one that the command takes, too.
#
# To restore, into $NEW, from the data directory in the snapshot, mounted or cloned as $SNAPSHOT:
#     cp -a "$SNAPSHOT" "$NEW"
#     cp -a "$FILES/." "$NEW"
set -eu
backup=$(dirname "$0")/shared-backup.sh
label=nightly-snapshot
FILES=${FILES:-/var/lib/shared-backup/snapshot-files}

"$backup" start "$label"
trap '"$backup" abort "$label"' EXIT
trap 'exit 1' HUP INT TERM
"$@"
# once more if it fails: the same answer is given again
"$backup" stop "$label" "$FILES" || "$backup" stop "$label" "$FILES"
trap - EXIT
