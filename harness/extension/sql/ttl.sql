-- Times to live.
SET statement_timeout = '30s';
CREATE PROCEDURE await_end(backup text) LANGUAGE plpgsql AS $$
BEGIN
    WHILE EXISTS (SELECT FROM shared_backups WHERE label = backup AND state IN ('active', 'stopping')) LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;

-- None, by default.
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_ttl', true);
SELECT expires_at FROM shared_backups WHERE label = 'regress_ttl';
-- It is renewed, to a deadline and to none.
SELECT shared_backup_renew('regress_ttl', '2 hours') - now() BETWEEN '119 min' AND '121 min' AS renewed;
SELECT expires_at - now() BETWEEN '119 min' AND '121 min' AS in_view FROM shared_backups WHERE label = 'regress_ttl';
SELECT shared_backup_renew('regress_ttl', '1 month') - now() BETWEEN '27 days' AND '32 days' AS renewed;
SELECT shared_backup_renew('regress_ttl') AS none;
SELECT expires_at FROM shared_backups WHERE label = 'regress_ttl';
SELECT shared_backup_renew('regress_ttl',
    (CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 'infinity' ELSE '9000 years' END)::interval)
    AS none;
SELECT shared_backup_abort('regress_ttl');

-- It expires, and not before.
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_ttl', true, '100 ms');
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_ttl_long', true, '1 hour');
SELECT start_time FROM shared_backups WHERE label = 'regress_ttl' \gset
CALL await_end('regress_ttl');
SELECT label, state, stop_lsn, stop_time, expires_at - start_time < '1 minute' AS soon
  FROM shared_backups WHERE label LIKE 'regress_ttl%' ORDER BY label;
SELECT clock_timestamp() - :'start_time'::timestamptz >= '90 ms' AS not_before;
\set VERBOSITY terse
SELECT shared_backup_stop('regress_ttl', false);
SELECT shared_backup_abort('regress_ttl');
SELECT shared_backup_renew('regress_ttl', '1 hour');
\set VERBOSITY sqlstate
SELECT shared_backup_stop('regress_ttl', false);
\set VERBOSITY default

-- A renewed one lives on.
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_ttl', true, '1 hour');
SELECT shared_backup_renew('regress_ttl', '50 ms') IS NOT NULL AS shorter;
CALL await_end('regress_ttl');
SELECT state FROM shared_backups WHERE label = 'regress_ttl';
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_ttl', true, '10 s');
SELECT shared_backup_renew('regress_ttl', '1 hour') IS NOT NULL AS longer;
SELECT pg_sleep(0.3);
SELECT state FROM shared_backups WHERE label = 'regress_ttl';
SELECT repeated FROM shared_backup_stop('regress_ttl', false);

-- A stopped one does not expire.
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_ttl', true, '10 s');
SELECT repeated FROM shared_backup_stop('regress_ttl', false);
SELECT state FROM shared_backups WHERE label = 'regress_ttl';

-- Many that expire at once.
SELECT count(*) FROM generate_series(1, 20) i, shared_backup_start('regress_many_' || i, true, '300 ms');
DO $$ BEGIN FOR i IN 1 .. 20 LOOP CALL await_end('regress_many_' || i); END LOOP; END $$;
SELECT state, count(*) FROM shared_backups WHERE label LIKE 'regress_many_%' GROUP BY state;

SELECT shared_backup_abort('regress_ttl_long');
DROP PROCEDURE await_end(text);
