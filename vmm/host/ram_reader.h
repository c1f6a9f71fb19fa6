/*
 * Reads guest RAM to save it: finds the parts to which the host has given memory, and copies bytes
 * without a fault of this process.
 *
 * Host side. An access to RAM that the guest never touched would allocate pages, and one to a page
 * with a memory error would raise SIGBUS; both are left to the kernel here, which reads from the
 * file behind RAM or from /proc/self/mem. What it says of pages is true while no vCPU runs. Of huge
 * pages it finds those that this process has mapped: one that only another program wrote to (of
 * vhost-user), and the guest never read, is missed, because hugetlbfs does not tell.
 */
#ifndef HOST_RAM_READER_H
#define HOST_RAM_READER_H

#include "vmm/host/ram.h"

#define RAM_READER_ENTRIES 8192 /* pages of 4 KiB that one call of the kernel describes */

struct ram_reader {
	const struct ram *ram;
	int bytes;   /* the file behind RAM, borrowed, or /proc/self/mem */
	int pagemap; /* -1: the file behind RAM says itself where its data is */
	/* entries of the pagemap: of `nr_known` pages from page number `known` on */
	uint64_t known, nr_known;
	uint64_t entries[RAM_READER_ENTRIES];
	unsigned bad; /* pages that could not be read */
};

/* *r is about 64 KiB. It borrows `ram`. On failure nothing is left open. */
int ram_reader_open(struct ram_reader *r, const struct ram *ram, struct err *err);
void ram_reader_close(struct ram_reader *r);
/*
 * Writes to *run the first bytes, from `offset` in the block on, that may be other than zero; an
 * empty span: there are none up to the block's end. Whole pages, but for the block's end.
 */
int ram_reader_find(struct ram_reader *r, const struct ram_block *b, uint64_t offset,
		    struct span *run, struct err *err);
/*
 * Copies `len` bytes at `offset` of the block. A page that has a memory error is copied as zeroes
 * and counted; an error is returned for the RAM_READER_BAD_MAXth.
 */
#define RAM_READER_BAD_MAX 64
int ram_reader_copy(struct ram_reader *r, const struct ram_block *b, uint64_t offset, uint8_t *to,
		    uint64_t len, struct err *err);

#endif
