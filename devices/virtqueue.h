/*
 * A virtqueue, split or packed: takes buffers that the driver offers, gives them back, and says
 * when either side wants to be notified. Virtual I/O Device 1.2 sections 2.7 and 2.8.
 *
 * Touches nothing but guest RAM and its own struct. The rings are the guest's, which may change
 * them at any moment: every value is read once, checked, then used. A driver that breaks the rules
 * breaks its queue, no more: `why` says how, and the device asks for a reset (section 2.1.1).
 *
 * One thread at a time: the caller locks.
 */
#ifndef DEVICES_VIRTQUEUE_H
#define DEVICES_VIRTQUEUE_H

#include "vmm/base/guest_memory.h"

#include <stdbool.h>
#include <sys/uio.h>

#define VIRTQUEUE_SIZE_MAX 1024
/* Parts of one buffer, at most, that a device is shown. Linux uses 128 for disks, 19 for networks.
 */
#define VIRTQUEUE_PARTS_MAX 256

struct virtqueue_state {
	unsigned size;		       /* entries; split rings: a power of two */
	uint64_t desc, driver, device; /* guest-physical addresses of the three areas */
	/* from virtqueue_start on; if somebody else serves the queue the positions are there */
	bool started;
	bool broken;
	uint16_t next_avail;	    /* split: counts; packed: an index of the ring */
	uint16_t next_used;	    /* likewise */
	uint16_t unsignalled;	    /* used since the driver was last notified: see next_used */
	bool avail_wrap, used_wrap; /* packed: the wrap counters */
};

struct virtqueue {
	const struct guest_ram *ram;
	bool packed, event_idx, indirect; /* as the driver has accepted it */
	struct virtqueue_state state;
	const char *why;   /* it is broken; not NULL then */
	uint8_t *areas[3]; /* the three, in this process */
};

/*
 * A buffer of the driver: parts that the device reads, then parts that it writes. It is no state:
 * what a device keeps are the buffers that it popped last, which can go back to the ring and be
 * popped again.
 */
struct virtqueue_buffer {
	uint16_t id;	  /* for virtqueue_push */
	uint16_t entries; /* of the ring that it took (packed) */
	unsigned nr_out, nr_in;
	uint64_t out_len, in_len; /* bytes */
	struct iovec parts[VIRTQUEUE_PARTS_MAX];
};

/*
 * Starts at the beginning of the rings. False, and broken, if an area is no RAM or is not aligned
 * (2.7: 16, 2, 4 bytes; 2.8.10.1: 16, 4, 4) or `size` is impossible.
 */
bool virtqueue_start(struct virtqueue *q);
void virtqueue_stop(struct virtqueue *q);
/* The driver broke a rule; `why` stays. Returns false. */
bool virtqueue_break(struct virtqueue *q, const char *why);

/*
 * The next buffer. False: there is none now, or the queue is broken. Buffers may be given back in
 * any order.
 */
bool virtqueue_pop(struct virtqueue *q, struct virtqueue_buffer *b);
/* Whether there is one now. */
bool virtqueue_has_more(const struct virtqueue *q);
/* Gives one back, with the number of bytes that were written to its writable parts. */
void virtqueue_push(struct virtqueue *q, uint16_t id, uint16_t entries, uint32_t written);
/*
 * After pushes: whether the driver wants to be interrupted for them. Asks once: the next call is
 * about later pushes.
 */
bool virtqueue_should_interrupt(struct virtqueue *q);
/*
 * Whether the driver should notify of new buffers. After true, look again with virtqueue_pop:
 * buffers that came before it may go unannounced.
 */
void virtqueue_want_kicks(struct virtqueue *q, bool want);

/*
 * As virtqueue_pop, for whoever takes all there are: turns kicks off while there are buffers, and
 * on when there is none, with another look: one that came just before had no kick.
 */
bool virtqueue_take(struct virtqueue *q, struct virtqueue_buffer *b);

/* Copies from or to a list of parts, `skip` bytes into it. Returns the number of bytes copied. */
size_t virtqueue_read(const struct iovec *parts, unsigned n, size_t skip, void *to, size_t len);
size_t virtqueue_write(const struct iovec *parts, unsigned n, size_t skip, const void *from,
		       size_t len);

#endif
