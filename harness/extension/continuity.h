/*-------------------------------------------------------------------------
 *
 * continuity.h
 *	  Have all pages been protected while nobody held core to it?
 *
 *-------------------------------------------------------------------------
 */
#ifndef CONTINUITY_H
#define CONTINUITY_H

#include "access/xlogdefs.h"

/* Why a backup cannot be vouched for after a restart.  In state files. */
typedef enum LostReason
{
	LOST_NOT,
	LOST_FULL_PAGE_WRITES,
	LOST_WAL_LEVEL,
	LOST_WAL_UNREADABLE,
	LOST_WAL_RESET,
	LOST_RECORD_UNREADABLE,
	LOST_ABSENCE,
	LOST_CHECKSUMS,
	LOST_SINGLE_USER,
	LOST_RECOVERY,
	LOST_TIMELINE,
	LOST_COPY,
	LOST_NO_IMAGES,
	LOST_UNSEEN,
	LOST_UPGRADE,
} LostReason;

extern Size ContinuityShmemSize(void);
extern void ContinuityShmemInit(void);
extern void ContinuityLeaveMark(void);
extern void ContinuityRenewMark(void);
extern LostReason ContinuityReason(void);
extern LostReason ContinuityStandbyReason(void);
extern bool ContinuityUnarchived(void);
extern bool ContinuityNoteHeld(XLogRecPtr startpoint);
extern XLogRecPtr ContinuityHeldSince(void);
extern void ContinuityFindGap(void);
extern LostReason ContinuityVerify(void);
extern uint64 ContinuityFirstFile(uint64 last_file);
extern uint64 *ContinuityFiles(int *nfiles);
extern bool ContinuityKnows(uint64 file, const uint64 *files, int nfiles);
extern void ContinuityDone(uint64 *files, int nfiles);
extern const char *LostReasonDetail(LostReason reason);

#endif							/* CONTINUITY_H */
