/*-------------------------------------------------------------------------
 *
 * statefile.c
 *	  Small files that are written durably.
 *
 * As with the state files of replication slots, a file is written under a
 * temporary name, flushed, and renamed, and then the directory is flushed: so
 * a crash leaves either the old contents or the new ones.  Each file has a
 * magic number, a version, its length and a checksum.  A file that does not
 * fit them is never believed; it is renamed, for somebody to look at, and does
 * not keep the server from starting.
 *
 * If a flush after the renaming fails, nobody knows which contents a crash
 * would leave, so that is a PANIC, as it is with replication slots.  Whatever
 * fails before that leaves the old contents.
 *
 * The caller sees to it that no two processes write the same file at the same
 * time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "miscadmin.h"
#include "injection_points.h"
#include "port/pg_crc32c.h"
#include "statefile.h"
#include "storage/fd.h"

#define STATE_FILE_MAGIC		0x5342434B
#define STATE_FILE_VERSION		2

typedef struct StateFileHeader
{
	uint32		magic;
	uint32		version;
	uint64		len;			/* of what follows */
	pg_crc32c	checksum;		/* of len, and of what follows */
} StateFileHeader;

static void
GetPath(char *path, const char *name, const char *suffix)
{
	snprintf(path, MAXPGPATH, "%s/%s%s", STATE_FILE_DIR, name, suffix);
}

/*
 * Make the directory if it does not exist, durably.
 *
 * If it does, whoever made it may have ended before it was flushed.
 */
bool
StateFileMakeDir(int elevel)
{
	struct stat st;

	if (!(stat(STATE_FILE_DIR, &st) == 0 && S_ISDIR(st.st_mode)) &&
		MakePGDirectory(STATE_FILE_DIR) < 0)
	{
		ereport(elevel,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m",
						STATE_FILE_DIR)));
		return false;
	}
	fsync_fname(".", true);
	return true;
}

static pg_crc32c
Checksum(uint64 len, const StateFilePart *parts, int nparts)
{
	pg_crc32c	checksum;

	INIT_CRC32C(checksum);
	COMP_CRC32C(checksum, &len, sizeof(len));
	for (int i = 0; i < nparts; i++)
		COMP_CRC32C(checksum, parts[i].data, parts[i].len);
	FIN_CRC32C(checksum);
	return checksum;
}

static bool
WritePart(int fd, const void *data, Size len)
{
	errno = 0;
	if (write(fd, data, len) == (ssize_t) len)
		return true;

	/* if write didn't set errno, assume problem is no disk space */
	if (errno == 0)
		errno = ENOSPC;
	return false;
}

static bool
WriteContents(int fd, const StateFilePart *parts, int nparts)
{
	StateFileHeader header = {0};

	header.magic = STATE_FILE_MAGIC;
	header.version = STATE_FILE_VERSION;
	for (int i = 0; i < nparts; i++)
		header.len += parts[i].len;
	header.checksum = Checksum(header.len, parts, nparts);

	if (!WritePart(fd, &header, sizeof(header)))
		return false;
	for (int i = 0; i < nparts; i++)
	{
		if (!WritePart(fd, parts[i].data, parts[i].len))
			return false;
	}
	return true;
}

/*
 * Write the temporary file, and flush it.
 */
