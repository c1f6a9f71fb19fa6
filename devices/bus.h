/*
 * One address space (ports or memory) and the devices in it.
 *
 * vCPU threads access devices through the bus while BARs are added and removed: a lookup holds the
 * bus's own lock for reading, releases it, and then holds the device's lock around the access. So a
 * device may add and remove entries from inside an access. A device must outlive every vCPU,
 * because a vCPU that looked the device up before its removal may access it afterwards. An access
 * must lie wholly inside one device's range; any other is unclaimed, even if it touches a device.
 */
#ifndef DEVICES_BUS_H
#define DEVICES_BUS_H

#include "devices/device.h"
#include "vmm/base/err.h"
#include "vmm/base/span.h"

#define BUS_ENTRIES_MAX 1024

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

/* Makes an empty bus, as all zeroes are. Does not write the entries. */
void bus_init(struct bus *bus);

/*
 * Puts `dev` at `at`. Returns 0, -EINVAL (empty range), -EEXIST (another device is there) or
 * -ENOSPC (BUS_ENTRIES_MAX devices already).
 */
int bus_add(struct bus *bus, struct span at, struct device *dev, struct err *err);
/* Removes the device that was added at exactly this range; without one does nothing. */
void bus_remove(struct bus *bus, struct span at);

/*
 * An access of `size` bytes at `addr`; `data` is little-endian and has room for `size` bytes.
 * Returns whether a device claimed it. Unclaimed reads (sizes other than 1, 2, 4 and 8 are among
 * them) give all-ones, unclaimed writes are dropped.
 */
bool bus_read(struct bus *bus, uint64_t addr, unsigned size, void *data);
bool bus_write(struct bus *bus, uint64_t addr, unsigned size, const void *data);

#endif
