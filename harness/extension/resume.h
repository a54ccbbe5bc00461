/*-------------------------------------------------------------------------
 *
 * resume.h
 *	  Carrying backups over a restart of the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RESUME_H
#define RESUME_H

#include "registry.h"

extern void ResumeRegister(void);
extern void ResumeBackups(void);
extern void ResumeEndCarried(BackupRecord *record, BackupFiles *files);

extern PGDLLEXPORT void SharedBackupMarkMain(Datum main_arg);
extern PGDLLEXPORT void SharedBackupHolderMain(Datum main_arg);

#endif							/* RESUME_H */
