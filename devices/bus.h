/*
 * One address space (ports or memory) and the devices in it.
 *
 * Built by the machine before any vCPU runs and not changed afterwards, so lookups take no lock;
 * vCPU threads then read and write through it, and it holds the device's own lock around each
 * access. An access must lie wholly inside one device's range; any other is unclaimed, even if it
 * touches a device: a dword written to 0xcf8 (PCI) must not reach the reset register at 0xcf9.
 */
#ifndef DEVICES_BUS_H
#define DEVICES_BUS_H

#include "devices/device.h"
#include "vmm/err.h"
#include "vmm/span.h"

#define BUS_ENTRIES_MAX 64

struct bus_entry {
	struct span at;
	struct device *dev;
};

/* All zeroes is an empty bus. Sorted by address, disjoint. Devices are borrowed. */
struct bus {
	struct bus_entry entries[BUS_ENTRIES_MAX];
	unsigned nr;
};

/*
 * Puts `dev` at `at`. Returns 0, -EINVAL (empty range), -EEXIST (another device is there) or
 * -ENOSPC (BUS_ENTRIES_MAX devices already).
 */
int bus_add(struct bus *bus, struct span at, struct device *dev, struct err *err);

/*
 * An access of `size` bytes at `addr`; `data` is little-endian and has room for `size` bytes.
 * Returns whether a device claimed it. Unclaimed reads (sizes other than 1, 2, 4 and 8 are among
 * them) give all-ones, unclaimed writes are dropped.
 */
bool bus_read(const struct bus *bus, uint64_t addr, unsigned size, void *data);
bool bus_write(const struct bus *bus, uint64_t addr, unsigned size, const void *data);

#endif
