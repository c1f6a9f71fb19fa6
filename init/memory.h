/*
 * @memory: whether the guest's memory holds what is written to it, and how close to the borders of
 * each range of RAM that was tried.
 *
 * A process on each CPU takes anonymous memory until little is left, looks up the physical address
 * of each page in /proc/self/pagemap, and writes a pattern made of that address: to the first and
 * last eight bytes of each page, or with @memory=all to all of it, and then inverted. When all have
 * written, all read, so that two addresses with the same memory behind them are found as well. The
 * kernel decides which pages a process gets: the report says which parts of each range these were,
 * and memory that the kernel itself uses is not among them.
 *
 *   ok          all that was read was as it was written, and there was something
 *   full        @memory=all
 *   cpus        processes
 *   ram         bytes of "System RAM" in /proc/iomem
 *   verified    bytes of the pages that were verified
 *   moved       pages that the kernel moved meanwhile: verified, but in no range's count
 *   errors      words that differed; "error" is one of them: {address, expected, found}, where
 *               `expected` and `found` were made of the addresses that they name
 *   ranges      [{start, end, verified, first, last, before, behind}]: `first` to `last` are the
 *               outermost addresses that were verified, `before` and `behind` the bytes between
 *               them and the borders
 *   write_gib_s, read_gib_s   with @memory=all
 */
#ifndef INIT_MEMORY_H
#define INIT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Returns the status: 0 if all is well. Progress and reasons go to standard error. */
int memory_verify(FILE *to, bool full);

/* A range of RAM, and the pages of it that were verified. */
struct memory_range {
	uint64_t start, end;
	uint64_t pages;
	uint64_t first, last; /* half-open, valid if there are pages */
};

/* PURE. Adds the page at `address`. False: it is in none of the ranges. */
bool memory_count(struct memory_range *ranges, size_t nr, uint64_t address);
/* PURE. Adds the pages that another process counted in the same ranges. */
void memory_merge(struct memory_range *ranges, const struct memory_range *more, size_t nr);

#endif
