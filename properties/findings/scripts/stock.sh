# Sourced by the scripts beside it: stock servers in a temporary folder, and what a script says in the end.
#
# A script ends with a line "shown: ..." (exit status 0), "not shown: ..." (1) or "cannot run: ..." (2). It uses the
# programs of the folder PG_BIN; what is not there, it looks for in PATH. TMPDIR says where the temporary folder is.

set -Eeuo pipefail

say() { echo "-- $*"; }
shown() { echo "shown: $*"; exit 0; }
not_shown() { echo "not shown: $*"; exit 1; }
cannot() { echo "cannot run: $*"; exit 2; }

[ "$(id -u)" != 0 ] || cannot "PostgreSQL does not run as root: run this as an ordinary user"
PATH="${PG_BIN:+$PG_BIN:}$PATH"
needs() { type -P "$1" >/dev/null || cannot "there is no $1: let PG_BIN name the folder with PostgreSQL's programs"; }
for name in initdb pg_ctl psql; do needs $name; done
for name in $(compgen -e PG); do [ "$name" = PG_BIN ] || unset "$name"; done
export LC_ALL=C PGUSER=postgres PGDATABASE=postgres PGPORT=5432

clean_up() {
    trap - EXIT ERR
    trap '' INT TERM HUP # once is enough
    local server
    for server in "$HERE"/*/postmaster.pid; do
        if [ -e "$server" ]; then pg_ctl -D "${server%/*}" -m immediate stop >/dev/null 2>&1 || true; fi
    done
    rm -rf "$HERE"
}
HERE=$(mktemp -d "${TMPDIR:-/tmp}/finding.XXXXXX") || cannot "no folder can be made in ${TMPDIR:-/tmp}: set TMPDIR"
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
trap 'cannot "\"$BASH_COMMAND\" failed, in line $LINENO of ${BASH_SOURCE[0]##*/}"' ERR

# Servers. Each has a name: its data directory is $HERE/NAME, its log $HERE/NAME.log

# new_server NAME [SETTING...]: is not started yet.
new_server() {
    initdb -D "$HERE/$1" -U postgres -A trust -E UTF8 -k --no-sync >"$HERE/initdb.log" 2>&1 ||
        cannot "initdb says: $(tail -n 1 "$HERE/initdb.log")"
    settings "$1" "listen_addresses = ''" "fsync = off" "autovacuum = off" "${@:2}"
}

# settings NAME SETTING...: lines that are added to its configuration.
settings() { printf '%s\n' "${@:2}" >>"$HERE/$1/postgresql.conf"; }

# starts NAME: returns once it accepts connections, perhaps while it recovers; fails if it comes to its end instead.
starts() {
    mkdir -p "$HERE/$1.socket"
    pg_ctl -D "$HERE/$1" -l "$HERE/$1.log" -o "-k $HERE/$1.socket" -w -t 300 start >/dev/null 2>&1
}
start() { starts "$1" || cannot "the server does not start: $(log "$1" 1)"; }
stop() { pg_ctl -D "$HERE/$1" -m fast -w stop >/dev/null; }

# log NAME LINES: the end of what it has complained of.
log() { grep -E 'WARNING|ERROR|FATAL|PANIC|TRAP|DETAIL' "$HERE/$1.log" | tail -n "$2" | sed 's/^.*\[[0-9]*\] */   /'; }

# sql NAME [OPTION...]: runs what it reads, or what -c says, and prints bare values.
sql() { psql -h "$HERE/$1.socket" -XAtq -v ON_ERROR_STOP=1 "${@:2}"; }

# await NAME CONDITION: until it holds there.
await() { until [ "$(sql "$1" -c "SELECT $2")" = t ]; do sleep 0.05; done; }

# Standbys, and a copy of one that is torn

# new_standby NAME FILES ORIGIN: has the files of the server FILES, which is down, and follows ORIGIN. It is not started yet.
new_standby() {
    cp -a "$HERE/$2" "$HERE/$1"
    touch "$HERE/$1/standby.signal"
    settings "$1" "primary_conninfo = 'host=$HERE/$3.socket'"
}

# catch_up ORIGIN NAME: until the standby has replayed what has been written by now.
catch_up() { await "$2" "pg_last_wal_replay_lsn() >= '$(sql "$1" -c "SELECT pg_current_wal_lsn()")'"; }

# new_account NAME: a table of one page, which is the file $account of each server that has it.
new_account() {
    sql "$1" <<SQL
CREATE TABLE account (number int, owner text);
INSERT INTO account SELECT n, repeat('x', 100) FROM generate_series(1, 55) n;
VACUUM FREEZE account;
CHECKPOINT;
SQL
    account=$(sql "$1" -c "SELECT pg_relation_filepath('account')")
}

# tear NAME COPY: gives the copy the second half of that page as it is now, and the control file, as the last one.
tear() {
    dd if="$HERE/$1/$account" of="$HERE/$2/$account" bs=4096 skip=1 seek=1 count=1 conv=notrunc status=none
    cp "$HERE/$1/global/pg_control" "$HERE/$2/global/"
}

# Sessions

# open NAME: a session that stays open.
open() {
    coproc SESSION { trap - ERR; sql "$1" 2>&1; }
    opened=$SESSION_PID
    exec {to}>&"${SESSION[1]}" {from}<&"${SESSION[0]}"
}

# close: ends that session.
close() {
    exec {to}>&- {from}<&-
    kill "$opened" 2>/dev/null || true
    wait "$opened" 2>/dev/null || true
}

# ask STATEMENT: runs it in that session and prints the answer; prints the error, if there is one, and fails.
ask() {
    local line
    printf '%s;\n\\echo end of answer\n' "$1" >&"$to"
    while IFS= read -r line <&"$from"; do
        if [ "$line" = "end of answer" ]; then return; fi
        printf '%s\n' "$line"
    done
    return 1
}

# restore ORIGIN COPY LABELFILE: prepares a copy of a data directory to be recovered, with all WAL of that server.
restore() {
    cp "$3" "$HERE/$2/backup_label"
    rm -f "$HERE/$2"/{postmaster.pid,postmaster.opts,standby.signal}
    touch "$HERE/$2/recovery.signal"
    settings "$2" "restore_command = 'cp $HERE/$1/pg_wal/%f %p'"
}

# recovers NAME: starts it, and waits until its recovery has ended; fails if the server comes to its end instead.
recovers() {
    starts "$1" || return 1
    until [ "$(sql "$1" -c "SELECT pg_is_in_recovery()" 2>/dev/null || true)" = f ]; do
        pg_ctl -D "$HERE/$1" status >/dev/null || return 1
        sleep 0.05
    done
}

# quoted: what it reads, shifted to the right.
quoted() { sed 's/^/   /'; }
