#!/bin/sh
# A backup in two commands, for hooks and scripts. The README beside this file says more.
#
#   shared-backup.sh start LABEL          before the copy
#   shared-backup.sh renew LABEL          now and then, if the copy may take longer than the time to live
#   shared-backup.sh stop LABEL FOLDER    after the copy: FOLDER gets the files that belong into it
#   shared-backup.sh abort LABEL          instead, if the copy has failed
#
# psql is told where to connect by PGHOST, PGPORT, PGUSER and PGDATABASE: a database that has the extension.
set -eu
umask 077

PSQL=${PSQL:-psql}                                 # for example: runuser -u postgres -- psql
TTL=${SHARED_BACKUP_TTL:-2 hours}                  # after which the server ends a backup that nobody has stopped
STATE=${SHARED_BACKUP_STATE:-/var/lib/shared-backup}

die() {
    echo "shared-backup.sh: $*" >&2
    exit 1
}

sql() { # runs what comes in; :schema is where the extension is, whatever the search_path
    { cat <<'SQL'
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'shared_backup') THEN
    RAISE 'database "%" does not have the extension shared_backup', current_database()
      USING HINT = 'Set PGDATABASE to one that has it.';
  END IF;
END $$;
SELECT quote_ident(nspname) AS schema
  FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'shared_backup' \gset
SQL
        cat
    } | PGCLIENTENCODING=UTF8 $PSQL -X -q -A -t -v ON_ERROR_STOP=1 -v label="$label" -v ttl="$TTL" "$@" -f -
}

forget() {
    rm -f "$token" "$copied" "$result"
}

start() {
    [ ! -e "$token" ] || die "$token is there: the last backup \"$label\" was not finished." \
        "If its copy is complete, run: $0 stop $label FOLDER. If not, run: $0 abort $label"
    sql > "$token.$$" <<'SQL' || { rm -f "$token.$$"; exit 1; }
SELECT token FROM :schema.shared_backup_start(:'label', fast => true, ttl => :'ttl');
SQL
    forget
    mv "$token.$$" "$token"
}

started() {
    [ -s "$token" ] || die "there is no $token: no backup \"$label\" was started from here, or it is finished"
}

renew() {
    started
    sql -v token="$(cat "$token")" <<'SQL'
SELECT 'lives until ' || coalesce(:schema.shared_backup_renew(:'label', :'ttl', token => :'token')::text, 'it is stopped');
SQL
}

# The end of the backup has to lie behind all that was copied. Where no location of the WAL says so, the backup must
# not have been stopped by anybody else. Kept, so that a second run compares with the same.
note_copied() {
    [ -e "$copied" ] || { sql > "$copied.$$" <<'SQL' && mv "$copied.$$" "$copied"; } || exit 1
SELECT CASE WHEN NOT pg_is_in_recovery() AND current_setting('full_page_writes')::bool
            THEN pg_current_wal_insert_lsn() END;
SQL
}

# All that the server hands out, by one call: a line for each column.
end() {
    started
    note_copied
    sql -v token="$(cat "$token")" -v copied="$(cat "$copied")" > "$result.$$" <<'SQL' || { rm -f "$result.$$"; exit 1; }
\pset fieldsep '\n'
SELECT CASE WHEN coalesce(lsn > nullif(:'copied', '')::pg_lsn, NOT repeated) THEN 'covered' ELSE 'not covered' END,
       stop_time,
       translate(encode(convert_to(labelfile, 'UTF8'), 'base64'), E'\n', ''),
       translate(encode(convert_to(spcmapfile, 'UTF8'), 'base64'), E'\n', ''),
       translate(encode(controlfile, 'base64'), E'\n', ''),
       'complete'
  FROM :schema.shared_backup_stop(:'label', token => :'token');
SQL
    mv "$result.$$" "$result"
}

line() {
    sed -n "$1p" "$result"
}

put() { # LINE FILE: byte for byte, with the owner and the mode of the copy's other files
    cp -p "$like" "$copy/$2.new"
    line "$1" | base64 -d > "$copy/$2.new"
    mv "$copy/$2.new" "$copy/$2"
}

# Where there is no copy, but a folder for these files alone: of the owner of the data directory, with its control file,
# which is to be copied last.
prepare_folder() {
    like=${PGDATA:-}/PG_VERSION
    [ -e "$like" ] || die "$copy has no PG_VERSION; if it is for the files alone, PGDATA must name the data directory"
    mkdir -p "$copy/global"
    chown "$(stat -c %u:%g "$like")" "$copy" "$copy/global"
    [ -s "$result" ] || rm -f "$copy/backup_label" "$copy/tablespace_map"
    [ -s "$result" ] || cp -p "$PGDATA/global/pg_control" "$copy/global/"
}

stop() {
    like=$copy/PG_VERSION
    [ -e "$like" ] || prepare_folder
    [ -s "$result" ] || end
    [ "$(line 6)" = complete ] || { rm -f "$result"; die "the server's answer is not whole: run this again"; }
    [ "$(line 1)" = covered ] || die "the backup was stopped at $(line 2), before the copy was complete:" \
        "the copy cannot be used. Run: $0 abort $label, and begin anew"
    [ -z "$(line 5)" ] || put 5 global/pg_control
    [ -z "$(line 4)" ] || put 4 tablespace_map
    put 3 backup_label
    rm -f "$token"
}

# A backup that is not there any more, or has ended, needs no abort: 42704, 55000.
abort() {
    [ -s "$token" ] || { echo "no backup \"$label\" is open that was started from here" >&2; exit 0; }
    state=$(sql -v token="$(cat "$token")" <<'SQL'
\set ON_ERROR_STOP 0
\o /dev/null
SELECT :schema.shared_backup_abort(:'label', token => :'token');
\o
\echo :SQLSTATE
SQL
    ) || exit 1
    case $state in
        00000 | 42704 | 55000) forget ;;
        *) exit 1 ;;
    esac
}

[ $# -ge 2 ] || die "usage: $0 start|renew|stop|abort LABEL [FOLDER]"
label=$2
case $label in
    *[!A-Za-z0-9._-]*) die "a label has letters, digits, dots, hyphens and underscores here, as it names files" ;;
esac
mkdir -p "$STATE"
token=$STATE/$label.token
copied=$STATE/$label.copied
result=$STATE/$label.result
case $1 in
    start | renew | abort) "$1" ;;
    stop)
        copy=${3:?the folder that has the copy}
        stop
        ;;
    *) die "there is no command $1" ;;
esac
