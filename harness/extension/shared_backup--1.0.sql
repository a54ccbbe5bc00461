/* shared_backup--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION shared_backup" to load this file. \quit

CREATE FUNCTION shared_backup_start(label text,
    fast boolean DEFAULT false,
    ttl interval DEFAULT NULL,
    OUT start_lsn pg_lsn,
    OUT token uuid)
RETURNS record
AS 'MODULE_PATHNAME', 'shared_backup_start'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_stop(label text,
    wait_for_archive boolean DEFAULT true,
    token uuid DEFAULT NULL,
    OUT lsn pg_lsn,
    OUT labelfile text,
    OUT spcmapfile text,
    OUT controlfile bytea,
    OUT stop_time timestamptz,
    OUT repeated boolean)
RETURNS record
AS 'MODULE_PATHNAME', 'shared_backup_stop'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_abort(label text,
    token uuid DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'shared_backup_abort'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_renew(label text,
    ttl interval DEFAULT NULL,
    token uuid DEFAULT NULL)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'shared_backup_renew'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_list(OUT label text,
    OUT state text,
    OUT owner name,
    OUT start_lsn pg_lsn,
    OUT start_time timestamptz,
    OUT expires_at timestamptz,
    OUT stop_lsn pg_lsn,
    OUT stop_time timestamptz,
    OUT from_standby boolean,
    OUT token uuid)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'shared_backup_list'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE VIEW shared_backups AS
    SELECT * FROM shared_backup_list();

CREATE FUNCTION shared_backup_stats_list(OUT started bigint,
    OUT carried bigint,
    OUT stopped bigint,
    OUT aborted bigint,
    OUT expired bigint,
    OUT failed bigint,
    OUT lost bigint,
    OUT since timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'shared_backup_stats_list'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE VIEW shared_backup_stats AS
    SELECT * FROM shared_backup_stats_list();

REVOKE ALL ON FUNCTION shared_backup_stats_list() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shared_backup_stats_list() TO pg_monitor;
GRANT SELECT ON shared_backup_stats TO pg_monitor;

CREATE FUNCTION shared_backup_starter_list(OUT pid int,
    OUT state text,
    OUT label text,
    OUT since timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'shared_backup_starter_list'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE VIEW shared_backup_starters AS
    SELECT * FROM shared_backup_starter_list();

-- As for the core functions, EXECUTE privilege is what protects these.
REVOKE ALL ON FUNCTION shared_backup_start(text, boolean, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_stop(text, boolean, uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_abort(text, uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_renew(text, interval, uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_list() FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_starter_list() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shared_backup_list() TO pg_monitor;
GRANT SELECT ON shared_backups TO pg_monitor;
GRANT EXECUTE ON FUNCTION shared_backup_starter_list() TO pg_monitor;
GRANT SELECT ON shared_backup_starters TO pg_monitor;
