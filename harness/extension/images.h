/*-------------------------------------------------------------------------
 *
 * images.h
 *	  Does WAL have an image of each page that it changes?
 *
 *-------------------------------------------------------------------------
 */
#ifndef IMAGES_H
#define IMAGES_H

#include "access/xlogreader.h"
#include "utils/hsearch.h"

extern XLogReaderState *ImagesAllocateReader(void);
extern HTAB *ImagesMakeTable(void);
extern bool ImagesOfPages(XLogReaderState *reader, HTAB *pages);
extern bool ImagesShutdownRecord(XLogReaderState *reader);

#endif							/* IMAGES_H */
