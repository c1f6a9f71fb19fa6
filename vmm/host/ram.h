/*
 * Guest RAM in this process: one mapping per span of the plan.
 *
 * Host side: makes system calls, knows nothing of KVM. RAM is reserved lazily (a 1.1 TiB guest
 * starts on a small host) unless it is backed by huge pages of hugetlbfs, which are reserved at
 * once, so that a shortage is an error at the start and not a SIGBUS later.
 *
 * Every mapping is congruent with its guest address modulo 1 GiB, so that nested page tables can
 * use pages as large as the backing has.
 */
#ifndef HOST_RAM_H
#define HOST_RAM_H

#include "vmm/base/err.h"
#include "vmm/base/guest_memory.h"

#include <stdbool.h>
#include <stddef.h>

/* RAM that comes from one node of the host. */
struct ram_bound {
	struct span gpa;
	unsigned node;
};

struct ram {
	struct ram_block *blocks; /* sorted by address */
	size_t nr_blocks;
	struct ram_bound *bound; /* sorted by address */
	size_t nr_bound;
	int memfd;	    /* the file behind it; -1: anonymous memory */
	bool fresh;	    /* only zeroes, but for bytes written since ram_create or ram_clear */
	uint64_t fold;	    /* bytes that all of RAM repeats; 0: it repeats none */
	uint64_t page_size; /* bytes: of the pages that go back to the host */
};

#define RAM_EMPTY           \
	{                   \
		.memfd = -1 \
	}

struct ram_backing {
	/* 4 KiB (anonymous memory, transparent huge pages), 2 MiB or 1 GiB (hugetlbfs). */
	uint64_t page_size;
	/*
	 * For tests of maps larger than the host: all RAM is one file of `fold` bytes (a multiple
	 * of page_size that divides 1 GiB), repeated. A write shows `fold` bytes further on, too.
	 * 0: off.
	 */
	uint64_t fold;
	bool shared; /* a file even of 4 KiB pages, for other processes that serve devices */
	/* Pages stay in memory from their first touch on, and must not be given back. */
	bool locked;
};

int ram_create(struct ram *ram, const struct span *spans, size_t n,
	       const struct ram_backing *backing, struct err *err);
/*
 * Has the pages of these spans, sorted, each in one block, come from one node of the host each and
 * never from another. Called before anything touches them; not for RAM that repeats. Returns 0 or
 * -errno and a sentence.
 */
int ram_bind(struct ram *ram, const struct ram_bound *bound, size_t n, struct err *err);
/* The node of the host that RAM at a guest address is bound to, or -1. */
int ram_node(const struct ram *ram, uint64_t gpa);
/*
 * Gives all pages but huge ones back to the host, so that the guest finds zeroes there again; huge
 * pages keep their contents. Not for RAM that is mapped for devices, which would go on using the
 * old pages.
 */
void ram_clear(struct ram *ram);
/*
 * Gives the whole pages within `len` bytes from `at` on back to the host, unless they are huge. The
 * range must lie in one block.
 */
void ram_discard(const struct ram *ram, uint8_t *at, uint64_t len);
void ram_destroy(struct ram *ram);

/*
 * Reserves address space for `gpa`, congruent with it modulo 1 GiB. The caller maps over it and
 * unmaps it. NULL and errno if there is none.
 */
uint8_t *ram_reserve(struct span gpa);
/* The list of all blocks, borrowed from `ram`. */
static inline struct guest_ram ram_all(const struct ram *ram)
{
	return (struct guest_ram){ ram->blocks, ram->nr_blocks };
}
/* The host address of `len` bytes at `gpa`, or NULL if they do not lie in one block. */
void *ram_at(const struct ram *ram, uint64_t gpa, uint64_t len);

#endif
