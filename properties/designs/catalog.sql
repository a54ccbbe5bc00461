-- The state of backups in a table: question Q3 of the thread, as far as that goes with core's own functions.
--
-- A row is what a session knows of its backup; core knows nothing of the row. What comes of that is in test_catalog.py.

CREATE TABLE catalog_backups (
    label text PRIMARY KEY,
    state text NOT NULL DEFAULT 'active',
    owner name NOT NULL DEFAULT current_user,
    start_lsn pg_lsn,
    start_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    stop_lsn pg_lsn,
    stop_time timestamptz,
    labelfile text,
    spcmapfile text
);

CREATE FUNCTION catalog_backup_start(backup text, fast boolean DEFAULT false) RETURNS pg_lsn
LANGUAGE plpgsql AS $$
DECLARE
    point pg_lsn;
BEGIN
    DELETE FROM catalog_backups WHERE label = backup AND state = 'stopped';
    INSERT INTO catalog_backups (label) VALUES (backup);
    point := pg_backup_start(backup, fast);
    UPDATE catalog_backups SET start_lsn = point WHERE label = backup;
    RETURN point;
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'backup "%" already exists', backup
        USING ERRCODE = 'duplicate_object', HINT = 'Stop it first, or use another label.';
END $$;

CREATE FUNCTION catalog_backup_stop(backup text, wait_for_archive boolean DEFAULT true,
                                    OUT lsn pg_lsn, OUT labelfile text, OUT spcmapfile text)
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM catalog_backups WHERE label = backup) THEN
        RAISE EXCEPTION 'backup "%" does not exist', backup USING ERRCODE = 'undefined_object';
    END IF;
    IF (SELECT state FROM catalog_backups WHERE label = backup) = 'active' THEN
        UPDATE catalog_backups
        SET state = 'stopped', stop_time = clock_timestamp(),
            (stop_lsn, labelfile, spcmapfile) = (SELECT * FROM pg_backup_stop(wait_for_archive))
        WHERE label = backup;
    END IF;
    SELECT stop_lsn, c.labelfile, c.spcmapfile INTO lsn, labelfile, spcmapfile
    FROM catalog_backups c WHERE label = backup;
END $$;
