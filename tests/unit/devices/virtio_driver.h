/*
 * For the tests of virtio devices: guest memory, a driver's side of split rings, and what the
 * transport is told. One device at a time, `dev`.
 */
#ifndef TESTS_UNIT_VIRTIO_DRIVER_H
#define TESTS_UNIT_VIRTIO_DRIVER_H

#include "devices/virtio.h"
#include "vmm/base/bytes.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MEMORY	0x200000u
#define ENTRIES 64u
#define RING(i) (0x4000u * (i)) /* descriptors, +0x1000 driver, +0x2000 device */
#define DATA	0x100000u

#define DESC_WRITE 2

static uint8_t memory[MEMORY] __attribute__((aligned(4096)));
/* RAM in two blocks, as it is around the hole below 4 GiB: neighbours for the guest, not for us. */
#define BLOCKS_MEET (MEMORY / 2)
static const struct ram_block blocks[] = {
	{ { 0, BLOCKS_MEET }, memory, -1, 0 },
	{ { BLOCKS_MEET, MEMORY }, memory + BLOCKS_MEET, -1, 0 },
};
static const struct guest_ram ram = { blocks, 2 };
static struct virtio_device *dev;
static int kicks[VIRTIO_QUEUES_MAX];
static char told[160];
static unsigned interrupts;

/* --- the transport --- */

static inline void interrupt(void *to, unsigned queue)
{
	(void)to;
	(void)queue;
	interrupts++;
}

static inline void needs_reset(void *to, const char *why)
{
	(void)to;
	snprintf(told, sizeof(told), "%s", why);
}

static inline void plug(struct virtio_device *device)
{
	dev = device;
	dev->interrupt = interrupt;
	dev->needs_reset = needs_reset;
	for (unsigned i = 0; i < dev->nr_queues; i++) {
		dev->queues[i].kick = kicks[i];
		dev->queues[i].ring.ram = &ram;
	}
}

static inline int set_up(void **state)
{
	(void)state;
	told[0] = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(kicks); i++)
		kicks[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(kicks); i++)
		close(kicks[i]);
	return 0;
}

/* --- the driver: split rings --- */

static inline void set_queue(unsigned i)
{
	struct virtqueue *ring = &dev->queues[i].ring;

	memset(memory + RING(i), 0, 0x3000);
	ring->state.size = ENTRIES;
	ring->state.desc = RING(i);
	ring->state.driver = RING(i) + 0x1000;
	ring->state.device = RING(i) + 0x2000;
	dev->queues[i].state.enabled = true;
}

static inline void describe(unsigned queue, unsigned i, uint64_t at, uint32_t len, unsigned flags,
			    unsigned next)
{
	uint8_t *desc = memory + RING(queue) + 16 * i;

	store_le(desc, at, 8);
	store_le(desc + 8, len, 4);
	store_le(desc + 12, flags, 2);
	store_le(desc + 14, next, 2);
}

static inline unsigned used(unsigned queue)
{
	return (unsigned)load_le(memory + RING(queue) + 0x2002, 2);
}

/* Makes `n` entries of the ring available: each is the chain that begins with descriptor `head`. */
static inline void offer(unsigned queue, unsigned n, unsigned head)
{
	uint8_t *avail = memory + RING(queue) + 0x1000;
	unsigned index = (unsigned)load_le(avail + 2, 2);

	while (n--)
		store_le(avail + 4 + 2 * (index++ % ENTRIES), head, 2);
	store_le(avail + 2, index, 2);
}

/* Section 2.7.10: whether a driver that went from index `from` to `to` has to kick. */
static inline bool must_kick(unsigned queue, uint16_t from, uint16_t to)
{
	uint16_t event = (uint16_t)load_le(memory + RING(queue) + 0x2004 + 8 * ENTRIES, 2);

	return (uint16_t)(to - event - 1) < (uint16_t)(to - from);
}

static inline bool kicked(unsigned queue)
{
	uint64_t count;

	return read(kicks[queue], &count, sizeof(count)) == sizeof(count);
}

static inline void serve(unsigned queue)
{
	(void)kicked(queue);
	virtio_handle(dev, queue);
}

#endif
