/*
 * The overlay of a private disk (private=on): a temporary file that takes what the guest writes, so
 * that the image below is only read and many guests can share it.
 *
 * The file is sparse and has each byte at the image's own offset, so there is no table of
 * allocations: a bit for each cluster says which of the two has it. A write of whole clusters goes
 * to the file and then sets their bits; a write of a part of a cluster that is still the image's
 * copies the rest of it first. Until such a write has ended, its clusters are claimed by it, and
 * another write that would set the same bits waits; else the copy could undo a write that ended
 * meanwhile. Reads, and writes to clusters that are in the file already, claim nothing.
 *
 * A cluster has 4 KiB, the block of most guests' file systems and a page of the page cache, because
 * then hardly any write has to copy. The map of 16 TiB has 512 MiB of addresses, of which one page
 * is allocated for each 128 MiB of the disk that the guest writes to. With clusters of 64 KiB it
 * would have 32 MiB, and most first writes would read and write 60 KiB more.
 */
#ifndef BACKENDS_DISK_OVERLAY_H
#define BACKENDS_DISK_OVERLAY_H

#include "vmm/base/err.h"
#include "vmm/base/ports/block.h"

#include <pthread.h>

#define DISK_CLUSTER 4096u /* bytes */

struct disk_overlay {
	int fd;		     /* the temporary file; -1: the disk has no overlay */
	char in_folder[256]; /* " in FOLDER" for sentences; empty without an overlay */
	uint64_t size;	     /* bytes of the disk */
	size_t map_size;     /* bytes of both maps */
	uint64_t *written;   /* a bit for each cluster: the file has it. Never cleared; atomic */
	pthread_mutex_t lock;
	uint64_t *claimed;	       /* the same for clusters that a request claims */
	struct block_request *waiting; /* requests that wait for the claims of others */
};

/* Makes the file and the maps of a disk of `size` bytes. */
int disk_overlay_open(struct disk_overlay *o, const char *path, uint64_t size, struct err *err);
void disk_overlay_close(struct disk_overlay *o);

/*
 * Plans the next step of a request that is no flush: r->step. False: the request waits until
 * another one has ended its step, and disk_overlay_end() of that one returns it.
 */
bool disk_overlay_plan(struct disk_overlay *o, struct block_request *r);
/*
 * Carries out a BLOCK_STEP_COPY. `image` is a descriptor of the image. Returns the bytes of the
 * request that are done, or a negative errno.
 */
int disk_overlay_copy(const struct disk_overlay *o, int image, const struct block_request *r);
/*
 * Ends the present step, of which `result` is the return value, or a negative errno. Returns the
 * result for the request, which can be less: only what later reads find. *awake is a list of
 * requests that no longer wait.
 */
int disk_overlay_end(struct disk_overlay *o, struct block_request *r, int result,
		     struct block_request **awake);

#endif
