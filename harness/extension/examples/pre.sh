#!/bin/sh
# Before a snapshot that something else takes, and calls a script before and one after (post.sh): Azure's VM backup as
# preScriptLocation and postScriptLocation, NetApp's plug-ins as quiesce and unquiesce.
set -eu
backup=$(dirname "$0")/shared-backup.sh
"$backup" abort cloud # what is left if the last snapshot failed, and post.sh was not called
exec "$backup" start cloud
