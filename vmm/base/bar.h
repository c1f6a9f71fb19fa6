/*
 * The shape of a PCI base address register: what every file knows of a BAR, and the one judge of
 * it.
 *
 * PURE. PCI Local Bus 3.0 section 6.2.5. Others add to it: the plan an address (plan.h), a device
 * model where it is decoded (devices/pci.h), VFIO which parts of it can be mapped
 * (vfio/pci_internal.h).
 */
#ifndef BASE_BAR_H
#define BASE_BAR_H

#include "vmm/base/units.h"

#define BARS	     6 /* of a function */
#define BARS_AND_ROM 7
#define BAR_ROM	     6 /* the index of the expansion ROM */

/* The most pieces in which a BAR is mapped into the guest; accesses between them exit. */
#define BAR_PARTS_MAX 16

#define BAR_IO_END 0x10000u /* the end of I/O ports */

struct bar_shape {
	uint64_t size; /* bytes, a power of two; 0: no such BAR, or the upper half of the one before
			*/
	bool io;       /* I/O ports */
	bool wide;     /* 64-bit memory */
	bool prefetch;
};

/*
 * Judges bars[i] beside its neighbours; `bars` has BARS_AND_ROM entries. Returns NULL if a function
 * can have it, else what is wrong, to follow "has N bytes, which".
 */
const char *bar_fault(const struct bar_shape *bars, unsigned i);

/*
 * The size in bytes of the BAR for an expansion ROM of `size` bytes: the next power of two (section
 * 6.2.5.2).
 */
uint64_t bar_rom_size(uint64_t size);
#define BAR_ROM_MAX (16 * MIB) /* bytes; a larger ROM is refused, be it a device's or a user's */

#endif
