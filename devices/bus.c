/*
 * Address lookup, locking and access splitting for devices. Called by vCPU threads through
 * machine.c; touches nothing but the devices in the table.
 */
#include "devices/bus.h"
#include "vmm/base/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void bus_init(struct bus *bus)
{
	bus->lock = (pthread_rwlock_t)PTHREAD_RWLOCK_INITIALIZER;
	bus->nr = 0;
}

/* The index of the first entry that ends beyond `addr`: the only one that can hold it. */
static unsigned bus_search(const struct bus *bus, uint64_t addr)
{
	unsigned low = 0, high = bus->nr;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (bus->entries[mid].at.end > addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static int add_entry(struct bus *bus, struct span at, struct device *dev, struct err *err)
{
	unsigned i = bus_search(bus, at.base);
	struct bus_entry *e = &bus->entries[i];
	const char *name = dev->ops->name;

	if (i < bus->nr && span_overlaps(e->at, at))
		return err_set(err, EEXIST,
			       "device %s at %#" PRIx64 "-%#" PRIx64 " overlaps %s at %#" PRIx64
			       "-%#" PRIx64,
			       name, at.base, at.end - 1, e->dev->ops->name, e->at.base,
			       e->at.end - 1);
	if (bus->nr == BUS_ENTRIES_MAX)
		return err_set(err, ENOSPC, "no room for device %s: a bus holds %u devices", name,
			       BUS_ENTRIES_MAX);
	memmove(e + 1, e, (bus->nr - i) * sizeof(*e));
	*e = (struct bus_entry){ at, dev };
	bus->nr++;
	return 0;
}

int bus_add(struct bus *bus, struct span at, struct device *dev, struct err *err)
{
	int ret;

	if (span_empty(at))
		return err_set(err, EINVAL, "device %s has an empty range at %#" PRIx64,
			       dev->ops->name, at.base);
	pthread_rwlock_wrlock(&bus->lock);
	ret = add_entry(bus, at, dev, err);
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

void bus_remove(struct bus *bus, struct span at)
{
	struct bus_entry *e;
	unsigned i;

	pthread_rwlock_wrlock(&bus->lock);
	i = bus_search(bus, at.base);
	e = &bus->entries[i];
	if (i < bus->nr && e->at.base == at.base && e->at.end == at.end) {
		bus->nr--;
		memmove(e, e + 1, (bus->nr - i) * sizeof(*e));
	}
	pthread_rwlock_unlock(&bus->lock);
}

/*
 * Returns a copy of the entry, because the entry itself may move once the lock is released. `dev`
 * is NULL if no device claims the access.
 */
static struct bus_entry bus_find(struct bus *bus, uint64_t addr, unsigned size)
{
	struct bus_entry found = { .dev = NULL };
	unsigned i;

	if (size > 8 || !is_power_of_two(size))
		return found;
	pthread_rwlock_rdlock(&bus->lock);
	i = bus_search(bus, addr);
	if (i < bus->nr && span_holds(bus->entries[i].at, addr, size))
		found = bus->entries[i];
	pthread_rwlock_unlock(&bus->lock);
	return found;
}

static unsigned bus_step(const struct device *dev, unsigned size)
{
	unsigned width = dev->ops->width;

	return width && width < size ? width : size;
}

bool bus_read(struct bus *bus, uint64_t addr, unsigned size, void *data)
{
	struct bus_entry e = bus_find(bus, addr, size);
	uint8_t *to = data;
	unsigned step;

	if (!e.dev) {
		memset(data, 0xff, size);
		return false;
	}
	step = bus_step(e.dev, size);
	pthread_mutex_lock(&e.dev->lock);
	for (unsigned i = 0; i < size; i += step)
		store_le(to + i, e.dev->ops->read(e.dev, addr - e.at.base + i, step), step);
	pthread_mutex_unlock(&e.dev->lock);
	return true;
}

bool bus_write(struct bus *bus, uint64_t addr, unsigned size, const void *data)
{
	struct bus_entry e = bus_find(bus, addr, size);
	const uint8_t *from = data;
	unsigned step;

	if (!e.dev)
		return false;
	step = bus_step(e.dev, size);
	pthread_mutex_lock(&e.dev->lock);
	for (unsigned i = 0; i < size; i += step)
		e.dev->ops->write(e.dev, addr - e.at.base + i, step, load_le(from + i, step));
	pthread_mutex_unlock(&e.dev->lock);
	return true;
}
