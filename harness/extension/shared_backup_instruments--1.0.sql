/* shared_backup_instruments--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION shared_backup_instruments" to load this file. \quit

CREATE FUNCTION shared_backup_clock_freeze()
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'shared_backup_clock_freeze'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_clock_advance(step interval)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'shared_backup_clock_advance'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_clock_release()
RETURNS void
AS 'MODULE_PATHNAME', 'shared_backup_clock_release'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_reaper(OUT pid int,
    OUT rounds bigint,
    OUT settings_loaded timestamptz,
    OUT live int)
RETURNS record
AS 'MODULE_PATHNAME', 'shared_backup_reaper'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_reaper_settle()
RETURNS void
AS 'MODULE_PATHNAME', 'shared_backup_reaper_settle'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_starter(OUT warm_pid int,
    OUT warm_starts bigint,
    OUT cold_starts bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'shared_backup_starter'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_counts(OUT live int,
    OUT results int,
    OUT results_size bigint,
    OUT chunks bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'shared_backup_counts'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_limit_memory(bytes bigint)
RETURNS void
AS 'MODULE_PATHNAME', 'shared_backup_limit_memory'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_carry_out(label text)
RETURNS bytea
AS 'MODULE_PATHNAME', 'shared_backup_carry_out'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_carry_in(label text, state bytea)
RETURNS void
AS 'MODULE_PATHNAME', 'shared_backup_carry_in'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_injection_point_attach(point text,
    action text DEFAULT 'wait',
    label text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'shared_backup_injection_point_attach'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_injection_point_wakeup(point text,
    label text DEFAULT NULL)
RETURNS int
AS 'MODULE_PATHNAME', 'shared_backup_injection_point_wakeup'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_injection_point_detach(point text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'shared_backup_injection_point_detach'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_injection_points(OUT point text,
    OUT may_fail boolean,
    OUT label text,
    OUT action text,
    OUT waiting int[],
    OUT passed bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'shared_backup_injection_points'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

CREATE FUNCTION shared_backup_injection_points_keep()
RETURNS void
AS 'MODULE_PATHNAME', 'shared_backup_injection_points_keep'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

REVOKE ALL ON FUNCTION shared_backup_clock_freeze() FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_clock_advance(interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_clock_release() FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_reaper() FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_reaper_settle() FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_starter() FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_limit_memory(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_carry_out(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_carry_in(text, bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_injection_point_attach(text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_injection_point_wakeup(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_injection_point_detach(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_injection_points() FROM PUBLIC;
REVOKE ALL ON FUNCTION shared_backup_injection_points_keep() FROM PUBLIC;
