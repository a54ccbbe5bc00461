-- What may be a label.
CREATE FUNCTION try_label(label text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    content text;
BEGIN
    PERFORM shared_backup_start(label, fast => true);
    IF NOT EXISTS (SELECT FROM shared_backups v WHERE v.label = try_label.label AND state = 'active') THEN
        RETURN 'not in the view';
    END IF;
    SELECT labelfile INTO content FROM shared_backup_stop(label, wait_for_archive => false);
    RETURN CASE WHEN strpos(content, E'\nLABEL: ' || label || E'\n') > 0 THEN 'ok' ELSE content END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END $$;

SELECT i, try_label(label) FROM (VALUES
    (1, 'regress'), (2, 'Regress'), (3, 'regress '), (4, ' '), (5, $$it's "quoted" \ %s {}$$),
    (6, 'x/../y'), (7, U&'r\00E9gress \65E5\672C \+01F600'),
    (8, ''), (9, E'a\nb'), (10, E'a\tb'), (11, E'a\rb'), (12, E'\x01'), (13, E'a\x7f'), (14, U&'\0085'),
    (15, NULL)) v(i, label) ORDER BY i;

-- Lengths are in bytes.
SELECT length, try_label(repeat('x', length)) FROM unnest(ARRAY[1, 63, 64, 255, 1023, 1024, 1025, 100000]) length;
SELECT length, try_label(repeat(U&'\00E9', length)) FROM unnest(ARRAY[512, 513]) length;

-- Labels are compared byte for byte.
\set VERBOSITY terse
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start('regress', true);
SELECT shared_backup_stop('REGRESS ', false);
SELECT shared_backup_stop('regres', false);
SELECT shared_backup_stop('regress2', false);
SELECT shared_backup_abort('regress');

-- A database of another encoding sees the same label.
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start(U&'r\00E9gress', true);
SELECT start_lsn IS NOT NULL AS started FROM shared_backup_start(U&'r\65E5gress', true);
SELECT current_database() AS here \gset
CREATE DATABASE regress_latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
\c regress_latin1
SET client_encoding = 'UTF8';
CREATE EXTENSION shared_backup;
SELECT label, state FROM shared_backups WHERE label LIKE 'r%gress' AND state = 'active' ORDER BY label COLLATE "C";
SELECT repeated FROM shared_backup_stop(U&'r\00E9gress', false);
\c :here
DROP DATABASE regress_latin1;
SELECT label, state FROM shared_backups WHERE label ~ '^r[^e]gress$' ORDER BY label COLLATE "C";
SELECT shared_backup_abort(U&'r\65E5gress');
DROP FUNCTION try_label(text);
