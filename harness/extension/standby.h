/*-------------------------------------------------------------------------
 *
 * standby.h
 *	  Has the WAL that a standby replays an image of each page?
 *
 *-------------------------------------------------------------------------
 */
#ifndef STANDBY_H
#define STANDBY_H

#include "continuity.h"
#include "core.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

extern Size StandbyShmemSize(void);
extern void StandbyShmemInit(void);
extern void StandbyLoad(void);
extern void StandbyResume(List *backups);
extern void StandbyFindPromotion(void);
extern void StandbyLook(void);
extern TimestampTz StandbyNextLook(void);
extern LostReason StandbyReason(const CoreBackup *backup);
extern void StandbyGiveUp(void);
extern void StandbyForgetSlot(void);

#endif							/* STANDBY_H */
