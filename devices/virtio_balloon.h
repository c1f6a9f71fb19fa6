/*
 * virtio-balloon: memory that the guest gives back. Virtual I/O Device 1.2 section 5.5: a balloon
 * whose size the host asks for, free pages that the guest reports by itself, statistics.
 */
#ifndef DEVICES_VIRTIO_BALLOON_H
#define DEVICES_VIRTIO_BALLOON_H

#include "devices/virtio.h"

#define VIRTIO_BALLOON_STATS 10

/* What the device needs. On the thread that serves it. */
struct balloon_host {
	/* The guest needs the content of these `len` bytes no longer: it may find zeroes. */
	void (*discard)(void *to, void *at, size_t len);
	/*
	 * Statistics, asked for: numbers by virtio_balloon_stats[]; UINT64_MAX: not known. The
	 * queue's lock is held.
	 */
	void (*stats)(void *to, const uint64_t *numbers);
	void *to;
};

/* Beside the state of `dev`. Each with its queue's lock. */
struct virtio_balloon_state {
	bool has_stats, asked;
	bool has_report;
	unsigned reported; /* parts */
};

struct virtio_balloon {
	struct virtio_device dev;
	struct balloon_host host;
	struct virtio_balloon_state state;
	struct virtqueue_buffer buffer, stats; /* `stats` is the driver's, kept until asked for */
	struct virtqueue_buffer report;	       /* of free pages: it is done up to `reported` */
	/* what the driver wrote to the configuration; atomic, for the threads that read it */
	uint32_t actual, poison;
};

/* "free_bytes" and so on; in the order of VIRTIO_BALLOON_S_*. */
extern const char *const virtio_balloon_stats[VIRTIO_BALLOON_STATS];

/* `size`: bytes wanted from the guest at first. */
void virtio_balloon_init(struct virtio_balloon *b, const struct balloon_host *host, uint64_t size);
/* Asks for another size, bytes; the guest takes its time. On the loop's thread. */
void virtio_balloon_set(struct virtio_balloon *b, uint64_t size);
/* Bytes that the guest says it has given. */
uint64_t virtio_balloon_actual(const struct virtio_balloon *b);
/* Has the guest say its numbers: host.stats is called later. False: its driver has none. */
bool virtio_balloon_ask(struct virtio_balloon *b);

#endif
