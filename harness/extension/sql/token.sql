-- A token names one start.
SELECT token FROM shared_backup_start('regress_token', true) \gset old_
SELECT shared_backup_abort('regress_token', token => :'old_token');
SELECT token FROM shared_backup_start('regress_token', true) \gset new_
SELECT token = :'new_token' AS in_view FROM shared_backups WHERE label = 'regress_token';

-- (the detail tells when the present one was started)
\set VERBOSITY terse
SELECT shared_backup_stop('regress_token', false, '00000000-0000-0000-0000-000000000000');
\set VERBOSITY sqlstate
SELECT shared_backup_stop('regress_token', false, :'old_token');
SELECT shared_backup_abort('regress_token', :'old_token');
SELECT shared_backup_renew('regress_token', '1 hour', :'old_token');
SELECT state, expires_at FROM shared_backups WHERE label = 'regress_token';

SELECT shared_backup_renew('regress_token', '1 hour', :'new_token') > now() AS renewed;
SELECT repeated FROM shared_backup_stop('regress_token', false, :'new_token');
-- Also when it is stopped already.
SELECT shared_backup_stop('regress_token', false, :'old_token');
SET client_min_messages = warning;
SELECT repeated FROM shared_backup_stop('regress_token', false, :'new_token');
RESET client_min_messages;
\set VERBOSITY default

-- Tokens are UUIDs of version 4, all different.
SELECT count(DISTINCT token) AS tokens, bool_and(token::text ~ '^.{14}4.{4}[89ab]') AS version_4
  FROM generate_series(1, 5) i, shared_backup_start('regress_token_' || i, true);
SELECT count(*) FROM shared_backups v, shared_backup_abort(v.label, v.token)
  WHERE v.label LIKE 'regress_token__';
