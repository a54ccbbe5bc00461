/*-------------------------------------------------------------------------
 *
 * results.h
 *	  Limits to what is remembered of backups that have ended.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RESULTS_H
#define RESULTS_H

#include "registry.h"

extern void ResultsTrim(void);
extern const char *ResultLimitName(ResultLimit limit);

#endif							/* RESULTS_H */
