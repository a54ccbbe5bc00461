-- Settings, their limits, and what they do.
SELECT name, setting, unit, context, vartype, min_val, enumvals FROM pg_settings
  WHERE name LIKE 'shared\_backup.%' ORDER BY name COLLATE "C";
SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) FROM information_schema.columns
  WHERE table_name IN ('shared_backups', 'shared_backup_starters', 'shared_backup_stats') GROUP BY table_name
  ORDER BY table_name COLLATE "C";

-- A session sees what has been reloaded in the statement after the one in which it is told.
CREATE PROCEDURE nap_unless(setting text, value text) LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting(setting) <> value THEN PERFORM pg_sleep(0.01); END IF;
END $$;

-- max_backups
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_s1', true);
ALTER SYSTEM SET shared_backup.max_backups = 2;
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.max_backups', '2')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_s2', true);
SELECT shared_backup_start('regress_s3', true);
SELECT repeated FROM shared_backup_stop('regress_s1', false);
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_s3', true);
\set VERBOSITY sqlstate
SELECT shared_backup_start('regress_s4', true);
SELECT shared_backup_start('regress_s1', true);
SELECT shared_backup_start('regress_s2', true);
\set VERBOSITY default
SELECT shared_backup_abort('regress_s3');
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_s4', true);
ALTER SYSTEM SET shared_backup.max_backups = 0;
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.max_backups', '0')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
SELECT shared_backup_start('regress_s5', true);
-- Those that run go on.
SELECT shared_backup_renew('regress_s4', '1 hour') > now() AS renewed;
SELECT label, state FROM shared_backups WHERE label LIKE 'regress_s_' ORDER BY label;
SELECT shared_backup_abort('regress_s2');
SELECT shared_backup_abort('regress_s4');
ALTER SYSTEM RESET shared_backup.max_backups;

-- ttl
ALTER SYSTEM SET shared_backup.ttl = '1h';
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.ttl', '1h')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_s1', true);
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_s2', true, '2 hours');
SELECT label, expires_at - start_time BETWEEN '1 hour' AND '61 min' AS an_hour,
       expires_at - start_time BETWEEN '2 hours' AND '121 min' AS two_hours
  FROM shared_backups WHERE label IN ('regress_s1', 'regress_s2') ORDER BY label;
SELECT shared_backup_renew('regress_s2') - now() BETWEEN '59 min' AND '61 min' AS an_hour;
ALTER SYSTEM RESET shared_backup.ttl;
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.ttl', '0')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
-- Existing deadlines do not move.
SELECT expires_at - start_time BETWEEN '1 hour' AND '61 min' AS an_hour FROM shared_backups WHERE label = 'regress_s1';
SELECT repeated FROM shared_backup_stop('regress_s1', false);
SELECT repeated FROM shared_backup_stop('regress_s2', false);

-- max_results: those that ended first are forgotten first
ALTER SYSTEM SET shared_backup.max_results = 2;
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.max_results', '2')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
SELECT count(*) FROM generate_series(1, 4) i, shared_backup_start('regress_s' || i, true);
SELECT label, repeated FROM unnest(ARRAY['regress_s3', 'regress_s1', 'regress_s2']) label,
       shared_backup_stop(label, false);
SELECT label, state FROM shared_backups WHERE label LIKE 'regress_s_' ORDER BY label;
SELECT count(*) FROM shared_backups WHERE state NOT IN ('starting', 'active', 'stopping');
\set VERBOSITY sqlstate
SELECT shared_backup_stop('regress_s3', false);
SET client_min_messages = warning;
SELECT repeated FROM shared_backup_stop('regress_s1', false);
RESET client_min_messages;
\set VERBOSITY default
-- The hint tells which limit that was, and when.
DO $$ DECLARE
    hint text;
BEGIN
    PERFORM shared_backup_stop('regress_s3', false);
EXCEPTION WHEN undefined_object THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RAISE NOTICE '%', regexp_replace(hint, '\d{4}-\d\d-\d\d \d\d:\d\d:\S+', '<time>', 'g');
END $$;
SELECT repeated FROM shared_backup_stop('regress_s4', false);
SELECT label, state FROM shared_backups WHERE label LIKE 'regress_s_' ORDER BY label;

-- max_results 0: a stop still returns its result
ALTER SYSTEM SET shared_backup.max_results = 0;
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.max_results', '0')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_s1', true);
SELECT repeated, labelfile LIKE 'START WAL LOCATION%' AS label_file FROM shared_backup_stop('regress_s1', false);
SELECT count(*) FROM shared_backups WHERE label LIKE 'regress_s_';
ALTER SYSTEM RESET shared_backup.max_results;

-- max_results_size: labels and files count
ALTER SYSTEM SET shared_backup.max_results_size = '2kB';
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.max_results_size', '2kB')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
SELECT count(*) FROM unnest(ARRAY['regress_s2' || repeat('x', 1000), 'regress_s1']) label,
       shared_backup_start(label, true), shared_backup_stop(label, false);
SELECT left(label, 12) AS label, state FROM shared_backups WHERE label LIKE 'regress_s%' ORDER BY label;
ALTER SYSTEM RESET shared_backup.max_results_size;

-- result_retention: not at all, or for a while
ALTER SYSTEM SET shared_backup.result_retention = 0;
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.result_retention', '0')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
SET statement_timeout = '30s';
CREATE PROCEDURE await_oblivion(backup text) LANGUAGE plpgsql AS $$
BEGIN
    WHILE EXISTS (SELECT FROM shared_backups WHERE label = backup) LOOP PERFORM pg_sleep(0.01); END LOOP;
END $$;
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_s1', true);
SELECT repeated FROM shared_backup_stop('regress_s1', false);
CALL await_oblivion('regress_s1');
\set VERBOSITY sqlstate
SELECT shared_backup_stop('regress_s1', false);
\set VERBOSITY default
ALTER SYSTEM SET shared_backup.result_retention = '1s';
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.result_retention', '1s')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_s1', true);
SELECT repeated FROM shared_backup_stop('regress_s1', false);
SELECT stop_time FROM shared_backups WHERE label = 'regress_s1' \gset
CALL await_oblivion('regress_s1');
SELECT clock_timestamp() - :'stop_time'::timestamptz >= '0.9 s' AS not_before;
DROP PROCEDURE await_oblivion(text);

ALTER SYSTEM RESET shared_backup.result_retention;
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.result_retention', '10min')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
SHOW shared_backup.result_retention;

-- A starter is kept warm.
DO $$ BEGIN
    WHILE NOT EXISTS (SELECT FROM shared_backup_starters WHERE state = 'warm') LOOP PERFORM pg_sleep(0.01); END LOOP;
END $$;
SELECT state, label, pid > 0 AS has_pid, since <= clock_timestamp() + interval '1 minute' AS has_time
  FROM shared_backup_starters WHERE state = 'warm';
DROP PROCEDURE nap_unless(text, text);
