#!/usr/bin/env bash
# An extension is where only extension_control_path and dynamic_library_path lead. Its functions work; does pg_upgrade find
# its library, with the same two settings in both servers?
source "$(dirname "${BASH_SOURCE[0]}")/stock.sh"
for name in pg_upgrade pg_config; do needs $name; done

bin=$(dirname "$(type -P pg_upgrade)")
away=$HERE/away
mkdir -p "$away"/{lib,extension}

# extension NAME MODULE_PATHNAME: with a function of a library that is a copy of one of the server's own.
extension() {
    cp "$(pg_config --pkglibdir)/plpgsql.so" "$away/lib/$1.so"
    printf '%s\n' "default_version = '1'" "module_pathname = '$2'" >"$away/extension/$1.control"
    cat >"$away/extension/$1--1.sql" <<SQL
CREATE FUNCTION $1(oid) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'plpgsql_validator';
SQL
}

# both NAME: a server that has this extension, for which it has loaded the library, and one that it is to be upgraded to.
both() {
    rm -rf "$HERE"/{old,new}
    for server in old new; do
        new_server $server "extension_control_path = '$away:\$system'" "dynamic_library_path = '$away/lib:\$libdir'"
    done
    start old
    sql old -c "CREATE EXTENSION $1"
    sql old -c "SELECT 'its library is ' || probin FROM pg_proc WHERE proname = '$1'" | quoted
    stop old
}

upgrade() { (cd "$HERE" && pg_upgrade -b "$bin" -B "$bin" -d old -D new -U postgres -s "$HERE" --no-sync) >"$HERE/upgrade.log" 2>&1; }

extension with_libdir '$libdir/with_libdir'
extension without_libdir without_libdir

say "For comparison: an extension that names its library without \$libdir."
both without_libdir
upgrade || cannot "pg_upgrade fails, too: $(tail -n 1 "$HERE/upgrade.log")"

say "One that names it as most do."
both with_libdir
if upgrade; then not_shown "pg_upgrade finds it"; fi
missing=$(cat "$HERE"/new/pg_upgrade_output.d/*/loadable_libraries.txt) || cannot "$(tail -n 1 "$HERE/upgrade.log")"
quoted <<<"$missing"
shown "pg_upgrade does not find a library that the server finds"
