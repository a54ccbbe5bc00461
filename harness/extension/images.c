/*-------------------------------------------------------------------------
 *
 * images.c
 *	  Does WAL have an image of each page that it changes?
 *
 * That is what a copy needs that was taken while the server wrote: replay begins
 * with the image, in whatever state the copy has the page.  Where full_page_writes
 * is known to be on it goes without saying; where it is not, the WAL is read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/hash_xlog.h"
#include "access/heapam_xlog.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogutils.h"
#include "catalog/pg_control.h"
#include "images.h"
#if PG_VERSION_NUM >= 160000
#include "storage/relfilelocator.h"
#else
#include "storage/relfilenode.h"
#define RelFileLocator RelFileNode
#endif

/* A page that WAL has an image of. */
typedef struct ImagePage
{
	RelFileLocator relation;
	ForkNumber	fork;
	BlockNumber block;
} ImagePage;

/*
 * Does a record of changes to a heap do no more to this page than to set the hint
 * that all of it is visible?
 */
static bool
SetsVisibleHint(XLogReaderState *reader, int block_id)
{
	uint8		operation = XLogRecGetInfo(reader) & XLOG_HEAP_OPMASK;

#if PG_VERSION_NUM >= 190000
	xl_heap_prune prune;

	/* what else such a record may do */
	const int	changes = XLHP_HAS_FREEZE_PLANS | XLHP_HAS_REDIRECTIONS |
		XLHP_HAS_DEAD_ITEMS | XLHP_HAS_NOW_UNUSED_ITEMS;

	if (block_id != 0 || (operation != XLOG_HEAP2_PRUNE_ON_ACCESS &&
						  operation != XLOG_HEAP2_PRUNE_VACUUM_SCAN &&
						  operation != XLOG_HEAP2_PRUNE_VACUUM_CLEANUP))
		return false;
	memcpy(&prune, XLogRecGetData(reader), SizeOfHeapPrune);
	return (prune.flags & XLHP_VM_ALL_VISIBLE) != 0 &&
		(prune.flags & changes) == 0;
#else
	return block_id == 1 && operation == XLOG_HEAP2_VISIBLE;
#endif
}

/*
 * Some records have no image of a page that they name, whatever the settings:
 * because they do not change it, but need its lock, or because they only set
 * the hint that all of it is visible.  That hint matters if there are checksums,
 * and then there is an image.
 */
static bool
NeedsNoImage(XLogReaderState *reader, int block_id)
{
	uint8		info = XLogRecGetInfo(reader) & ~XLR_INFO_MASK;

	switch (XLogRecGetRmid(reader))
	{
		case RM_HEAP2_ID:
			return SetsVisibleHint(reader, block_id) &&
				!DataChecksumsEnabled();
		case RM_HASH_ID:
			return (info == XLOG_HASH_MOVE_PAGE_CONTENTS ||
					info == XLOG_HASH_SQUEEZE_PAGE ||
					info == XLOG_HASH_DELETE) && block_id == 0;
	}
	return false;
}

/*
 * Does WAL have an image of each page that a record changes?  "pages" are those
 * that it has one of so far.
 */
bool
ImagesOfPages(XLogReaderState *reader, HTAB *pages)
{
	for (int id = 0; id <= XLogRecMaxBlockId(reader); id++)
	{
		ImagePage	page;
		bool		found;

		memset(&page, 0, sizeof(page));
		if (!XLogRecGetBlockTagExtended(reader, id, &page.relation, &page.fork,
										&page.block, NULL))
			continue;

		if ((XLogRecHasBlockImage(reader, id) &&
			 XLogRecBlockImageApply(reader, id)) ||
			(XLogRecGetBlock(reader, id)->flags & BKPBLOCK_WILL_INIT) != 0)
			(void) hash_search(pages, &page, HASH_ENTER, NULL);
		else if (!NeedsNoImage(reader, id))
		{
			(void) hash_search(pages, &page, HASH_FIND, &found);
			if (!found)
				return false;
		}
	}
	return true;
}

/*
 * Is this the checkpoint of a shutdown, or of the end of a recovery?  Only when it
 * is written, no pages are changed.
 */
bool
ImagesShutdownRecord(XLogReaderState *reader)
{
	return XLogRecGetRmid(reader) == RM_XLOG_ID &&
		(XLogRecGetInfo(reader) & ~XLR_INFO_MASK) == XLOG_CHECKPOINT_SHUTDOWN;
}

/*
 * A reader of the WAL that this server has flushed, or replayed in recovery.
 */
XLogReaderState *
ImagesAllocateReader(void)
{
	XLogReaderState *reader;

	reader = XLogReaderAllocate(wal_segment_size, NULL,
								XL_ROUTINE(.page_read = &read_local_xlog_page_no_wait,
										   .segment_open = &wal_segment_open,
										   .segment_close = &wal_segment_close),
								palloc0(sizeof(ReadLocalXLogPageNoWaitPrivate)));
	if (!reader)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Failed while allocating a WAL reading processor.")));
	return reader;
}

HTAB *
ImagesMakeTable(void)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(ImagePage);
	control.entrysize = sizeof(ImagePage);
	control.hcxt = CurrentMemoryContext;
	return hash_create("shared_backup pages", 1024, &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}
