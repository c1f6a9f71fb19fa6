/*
 * A raw image or a block device, served by io_uring: what is behind a virtual disk.
 *
 * Host side: opens, locks and asks the file. A disk is opened once and outlives guest resets; each
 * of its queues is one thread's. Opening the same image twice is refused (vmm/file_lock.h).
 */
#ifndef VMM_DISK_H
#define VMM_DISK_H

#include "vmm/block.h"
#include "vmm/err.h"

#include <liburing.h>

#define DISK_QUEUES_MAX 16

struct disk_options {
	bool readonly;
	bool direct;  /* O_DIRECT: not through the host's page cache */
	bool discard; /* give back space that the guest does not need */
	bool raw;     /* whatever the first bytes look like */
	unsigned queues;
};

struct disk;

struct disk_queue {
	struct disk *disk;
	struct io_uring ring;
	bool has_ring;
	int completed; /* eventfd: there is something to reap */
	/* look_out's: nanoseconds; and when it last found nothing, or 0 */
	uint64_t patience, gave_up_at;
};

struct disk {
	int fd;		  /* -1: not open */
	const char *path; /* borrowed */
	struct disk_options options;
	uint64_t size;	     /* bytes */
	uint32_t block_size; /* bytes: the least that O_DIRECT or the device takes */
	bool is_device;
	bool looks_out; /* this process has several CPUs */
	struct disk_queue queues[DISK_QUEUES_MAX];
};

#define DISK_EMPTY       \
	{                \
		.fd = -1 \
	}

/* -EINVAL: it can be no disk; others: the host refuses. The sentence names the path. */
int disk_open(struct disk *d, const char *path, const struct disk_options *options,
	      struct err *err);
/* The size of the file or device, which may have changed. -EINVAL: it can be no disk now. */
int disk_look_again(struct disk *d, struct err *err);
void disk_close(struct disk *d);

/* For the thread of one queue (`queue` is a struct disk_queue). */
extern const struct block_queue_ops disk_queue_ops;
/* Takes what is completed, and calls its done. */
void disk_reap(void *queue);

#endif
