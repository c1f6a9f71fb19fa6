/*
 * virtio-balloon: memory that the guest returns to the host. Virtual I/O Device 1.2 section 5.5: a
 * balloon whose size the host requests, reports of free pages, statistics.
 */
#ifndef DEVICES_VIRTIO_BALLOON_H
#define DEVICES_VIRTIO_BALLOON_H

#include "devices/virtio.h"

#define VIRTIO_BALLOON_STATS 10

/* Callbacks to the host. On the thread that serves the device. */
struct balloon_host {
	/* Discards `len` bytes, which may read as zeroes afterwards. */
	void (*discard)(void *to, void *at, size_t len);
	/*
	 * The statistics that virtio_balloon_ask() requested, in the order of
	 * virtio_balloon_stats[]; UINT64_MAX: not known. The queue's lock is held.
	 */
	void (*stats)(void *to, const uint64_t *numbers);
	void *to;
};

/* The state that is not in `dev`. Each member has the lock of its queue. */
struct virtio_balloon_state {
	bool has_stats, asked; /* `stats` has a buffer; the host waits for statistics */
	bool has_report;       /* `report` has a buffer whose parts are not all discarded */
	unsigned reported;     /* parts of `report` that are discarded */
};

struct virtio_balloon {
	struct virtio_device dev;
	struct balloon_host host;
	struct virtio_balloon_state state;
	struct virtqueue_buffer buffer, stats; /* `stats` is kept until statistics are requested */
	struct virtqueue_buffer report;	       /* of free pages */
	/* Values that the driver wrote to the configuration. Atomic, because other threads read. */
	uint32_t actual, poison;
};

/* Names of the statistics, such as "free_bytes", in the order of VIRTIO_BALLOON_S_*. */
extern const char *const virtio_balloon_stats[VIRTIO_BALLOON_STATS];

/* `size`: bytes that the balloon should have at first. */
void virtio_balloon_init(struct virtio_balloon *b, const struct balloon_host *host, uint64_t size);
/* Requests another size in bytes, which the guest reaches later. On the loop's thread. */
void virtio_balloon_set(struct virtio_balloon *b, uint64_t size);
/* Returns the bytes that the balloon has, as the guest reports. */
uint64_t virtio_balloon_actual(const struct virtio_balloon *b);
/* Requests statistics: host.stats is called later. False: the guest's driver has none. */
bool virtio_balloon_ask(struct virtio_balloon *b);

#endif
