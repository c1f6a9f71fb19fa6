/*
 * What a device is, and what the machine hands to it.
 *
 * A device is `const` ops plus a struct that begins with `struct device`. It sees offsets, an
 * interrupt line and guest bytes; it never knows its address and never sees KVM. The guest is
 * hostile: no access can fail; nonsense reads give all-ones or zero, nonsense writes are dropped.
 *
 * Threads: vCPUs reach a device through the bus, which holds `lock` around read and write. Every
 * other entry point of a device (input, timer, ...) takes `lock` itself. A device calls its
 * callbacks (irq, end, timer) with its lock held, so a callback must not call back into the device.
 *
 * State: what the guest can see or has changed (registers, FIFOs, latched bits, positions in rings,
 * accepted features) is in `struct NAME_state`, the member `state` of `struct NAME`, as plain
 * values: no pointers, descriptors, locks or handles (tests/state.awk). A part that has a struct of
 * its own (a PCI function, a queue) has its state there. The other members of `struct NAME` are
 * callbacks and handles, pending calls of those callbacks (such as "there is room"), or values that
 * are computed from both, such as the level of an interrupt line or a pointer into guest memory.
 * Only the device changes its state: under `lock`, or under the lock that its header names. Saving
 * and loading a device means its state alone; the other members are set up again.
 */
#ifndef DEVICES_DEVICE_H
#define DEVICES_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;

struct device_ops {
	const char *name;
	/*
	 * The widest access that the device decodes, in bytes (a power of two; 0: any width). The
	 * bus splits wider accesses into successive ones, lowest address first, as the ISA bus
	 * does.
	 */
	unsigned width;
	/* `size` is 1, 2, 4 or 8 and the access lies wholly inside the device's range. */
	uint64_t (*read)(struct device *dev, uint64_t offset, unsigned size);
	void (*write)(struct device *dev, uint64_t offset, unsigned size, uint64_t value);
};

struct device {
	const struct device_ops *ops;
	pthread_mutex_t lock;
};

static inline void device_init(struct device *dev, const struct device_ops *ops)
{
	dev->ops = ops;
	pthread_mutex_init(&dev->lock, NULL);
}

/* An interrupt line into the guest. A line whose `set` is NULL is connected to nothing. */
struct irq_line {
	void (*set)(void *to, unsigned gsi, bool level);
	void *to;
	unsigned gsi;
};

static inline void irq_set(const struct irq_line *irq, bool level)
{
	if (irq->set)
		irq->set(irq->to, irq->gsi, level);
}

/* Why a device asks for the end of the guest. The machine decides what follows. */
enum device_end {
	DEVICE_END_POWEROFF,
	DEVICE_END_RESET,
	DEVICE_END_PANIC,	 /* the guest kernel says it has panicked (pvpanic bit 0) */
	DEVICE_END_CRASH_LOADED, /* the same, and its crash kernel takes over (pvpanic bit 1) */
	DEVICE_END_DEBUG_EXIT,	 /* `value` was written to the debug-exit port */
};

struct device_ender {
	void (*end)(void *to, enum device_end why, unsigned value);
	void *to;
};

static inline void device_end(const struct device_ender *ender, enum device_end why, unsigned value)
{
	ender->end(ender->to, why, value);
}

/* Wall-clock time and one wake-up. Times are nanoseconds since the Unix epoch. */
struct device_timer {
	int64_t (*now)(void *to);
	void (*arm)(void *to, int64_t at); /* one call of the device's timer function; 0 disarms */
	void *to;
};

#endif
