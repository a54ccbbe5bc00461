#!/bin/sh
# After the snapshot: see pre.sh. Needs PGDATA. What belongs into the copy is in FILES afterwards: keep it with the
# snapshot, whose name the framework knows.
set -eu
exec "$(dirname "$0")/shared-backup.sh" stop cloud "${FILES:-/var/lib/shared-backup/cloud-files}"
