/*
 * virtio-blk: Virtual I/O Device 1.2 section 5.2. Decodes the driver's requests, checks them
 * against the disk's size, and submits them to the back end of the disk (vmm/base/ports/block.h).
 *
 * The device has no state but that of `dev`. Requests in flight are no state, because a pause waits
 * until they are completed, as a reset does.
 */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "devices/virtio.h"
#include "vmm/base/ports/block.h"

#define VIRTIO_BLK_CLASS	 0x018000 /* class code of PCI: mass storage, other */
#define VIRTIO_BLK_CONFIG	 60	  /* struct virtio_blk_config without secure erase */
#define VIRTIO_BLK_CONFIG_QUEUES 34	  /* offset of num_queues in that struct */

#define VIRTIO_BLK_QUEUE_SIZE 256

struct virtio_blk_disk {
	uint64_t size;	     /* bytes, a multiple of 512 */
	uint32_t block_size; /* bytes: the smallest write */
	bool readonly;
	bool zeroes; /* offer write-zeroes */
	/* Properties that the back end reports, in bytes; 0: not reported. */
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
	unsigned held;	     /* completed requests, and their pages, since the last interrupt */
	pthread_cond_t idle; /* all requests are free */
};

struct virtio_blk {
	struct virtio_device dev;
	struct virtio_blk_disk disk;
	struct virtio_blk_queue queues[VIRTIO_BLK_QUEUES_MAX];
};

/* Returns 0, or -ENOMEM and a sentence. */
int virtio_blk_init(struct virtio_blk *blk, const struct virtio_blk_disk *disk, struct err *err);
void virtio_blk_destroy(struct virtio_blk *blk);
/*
 * To be called when requests of queue `i` have completed: calls `reap`, which calls their `done`,
 * with the queue's lock held, then interrupts the driver once. On the thread that serves the queue.
 */
void virtio_blk_reap(struct virtio_blk *blk, unsigned i, void (*reap)(void *queue));
/*
 * Changes the size of the disk. Must not be called on a queue's thread. False, and the size is
 * unchanged: the driver is resetting the device, which may wait for storage.
 */
bool virtio_blk_resize(struct virtio_blk *blk, uint64_t size);

#endif
