/*-------------------------------------------------------------------------
 *
 * statefile.h
 *	  Small files that are written durably.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STATEFILE_H
#define STATEFILE_H

#include "shared_backup.h"

/* where the files are, within the data directory */
#define STATE_FILE_DIR			"pg_shared_backup"
#define MAX_STATE_FILE_NAME		64

/* A piece of the contents of a file. */
typedef struct StateFilePart
{
	const void *data;
	Size		len;
} StateFilePart;

extern bool StateFileMakeDir(int elevel);
extern bool StateFileWrite(const char *name, const StateFilePart *parts,
						   int nparts, const BackupLabel *label, int elevel);
extern char *StateFileRead(const char *name, Size *len, int elevel);
extern bool StateFileRemove(const char *name, const BackupLabel *label,
							int elevel);
extern void StateFileSetAside(const char *name, const char *reason,
							  int elevel);

#endif							/* STATEFILE_H */
