/*
 * One address space (ports or memory) and the devices in it.
 *
 * vCPU threads read and write through it while BARs come and go: a lookup holds the bus's own lock
 * for reading, then lets go of it and holds the device's lock around the access. So a device may
 * add and remove entries from inside an access, and must itself outlive every vCPU: one that was
 * just removed may get a last access. An access must lie wholly inside one device's range; any
 * other is unclaimed, even if it touches a device.
 */
#ifndef DEVICES_BUS_H
#define DEVICES_BUS_H

#include "devices/device.h"
#include "vmm/base/err.h"
#include "vmm/base/span.h"

#define BUS_ENTRIES_MAX 512

struct bus_entry {
	struct span at;
	struct device *dev;
};

/* All zeroes is an empty bus. Sorted by address, disjoint. Devices are borrowed. */
struct bus {
	pthread_rwlock_t lock; /* zeroes are PTHREAD_RWLOCK_INITIALIZER */
	struct bus_entry entries[BUS_ENTRIES_MAX];
	unsigned nr;
};

/* An empty bus, as one of zeroes is; touches none of the entries. */
void bus_init(struct bus *bus);

/*
 * Puts `dev` at `at`. Returns 0, -EINVAL (empty range), -EEXIST (another device is there) or
 * -ENOSPC (BUS_ENTRIES_MAX devices already).
 */
int bus_add(struct bus *bus, struct span at, struct device *dev, struct err *err);
/* Takes away what was added at exactly this range; nothing if there is none. */
void bus_remove(struct bus *bus, struct span at);

/*
 * An access of `size` bytes at `addr`; `data` is little-endian and has room for `size` bytes.
 * Returns whether a device claimed it. Unclaimed reads (sizes other than 1, 2, 4 and 8 are among
 * them) give all-ones, unclaimed writes are dropped.
 */
bool bus_read(struct bus *bus, uint64_t addr, unsigned size, void *data);
bool bus_write(struct bus *bus, uint64_t addr, unsigned size, const void *data);

#endif
