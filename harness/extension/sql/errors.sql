-- What is refused, and with which SQLSTATE.
SELECT shared_backup_start(NULL);
SELECT shared_backup_start('regress_e', NULL);
SELECT shared_backup_start('regress_e', true, '0');
SELECT shared_backup_start('regress_e', true, '-1 second');
SELECT shared_backup_start('regress_e', true, '292500 years');
SELECT shared_backup_stop(NULL);
SELECT shared_backup_stop('regress_e', NULL);
SELECT shared_backup_abort(NULL);
SELECT shared_backup_renew(NULL);
SELECT shared_backup_renew('regress_e', '0');
SELECT shared_backup_stop('');
SELECT shared_backup_abort('');
SELECT shared_backup_renew('');
SELECT count(*) FROM shared_backups WHERE label = 'regress_e';

\set VERBOSITY sqlstate
SELECT shared_backup_start(NULL);
SELECT shared_backup_start('');
SELECT shared_backup_start(repeat('x', 1025));
SELECT shared_backup_start('regress_e', true, '0');
SELECT shared_backup_start('regress_e', true, '292500 years');
SELECT shared_backup_stop('regress_e');
SELECT shared_backup_abort('regress_e');
SELECT shared_backup_renew('regress_e');
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_e', true);
SELECT shared_backup_start('regress_e', true);
SELECT shared_backup_renew('regress_e', '-1 day');
SELECT shared_backup_renew('regress_e', '292500 years');
SELECT shared_backup_stop('regress_e', false, '00000000-0000-0000-0000-000000000000');

-- A session with a backup of its own.
SELECT pg_backup_start('regress own', true) IS NOT NULL AS own;
SELECT shared_backup_stop('regress_e', false);
SELECT shared_backup_abort('regress_e');
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_e2', true);
SELECT shared_backup_renew('regress_e', '1 hour') > now() AS renewed;
\set VERBOSITY default
SELECT shared_backup_stop('regress_e', false);
SELECT lsn IS NOT NULL AS own FROM pg_backup_stop(false);
SELECT label, state FROM shared_backups WHERE label LIKE 'regress_e%' ORDER BY label;
SELECT repeated FROM shared_backup_stop('regress_e', false);
SELECT shared_backup_abort('regress_e2');

\set VERBOSITY sqlstate
SELECT shared_backup_abort('regress_e');
SELECT shared_backup_renew('regress_e');
\set VERBOSITY default