static bool
WriteTemporary(const char *tmppath, const StateFilePart *parts, int nparts,
			   const BackupLabel *label, int elevel)
{
	int			fd;
	int			save_errno;

	fd = OpenTransientFile(tmppath, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);
	if (fd < 0)
	{
		ereport(elevel,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", tmppath)));
		return false;
	}

	if (!WriteContents(fd, parts, nparts))
	{
		save_errno = errno;
		CloseTransientFile(fd);
		unlink(tmppath);
		errno = save_errno;
		ereport(elevel,
				(errcode_for_file_access(),
				 errmsg("could not write to file \"%s\": %m", tmppath)));
		return false;
	}
	SHARED_BACKUP_POINT("file-written", label);

	if (pg_fsync(fd) != 0)
	{
		save_errno = errno;
		CloseTransientFile(fd);
		unlink(tmppath);
		errno = save_errno;
		ereport(elevel,
				(errcode_for_file_access(),
				 errmsg("could not fsync file \"%s\": %m", tmppath)));
		return false;
	}

	if (CloseTransientFile(fd) != 0)
	{
		save_errno = errno;
		unlink(tmppath);
		errno = save_errno;
		ereport(elevel,
				(errcode_for_file_access(),
				 errmsg("could not close file \"%s\": %m", tmppath)));
		return false;
	}
	SHARED_BACKUP_POINT("file-flushed", label);
	return true;
}

/*
 * Give a file new contents, durably.
 *
 * Returns whether that was done; if not, the file is as it was.  The label is
 * only for the points where a test can hold this process.
 */
bool
StateFileWrite(const char *name, const StateFilePart *parts, int nparts,
			   const BackupLabel *label, int elevel)
{
	char		tmppath[MAXPGPATH];
	char		path[MAXPGPATH];

	GetPath(path, name, "");
	GetPath(tmppath, name, ".tmp");
	if (!WriteTemporary(tmppath, parts, nparts, label, elevel))
		return false;

	if (rename(tmppath, path) != 0)
	{
		int			save_errno = errno;

		unlink(tmppath);
		errno = save_errno;
		ereport(elevel,
				(errcode_for_file_access(),
				 errmsg("could not rename file \"%s\" to \"%s\": %m",
						tmppath, path)));
		return false;
	}

	SHARED_BACKUP_POINT("file-renamed", label);
	START_CRIT_SECTION();
	fsync_fname(path, false);
	fsync_fname(STATE_FILE_DIR, true);
	END_CRIT_SECTION();
	return true;
}

/*
 * Remove a file, durably; it need not exist.
 */
bool
StateFileRemove(const char *name, const BackupLabel *label, int elevel)
{
	char		path[MAXPGPATH];

	GetPath(path, name, "");
	if (unlink(path) != 0 && errno != ENOENT)
	{
		ereport(elevel,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
		return false;
	}

	SHARED_BACKUP_POINT("file-removed", label);
	START_CRIT_SECTION();
	fsync_fname(STATE_FILE_DIR, true);
	END_CRIT_SECTION();
	return true;
}

/*
 * Rename a file that cannot be believed, so that nobody reads it again: what
 * cannot be read at this start of the server may well be at the next one, when
 * it is out of date.  "elevel" is for when that cannot be done.
 */
void
StateFileSetAside(const char *name, const char *reason, int elevel)
{
	char		path[MAXPGPATH];
	char		aside[MAXPGPATH];

	GetPath(path, name, "");
	GetPath(aside, name, ".bad");
	if (rename(path, aside) != 0)
		ereport(elevel,
				(errcode_for_file_access(),
				 errmsg("could not rename file \"%s\" to \"%s\": %m",
						path, aside),
				 errdetail_internal("%s", reason)));
	else
		ereport(WARNING,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("ignoring file \"%s\", which has been renamed to \"%s\"",
						path, aside),
				 errdetail_internal("%s", reason),
				 errhint("What was recorded there about a shared backup is lost.")));
}

/*
 * Read what is in an open file.  Returns NULL, and why, if it is not what was
 * written there.
 */
static char *
ReadContents(int fd, Size *len, const char **reason)
{
	StateFileHeader header;
	StateFilePart part;
	struct stat st;
	char	   *contents;

	*reason = "It is shorter than its header.";
	if (read(fd, &header, sizeof(header)) != sizeof(header))
		return NULL;
	*reason = "It has a wrong magic number.";
	if (header.magic != STATE_FILE_MAGIC)
		return NULL;
	*reason = "It was written by another version.";
	if (header.version != STATE_FILE_VERSION)
		return NULL;
	*reason = "It does not have the length that it should have.";
	if (fstat(fd, &st) != 0 ||
		(uint64) st.st_size != header.len + sizeof(header))
		return NULL;

	*len = (Size) header.len;
	*reason = "It is too large.";
	contents = palloc_extended(*len + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (!contents)
		return NULL;
	contents[*len] = '\0';

	*reason = "It could not be read.";
	part.data = contents;
	part.len = *len;
	if (read(fd, contents, *len) == (ssize_t) *len)
	{
		*reason = "It has a wrong checksum.";
		if (EQ_CRC32C(header.checksum, Checksum(header.len, &part, 1)))
			return contents;
	}
	pfree(contents);
	return NULL;
}

/*
 * Get what was written into a file, in memory of the current context and with
 * a NUL behind it.  Returns NULL, having set the file aside, if it cannot be
 * believed or read; also if there is none.  "elevel" is for when it cannot be
 * set aside.
 *
 * The file is flushed, because whoever wrote it may have ended before it was,
 * and we are going to act on it.
 */
char *
StateFileRead(const char *name, Size *len, int elevel)
{
	char		path[MAXPGPATH];
	const char *reason;
	char	   *contents = NULL;
	struct stat st;
	int			fd;

	GetPath(path, name, "");
	if (lstat(path, &st) != 0 && errno == ENOENT)
		return NULL;

	fd = OpenTransientFile(path, O_RDWR | PG_BINARY);
	if (fd < 0)
		reason = psprintf("It could not be opened: %m.");
	else
	{
		if (pg_fsync(fd) != 0)
			reason = "It could not be flushed.";
		else
			contents = ReadContents(fd, len, &reason);
		CloseTransientFile(fd);
	}

	if (!contents)
		StateFileSetAside(name, reason, elevel);
	return contents;
}
