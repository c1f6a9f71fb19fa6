/*
 * A virtqueue, split or packed: takes buffers that the driver makes available, returns used
 * buffers, and handles the suppression of kicks and interrupts. Virtual I/O Device 1.2 sections 2.7
 * and 2.8.
 *
 * Accesses only guest RAM and its own struct. The guest may change the rings at any moment, so
 * every value is read once, checked, then used. If a driver breaks the rules, only its queue is
 * broken: `why` has the reason, and the device asks for a reset (section 2.1.1).
 *
 * One thread at a time: the caller locks.
 */
#ifndef DEVICES_VIRTQUEUE_H
#define DEVICES_VIRTQUEUE_H

#include "vmm/base/guest_memory.h"

#include <stdbool.h>
#include <sys/uio.h>

#define VIRTQUEUE_SIZE_MAX 1024
/* The most parts of one buffer. Linux uses 128 for disks, 19 for networks. */
#define VIRTQUEUE_PARTS_MAX 256

struct virtqueue_state {
	unsigned size;		       /* entries; split rings: a power of two */
	uint64_t desc, driver, device; /* guest-physical addresses of the three areas */
	/* Valid after virtqueue_start. If a server serves the queue, it has the positions. */
	bool started;
	bool broken;
	uint16_t next_avail;	    /* split: a count of buffers; packed: an index of the ring */
	uint16_t next_used;	    /* the same */
	uint16_t unsignalled;	    /* split: buffers, packed: entries, used since the last check */
	bool avail_wrap, used_wrap; /* packed: the wrap counters */
};

struct virtqueue {
	const struct guest_ram *ram;
	bool packed, event_idx, indirect; /* by the accepted features */
	struct virtqueue_state state;
	const char *why;   /* why the queue is broken; NULL: it is not */
	uint8_t *areas[3]; /* host addresses of the three areas */
};

/*
 * A buffer of the driver: parts that the device reads, then parts that the device writes. A buffer
 * is no state, because a device keeps only the buffers that it popped last, which it can put back
 * into the ring and pop again.
 */
struct virtqueue_buffer {
	uint16_t id;	  /* for virtqueue_push */
	uint16_t entries; /* of the ring that the buffer has; split: 1 */
	unsigned nr_out, nr_in;
	uint64_t out_len, in_len; /* bytes */
	struct iovec parts[VIRTQUEUE_PARTS_MAX];
};

/*
 * Starts the queue at the beginning of the rings. False, and the queue is broken, if an area is not
 * in RAM or not aligned (2.7: 16, 2, 4 bytes; 2.8.10.1: 16, 4, 4), or if `size` is not valid.
 */
bool virtqueue_start(struct virtqueue *q);
void virtqueue_stop(struct virtqueue *q);
/* Marks the queue as broken by the driver. `why` is not copied. Returns false. */
bool virtqueue_break(struct virtqueue *q, const char *why);

/*
 * Takes the next available buffer. False: there is none now, or the queue is broken. Buffers may be
 * returned in any order.
 */
bool virtqueue_pop(struct virtqueue *q, struct virtqueue_buffer *b);
/* Whether a buffer is available now. */
bool virtqueue_has_more(const struct virtqueue *q);
/* Returns a buffer to the driver; `written` bytes were written to its writable parts. */
void virtqueue_push(struct virtqueue *q, uint16_t id, uint16_t entries, uint32_t written);
/*
 * A value that changes with each buffer that is returned, by whoever serves the queue; 0 while the
 * queue is stopped. Not a count: it wraps around, and with packed rings it skips.
 */
uint16_t virtqueue_returned(const struct virtqueue *q);
/*
 * Whether the driver must be interrupted for the buffers that were returned since the last call of
 * this function.
 */
bool virtqueue_should_interrupt(struct virtqueue *q);
/*
 * Asks the driver to kick, or not to kick, for new buffers. After true call virtqueue_pop again,
 * because for buffers that were added before there may be no kick.
 */
void virtqueue_want_kicks(struct virtqueue *q, bool want);

/*
 * As virtqueue_pop, for callers that take all buffers: turns kicks on when no buffer is available,
 * tries again, and turns them off if the driver has added a buffer meanwhile.
 */
bool virtqueue_take(struct virtqueue *q, struct virtqueue_buffer *b);

/* Copy from or to a list of parts, from byte `skip` on. Return the number of bytes copied. */
size_t virtqueue_read(const struct iovec *parts, unsigned n, size_t skip, void *to, size_t len);
size_t virtqueue_write(const struct iovec *parts, unsigned n, size_t skip, const void *from,
		       size_t len);

#endif
