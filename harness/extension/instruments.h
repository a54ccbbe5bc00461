/*-------------------------------------------------------------------------
 *
 * instruments.h
 *	  What builds with INSTRUMENTS=1 have for tests; see instruments.c.
 *
 * There, ClockNow() is a clock that tests can stop and move; in an ordinary
 * build it is the one of clock.c.
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
