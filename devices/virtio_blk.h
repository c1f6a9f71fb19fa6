/*
 * virtio-blk: Virtual I/O Device 1.2 section 5.2. Takes the driver's requests apart, checks them
 * against the disk's size, and hands them to whoever has the data (vmm/base/ports/block.h).
 *
 * Its state is that of `dev` alone. Requests in flight are no state: a pause waits for their end,
 * as a reset does.
 */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "devices/virtio.h"
#include "vmm/base/ports/block.h"

#define VIRTIO_BLK_CLASS	 0x018000 /* PCI's: mass storage, other */
#define VIRTIO_BLK_CONFIG	 60	  /* bytes of struct virtio_blk_config that we know, */
#define VIRTIO_BLK_CONFIG_QUEUES 34	  /* and where in it num_queues is */

#define VIRTIO_BLK_QUEUE_SIZE 256

struct virtio_blk_disk {
	uint64_t size;	     /* bytes, a multiple of 512 */
	uint32_t block_size; /* bytes: the least that is written at once */
	bool readonly;
	bool zeroes; /* offer write-zeroes */
	/* what is behind says of itself, in bytes; 0: nothing */
	uint32_t physical, first, min_io, opt_io; /* as in vmm/backends/disk.h */
	uint64_t discard_max;			  /* 0: offer no discard */
	uint32_t discard_granularity;
	bool split; /* offer no packed rings */
	char serial[VIRTIO_BLK_SERIAL + 1];
	unsigned nr_queues;
	void *queues[VIRTIO_BLK_QUEUES_MAX]; /* for ops */
	const struct block_queue_ops *ops;
};

struct virtio_blk_request; /* virtio_blk.c */

struct virtio_blk_queue {
	struct virtio_blk *blk;
	unsigned index;
	struct virtio_blk_request *requests; /* VIRTIO_BLK_QUEUE_SIZE */
	struct virtio_blk_request
		*free[VIRTIO_BLK_QUEUE_SIZE]; /* a stack: the most recently used is on top */
	unsigned nr_free;
	unsigned held;	     /* of ended requests, that the driver was not interrupted for */
	pthread_cond_t idle; /* all are free */
};

struct virtio_blk {
	struct virtio_device dev;
	struct virtio_blk_disk disk;
	struct virtio_blk_queue queues[VIRTIO_BLK_QUEUES_MAX];
};

/* -ENOMEM and a sentence. */
int virtio_blk_init(struct virtio_blk *blk, const struct virtio_blk_disk *disk, struct err *err);
void virtio_blk_destroy(struct virtio_blk *blk);
/*
 * Requests of queue `i` were completed: calls `reap` (which calls their done) with the queue's lock
 * held, then interrupts the driver once. On the thread that serves the queue.
 */
void virtio_blk_reap(struct virtio_blk *blk, unsigned i, void (*reap)(void *queue));
/*
 * The disk has another size. Not on a queue's thread. False: the driver is resetting it, which may
 * wait for storage; nothing has changed.
 */
bool virtio_blk_resize(struct virtio_blk *blk, uint64_t size);

#endif
