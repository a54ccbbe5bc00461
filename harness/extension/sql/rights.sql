-- Who may do what.
CREATE ROLE regress_sb_nobody;
CREATE ROLE regress_sb_maker;
CREATE ROLE regress_sb_other;
CREATE ROLE regress_sb_member IN ROLE regress_sb_maker;
CREATE ROLE regress_sb_monitor IN ROLE pg_monitor;
GRANT EXECUTE ON FUNCTION shared_backup_start, shared_backup_stop, shared_backup_abort, shared_backup_renew
    TO regress_sb_maker, regress_sb_other;

-- Nobody has anything by default.
SET ROLE regress_sb_nobody;
SELECT shared_backup_start('regress_r', true);
SELECT shared_backup_stop('regress_r');
SELECT shared_backup_abort('regress_r');
SELECT shared_backup_renew('regress_r');
SELECT * FROM shared_backups;
SELECT * FROM shared_backup_list();
SELECT * FROM shared_backup_starters;
SELECT * FROM shared_backup_starter_list();
SELECT * FROM shared_backup_stats;
SELECT * FROM shared_backup_stats_list();

-- Members of pg_monitor see, and do nothing.
SET ROLE regress_sb_monitor;
SELECT count(*) FROM shared_backups WHERE label = 'regress_r';
SELECT count(*) >= 0 AS seen FROM shared_backup_starters;
SELECT count(*) AS seen FROM shared_backup_stats;
SELECT shared_backup_start('regress_r', true);
SELECT shared_backup_stop('regress_r');

-- Policy any: EXECUTE is enough.
SHOW shared_backup.stop_policy;
SET ROLE regress_sb_maker;
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_r', true);
SELECT * FROM shared_backups;
SET ROLE regress_sb_monitor;
SELECT label, state, owner FROM shared_backups WHERE label = 'regress_r';
SET ROLE regress_sb_other;
SELECT shared_backup_renew('regress_r', '1 hour') > now() AS renewed;
SELECT repeated FROM shared_backup_stop('regress_r', false);
SET client_min_messages = warning;
SELECT repeated FROM shared_backup_stop('regress_r', false);
SET client_min_messages = notice;
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_r', true);
SET ROLE regress_sb_maker;
SELECT shared_backup_abort('regress_r');
RESET ROLE;

-- The setting is not the session's to change.
SET shared_backup.stop_policy = 'owner';
ALTER SYSTEM SET shared_backup.stop_policy = 'nobody';

-- Policy owner.
-- A session sees what has been reloaded in the statement after the one in which it is told.
CREATE PROCEDURE nap_unless(setting text, value text) LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting(setting) <> value THEN PERFORM pg_sleep(0.01); END IF;
END $$;
ALTER SYSTEM SET shared_backup.stop_policy = 'owner';
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.stop_policy', 'owner')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
SHOW shared_backup.stop_policy;

SET ROLE regress_sb_maker;
SELECT token FROM shared_backup_start('regress_r', true) \gset
SET ROLE regress_sb_other;
SELECT shared_backup_stop('regress_r', false);
SELECT shared_backup_stop('regress_r', false, :'token');
SELECT shared_backup_abort('regress_r');
SELECT shared_backup_renew('regress_r', '1 hour');
SELECT shared_backup_start('regress_r', true);
-- a member of the owner
RESET ROLE;
GRANT EXECUTE ON FUNCTION shared_backup_stop, shared_backup_renew TO regress_sb_member;
SET ROLE regress_sb_member;
SELECT shared_backup_renew('regress_r', '1 hour') > now() AS renewed;
-- the owner
SET ROLE regress_sb_maker;
SELECT repeated FROM shared_backup_stop('regress_r', false);
-- the result, and the label, are its, too
SET ROLE regress_sb_other;
SELECT shared_backup_stop('regress_r', false);
SELECT shared_backup_start('regress_r', true);
SET ROLE regress_sb_member;
SET client_min_messages = warning;
SELECT repeated FROM shared_backup_stop('regress_r', false);
-- a superuser, and an absent backup
RESET ROLE;
SELECT repeated FROM shared_backup_stop('regress_r', false);
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_r', true);
SELECT shared_backup_abort('regress_r');
RESET client_min_messages;
SET ROLE regress_sb_other;
\set VERBOSITY terse
SELECT shared_backup_stop('regress_r', false);
RESET ROLE;

-- An owner that is dropped.
\set VERBOSITY default
SET ROLE regress_sb_maker;
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress_r', true);
RESET ROLE;
DROP OWNED BY regress_sb_maker, regress_sb_member, regress_sb_other;
DROP ROLE regress_sb_nobody, regress_sb_maker, regress_sb_other, regress_sb_member, regress_sb_monitor;
SELECT label, state FROM shared_backups WHERE label = 'regress_r';
SELECT repeated FROM shared_backup_stop('regress_r', false);

ALTER SYSTEM RESET shared_backup.stop_policy;
SELECT pg_reload_conf();
\set ECHO none
SELECT $$CALL nap_unless('shared_backup.stop_policy', 'any')$$ FROM generate_series(1, 500) \gexec
\set ECHO all
SHOW shared_backup.stop_policy;
DROP PROCEDURE nap_unless(text, text);
