/*
 * The memory that is free on this host, from procfs and sysfs: for `check`, and before RAM is
 * pinned.
 */
#ifndef HOST_MEMORY_H
#define HOST_MEMORY_H

#include "vmm/base/limits.h"
#include "vmm/base/span.h"

#include <stddef.h>

enum { HOST_PAGES_2M, HOST_PAGES_1G, HOST_PAGES }; /* sizes of huge pages */

struct host_memory {
	uint64_t available; /* bytes that programs could still have: MemAvailable */
	uint64_t swap;	    /* bytes of other programs' pages that could be swapped out: SwapFree */
	/* Huge pages that are free and not reserved; by size. */
	uint64_t huge[HOST_PAGES];
	/* The free huge pages of each NUMA node, reserved or not; sorted by node number. */
	struct {
		unsigned number;
		uint64_t huge[HOST_PAGES];
	} nodes[NODES_MAX];
	unsigned nr_nodes; /* 0: the kernel does not say */
};

/* A number that cannot be read is 0. */
void host_memory_probe(const char *root, struct host_memory *m);
/* The index of a size in bytes, or -1 for 4 KiB. */
int host_pages(uint64_t page_size);

#endif
