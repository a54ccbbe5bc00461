-- A backup is started, seen, stopped and stopped again.
CREATE EXTENSION shared_backup;

-- What an earlier run has left is remembered for a while: a new backup replaces it.
DO $$ DECLARE
    old text;
BEGIN
    FOR old IN SELECT label FROM shared_backups WHERE label LIKE 'regress%' LOOP
        PERFORM shared_backup_start(old, fast => true);
        PERFORM shared_backup_abort(old);
    END LOOP;
END $$;

SELECT start_lsn IS NOT NULL AS has_lsn, token IS NOT NULL AS has_token
  FROM shared_backup_start('regress_one', fast => true);
SELECT label, state, owner = current_user AS own, start_lsn IS NOT NULL AS has_lsn,
       abs(extract(epoch FROM now() - start_time)) < 60 AS recent,
       expires_at, stop_lsn, stop_time, from_standby, token IS NOT NULL AS has_token
  FROM shared_backups WHERE label LIKE 'regress%';

SELECT start_lsn, start_time, token FROM shared_backups WHERE label = 'regress_one' \gset
SELECT lsn > :'start_lsn' AS later, spcmapfile IS NULL OR spcmapfile = '' AS no_map, controlfile,
       stop_time >= :'start_time' AS ended, repeated
  FROM shared_backup_stop('regress_one', wait_for_archive => false);
SELECT state, stop_lsn > start_lsn AS later, stop_time >= start_time AS ended, token = :'token' AS same_token
  FROM shared_backups WHERE label = 'regress_one';

-- Again: the same row, with a notice of when that was.
SET client_min_messages = warning;
SELECT s.lsn = v.stop_lsn AS same_lsn, s.stop_time = v.stop_time AS same_time, repeated
  FROM shared_backups v, shared_backup_stop('regress_one', false) s WHERE v.label = 'regress_one';
SELECT (SELECT s FROM shared_backup_stop('regress_one', false) s)::text
     = (SELECT s FROM shared_backup_stop('regress_one', false) s)::text AS same_row;

-- The label file, as pg_backup_stop() writes it.
SELECT regexp_replace(regexp_replace(labelfile, '[0-9A-F]+/[0-9A-F]+', 'LSN', 'g'),
                      '(file|TIME:) [^\n)]+', '\1 ...', 'g') AS labelfile
  FROM shared_backup_stop('regress_one', false);
SELECT (regexp_match(labelfile, 'START WAL LOCATION: (\S+)'))[1]::pg_lsn = :'start_lsn'::pg_lsn AS location,
       (regexp_match(labelfile, 'file (\w+)'))[1] = pg_walfile_name(:'start_lsn') AS file,
       (regexp_match(labelfile, 'CHECKPOINT LOCATION: (\S+)'))[1]::pg_lsn >= :'start_lsn'::pg_lsn AS checkpoint,
       (regexp_match(labelfile, 'START TIMELINE: (\d+)'))[1]::int
           = (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline
  FROM shared_backup_stop('regress_one', false);
RESET client_min_messages;

-- A finished backup gives way to a new one.
SELECT token <> :'token' AS new_token, start_lsn > :'start_lsn' AS later
  FROM shared_backup_start('regress_one', true);
SELECT state, stop_lsn, stop_time FROM shared_backups WHERE label = 'regress_one';
-- A live one does not.
SELECT shared_backup_start('regress_one', true);

-- Several at once.
SELECT start_lsn FROM shared_backup_start('regress_two', true) \gset two_
SELECT start_lsn FROM shared_backup_start('regress_three', true) \gset three_
SELECT label, state FROM shared_backups WHERE label LIKE 'regress%' ORDER BY start_lsn;
SELECT start_lsn = :'two_start_lsn' AS two FROM shared_backups WHERE label = 'regress_two';
SELECT start_lsn = :'three_start_lsn' AS three FROM shared_backups WHERE label = 'regress_three';
SELECT repeated, labelfile LIKE E'%\nLABEL: regress_two\n%' AS own_label,
       (regexp_match(labelfile, 'START WAL LOCATION: (\S+)'))[1]::pg_lsn = :'two_start_lsn'::pg_lsn AS own_start
  FROM shared_backup_stop('regress_two', false);
SELECT label, state FROM shared_backups WHERE label LIKE 'regress%' ORDER BY start_lsn;

-- Abort: nothing is left, and the label is free.
SELECT shared_backup_abort('regress_three');
SELECT shared_backup_abort('regress_one');
SELECT label, state FROM shared_backups WHERE label LIKE 'regress%';
-- (the hint tells since when the server has been up)
\set VERBOSITY terse
SELECT shared_backup_abort('regress_one');
SELECT shared_backup_stop('regress_one');
SELECT shared_backup_renew('regress_one');
\set VERBOSITY default

-- What has been stopped can be neither aborted nor renewed.
SELECT shared_backup_abort('regress_two');
SELECT shared_backup_renew('regress_two');

-- Nothing is transactional.
BEGIN;
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_one', true);
ROLLBACK;
SELECT state FROM shared_backups WHERE label = 'regress_one';
BEGIN;
SELECT repeated FROM shared_backup_stop('regress_one', false);
ROLLBACK;
SELECT state FROM shared_backups WHERE label = 'regress_one';

-- A session ends, the backup goes on.
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_one', true);
\c -
SELECT state FROM shared_backups WHERE label = 'regress_one';

-- The extension is dropped, with a warning.
DROP EXTENSION shared_backup;
CREATE EXTENSION shared_backup;
SELECT repeated FROM shared_backup_stop('regress_one', false);
