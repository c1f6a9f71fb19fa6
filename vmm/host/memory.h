/*
 * The memory that is free on this host, from procfs and sysfs: for `check`, and before RAM is
 * pinned.
 */
#ifndef HOST_MEMORY_H
#define HOST_MEMORY_H

#include "vmm/base/limits.h"
#include "vmm/base/span.h"

#include <stdbool.h>
#include <stddef.h>

enum { HOST_PAGES_2M, HOST_PAGES_1G, HOST_PAGES }; /* sizes of huge pages */

struct host_memory {
	uint64_t available; /* bytes that programs could still have: MemAvailable */
	uint64_t swap;	    /* bytes of other programs' pages that could be swapped out: SwapFree */
	/* Huge pages that are free and not reserved; by size. */
	uint64_t huge[HOST_PAGES];
	bool knows_huge;		 /* the kernel says which sizes it has */
	bool has_huge[HOST_PAGES];	 /* it has pages of this size */
	uint64_t pool[HOST_PAGES];	 /* nr_hugepages: all there are, in use or not */
	uint64_t could_make[HOST_PAGES]; /* that it would make if asked (nr_overcommit_hugepages) */
	/*
	 * The memory of each NUMA node, sorted by its number: free huge pages, reserved or not, and
	 * bytes that programs could have.
	 */
	struct host_memory_node {
		unsigned number;
		bool allowed; /* this process may use it (cpuset) */
		uint64_t huge[HOST_PAGES];
		uint64_t available;
		uint64_t total; /* bytes of memory that it has */
	} nodes[NODES_MAX];
	unsigned nr_nodes; /* 0: the kernel does not say */
};

/* A number that cannot be read is 0. */
void host_memory_probe(const char *root, struct host_memory *m);
/* The index of a size in bytes, or -1 for 4 KiB. */
int host_pages(uint64_t page_size);

#endif
