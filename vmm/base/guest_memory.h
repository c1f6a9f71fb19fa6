/*
 * Guest memory as devices see it, RAM and files (--pmem): guest-physical spans and where this
 * process has them. Base: no system calls; vmm/host/ram.c and vmm/backends/pmem.c make what is
 * looked at here.
 */
#ifndef BASE_GUEST_MEMORY_H
#define BASE_GUEST_MEMORY_H

#include "vmm/base/span.h"

#include <stddef.h>

struct ram_block {
	struct span gpa;
	uint8_t *hva;	 /* of gpa.base */
	int fd;		 /* the file that it is, borrowed; -1: none that others may map */
	uint64_t offset; /* where it begins in that */
};

/* Borrowed; the blocks are sorted by address and never overlap. */
struct guest_ram {
	const struct ram_block *blocks;
	size_t n;
};

/*
 * The host address of `gpa`, and in *len how many bytes, of those asked for, follow it there:
 * fewer if the block ends before (the next may begin where it ended). NULL: no RAM.
 */
static inline uint8_t *guest_ram_part(const struct guest_ram *ram, uint64_t gpa, uint64_t *len)
{
	size_t low = 0, high = ram->n;

	/* The first block that ends beyond `gpa` is the only one that can hold it. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ram->blocks[mid].gpa.end > gpa)
			high = mid;
		else
			low = mid + 1;
	}
	if (low == ram->n || gpa < ram->blocks[low].gpa.base)
		return NULL;
	*len = min_u64(*len, ram->blocks[low].gpa.end - gpa);
	return ram->blocks[low].hva + (gpa - ram->blocks[low].gpa.base);
}

/* The host address of all `len` bytes at `gpa`, or NULL if they do not lie in one block. */
static inline uint8_t *guest_ram_at(const struct guest_ram *ram, uint64_t gpa, uint64_t len)
{
	uint64_t got = len;
	uint8_t *at = guest_ram_part(ram, gpa, &got);

	return at && got == len ? at : NULL;
}

#endif
