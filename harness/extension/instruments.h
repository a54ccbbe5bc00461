/*-------------------------------------------------------------------------
 *
 * instruments.h
 *	  The clock that deadlines are measured by.
 *
 * An ordinary build reads the system's clock.  A build with INSTRUMENTS=1 has
 * one that tests can stop and move.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INSTRUMENTS_H
#define INSTRUMENTS_H

#include "utils/timestamp.h"

#ifdef SHARED_BACKUP_INSTRUMENTS

extern Size ClockShmemSize(void);
extern void ClockShmemInit(void);
extern TimestampTz ClockNow(void);

#else

static inline TimestampTz
ClockNow(void)
{
	return GetCurrentTimestamp();
}

#endif							/* SHARED_BACKUP_INSTRUMENTS */

#endif							/* INSTRUMENTS_H */
