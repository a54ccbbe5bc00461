/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  A clock that does not jump while the server runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLOCK_H
#define CLOCK_H

#include "utils/timestamp.h"

extern Size ClockShmemSize(void);
extern void ClockShmemInit(void);
extern TimestampTz ClockReal(void);

#endif							/* CLOCK_H */
