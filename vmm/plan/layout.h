/*
 * --layout hole: little RAM, on both sides of every range that must stay free.
 *
 * PURE. A test of a map of more than 1 TiB needs RAM at its borders and no terabyte: a guest's
 * kernel has page structures for the RAM that there is (CONFIG_SPARSEMEM), not for the gaps.
 *
 *   0          3 GiB     4 GiB                        1012 GiB  1 TiB
 *   |-- RAM --|  |- PCI -|                  |-- RAM --|#########|-- RAM --|
 *      half                                   quarter             quarter
 */
#ifndef PLAN_LAYOUT_H
#define PLAN_LAYOUT_H

#include "vmm/plan/map.h"

/* Low RAM, two pieces for each range, and what is left over. */
#define LAYOUT_MAX (2 * MAP_FORBIDDEN_MAX + 2)

struct layout {
	struct span at[LAYOUT_MAX]; /* sorted, disjoint; the last one is open */
	unsigned n;
};

/*
 * Finds the places of RAM, of which `low_end` bytes at most lie below 4 GiB; the caller steps over
 * forbidden ranges inside of them. Half of RAM lies below 4 GiB, unless low_memory says how much,
 * and the rest in pieces of the same size. -ERANGE and a sentence if a range cannot have RAM on
 * both sides, if there is none, or too little RAM. Ranges before which addresses end (`last`),
 * those of the BIOS area and of the 32-bit hole count as none.
 */
int layout_both_sides(const struct map_request *req, uint64_t low_end, struct layout *layout,
		      struct err *err);

#endif
