/*-------------------------------------------------------------------------
 *
 * injection_points.h
 *	  Injection points in the code, where a test can hold a process or make it fail.
 *
 * SHARED_BACKUP_POINT(name, label) stands at each boundary between the phases
 * of an operation.  The label, which may be NULL, is that of the backup that
 * the process is at work on.  An ordinary build has no points; builds with
 * INSTRUMENTS=1 do: see injection_points.c, which has the list of names.
 *
 * A process may wait at a point for as long as a test likes, so there must be
 * none where a lock is held, except for those on state files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POINTS_H
#define POINTS_H

#ifdef SHARED_BACKUP_INSTRUMENTS

#include "shared_backup.h"

#define SHARED_BACKUP_POINT(name, label)	PointReached(name, label)

extern Size PointsShmemSize(void);
extern void PointsShmemInit(void);
extern void PointReached(const char *name, const BackupLabel *label);

#else

#define SHARED_BACKUP_POINT(name, label)	((void) 0)

#endif							/* SHARED_BACKUP_INSTRUMENTS */

#endif							/* POINTS_H */
