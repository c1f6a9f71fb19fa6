/*
 * Guest RAM in this process: one mapping per span of the plan.
 *
 * Host side: makes system calls, knows nothing of KVM. RAM is reserved lazily (a 1.1 TiB guest
 * starts on a small host) unless it is backed by huge pages of hugetlbfs, which are claimed at
 * once, so that a shortage is an error now and not a SIGBUS later.
 *
 * Every mapping is congruent with its guest address modulo 1 GiB, so that nested page tables can
 * use pages as large as the backing has.
 */
#ifndef VMM_RAM_H
#define VMM_RAM_H

#include "vmm/err.h"
#include "vmm/span.h"

#include <stddef.h>

struct ram_block {
	struct span gpa;
	uint8_t *hva; /* of gpa.base */
};

struct ram {
	struct ram_block *blocks; /* sorted by address */
	size_t nr_blocks;
};

#define RAM_EMPTY       \
	{               \
		NULL, 0 \
	}

/* `page_size` is 4 KiB (anonymous memory, transparent huge pages), 2 MiB or 1 GiB (hugetlbfs). */
int ram_create(struct ram *ram, const struct span *spans, size_t n, uint64_t page_size,
	       struct err *err);
void ram_destroy(struct ram *ram);

/* The host address of `len` bytes at `gpa`, or NULL if they do not lie in one block. */
void *ram_at(const struct ram *ram, uint64_t gpa, uint64_t len);

#endif
