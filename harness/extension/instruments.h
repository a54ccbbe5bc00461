/*-------------------------------------------------------------------------
 *
 * instruments.h
 *	  The clock that deadlines are measured by.
 *
 * An ordinary build has one that does not jump, see clock.c.  A build with
 * INSTRUMENTS=1 has one on top of it that tests can stop and move.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INSTRUMENTS_H
#define INSTRUMENTS_H

#include "clock.h"

#ifdef SHARED_BACKUP_INSTRUMENTS

extern void RegisterRecoveryHold(void);
extern Size TestClockShmemSize(void);
extern void TestClockShmemInit(void);
extern TimestampTz ClockNow(void);

#else

static inline TimestampTz
ClockNow(void)
{
	return ClockReal();
}

#endif							/* SHARED_BACKUP_INSTRUMENTS */

#endif							/* INSTRUMENTS_H */
