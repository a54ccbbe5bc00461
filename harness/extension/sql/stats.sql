-- What has become of backups, in numbers. They count from the start of the server on: only differences tell something.
CREATE TABLE last_look AS SELECT * FROM shared_backup_stats;
CREATE FUNCTION since_last_look(OUT started bigint, OUT carried bigint, OUT stopped bigint, OUT aborted bigint,
                                OUT expired bigint, OUT failed bigint, OUT lost bigint, OUT same_since boolean)
LANGUAGE sql AS $$
    WITH looked AS (SELECT * FROM shared_backup_stats),
         remembered AS (UPDATE last_look l SET started = n.started, carried = n.carried, stopped = n.stopped,
                            aborted = n.aborted, expired = n.expired, failed = n.failed, lost = n.lost
                        FROM looked n)
    SELECT n.started - l.started, n.carried - l.carried, n.stopped - l.stopped, n.aborted - l.aborted,
           n.expired - l.expired, n.failed - l.failed, n.lost - l.lost, n.since = l.since
      FROM looked n, last_look l $$;
SELECT count(*) FROM shared_backup_stats;
SELECT since <= clock_timestamp() + interval '1 minute' AND since >= pg_postmaster_start_time() - interval '1 minute'
       AS at_the_start FROM shared_backup_stats;

-- Starts: those that a rollback does not undo, too
SELECT count(token) FROM generate_series(1, 3) i, shared_backup_start('regress_stats_' || i, true);
BEGIN;
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_stats_4', true);
ROLLBACK;
SELECT * FROM since_last_look();

-- Stops: the first one of each
SET client_min_messages = warning;
SELECT repeated FROM shared_backup_stop('regress_stats_1', false);
SELECT repeated FROM shared_backup_stop('regress_stats_1', false);
SELECT * FROM since_last_look();

-- Aborts
SELECT shared_backup_abort('regress_stats_2');
SELECT * FROM since_last_look();

-- Neither renewals nor what is refused
SELECT shared_backup_renew('regress_stats_3', '1 hour') > now() AS renewed;
\set VERBOSITY sqlstate
SELECT shared_backup_start('regress_stats_3', true);
SELECT shared_backup_stop('regress_stats_3', false, '00000000-0000-0000-0000-000000000000');
SELECT shared_backup_stop('regress_stats_5', false);
SELECT shared_backup_abort('regress_stats_1');
SELECT shared_backup_abort('regress_stats_5');
\set VERBOSITY default
SELECT * FROM since_last_look();

-- Backups that nobody stops in time, once each
SET statement_timeout = '30s';
CREATE PROCEDURE await_end(backup text) LANGUAGE plpgsql AS $$
BEGIN
    WHILE EXISTS (SELECT FROM shared_backups WHERE label = backup AND state = 'active') LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
    -- it expires at its deadline, and is counted as soon as the reaper has ended it
    WHILE (SELECT s.expired = l.expired FROM shared_backup_stats s, last_look l) LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
SELECT shared_backup_renew('regress_stats_3', '50 ms') IS NOT NULL AS renewed;
CALL await_end('regress_stats_3');
\set VERBOSITY sqlstate
SELECT shared_backup_stop('regress_stats_3', false);
\set VERBOSITY default
SELECT * FROM since_last_look();

-- What has been counted in and not out is live. Nobody else makes backups here.
SELECT started + carried - stopped - aborted - expired - failed = (SELECT count(*) FROM shared_backups
           WHERE state IN ('starting', 'active', 'stopping')) AS as_in_view FROM shared_backup_stats;
SELECT repeated FROM shared_backup_stop('regress_stats_4', false);
SELECT * FROM since_last_look();

DROP PROCEDURE await_end(text);
DROP FUNCTION since_last_look();
DROP TABLE last_look;
