/*
 * A raw image or a block device: what is behind a virtual disk.
 *
 * Host side: opens, locks and asks the file, and serves its requests: by io_uring, or where the
 * host does not allow that by threads that read and write. A disk is opened once and outlives guest
 * resets; each of its queues is one thread's. Opening the same image twice is refused
 * (vmm/host/file_lock.h).
 */
#ifndef BACKENDS_DISK_H
#define BACKENDS_DISK_H

#include "vmm/base/err.h"
#include "vmm/base/ports/block.h"
#include "vmm/base/virtio.h"

#include <liburing.h>
#include <pthread.h>

#define DISK_THREADS_MAX 16

struct disk_options {
	bool readonly;
	bool direct;	     /* O_DIRECT: not through the host's page cache */
	bool discard;	     /* give back space that the guest does not need */
	bool raw;	     /* whatever the first bytes look like */
	bool fail_when_full; /* a write that the host has no room for is an error; else it waits */
	unsigned queues;
};

struct disk;

struct disk_queue {
	struct disk *disk;
	int fd; /* the file, opened for this queue: its fsync hears of all errors since its last */
	struct io_uring ring;
	bool has_ring;
	int completed;	/* eventfd: there is something to reap */
	int timer;	/* timerfd: it is time to try again */
	bool has_timer; /* it runs */
	bool draining;
	/* waiting for an fsync to begin; the one that runs, with those that it is for as well */
	struct block_request *to_sync, *syncing;
	struct block_request *held, **held_end; /* the host had no room for them */
	struct block_request *ended;		/* by threads, last first; atomic */
	unsigned in_flight;			/* requests; atomic */
	/* how long polling may last, in ns, and when it last found nothing (0: it found something)
	 */
	uint64_t patience, gave_up_at;
};

/* Threads that do what would keep a queue's own thread from its work; lock: all of it. */
struct disk_threads {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct block_request *first, **last;
	unsigned nr_waiting; /* requests */
	pthread_t threads[DISK_THREADS_MAX];
	unsigned nr, nr_idle;
	bool stop;
};

/* What is behind says of itself, in bytes; 0: nothing. */
struct disk_topology {
	uint32_t physical;	 /* the least that it writes without reading */
	uint32_t first;		 /* where the first whole one of those begins */
	uint32_t min_io, opt_io; /* what is best asked for at once: at least, at most */
	uint64_t discard_max;	 /* at once; 0: there is no discard */
	uint32_t discard_granularity;
};

struct disk {
	int fd;		  /* -1: not open */
	const char *path; /* borrowed */
	struct disk_options options;
	uint64_t size;	     /* bytes */
	uint32_t block_size; /* bytes: the least that O_DIRECT or the device takes */
	struct disk_topology topology;
	bool is_device;
	bool polls;  /* this process has several CPUs */
	int no_ring; /* why threads serve it: errno of io_uring; 0: a ring does */
	struct disk_threads threads;
	struct disk_queue queues[VIRTIO_BLK_QUEUES_MAX];
	/* what the user should read; NULL: nobody listens */
	void (*say)(void *to, const char *sentence);
	void *say_to;
	int sync_error; /* of the first fsync that failed; atomic */
	/* lock: what follows, which no usual request touches */
	pthread_mutex_t lock;
	unsigned nr_held; /* requests in all queues that wait for room */
	bool said_full, said_error;
	uint64_t said_full_at; /* ns; 0: never */
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
/* What the user should know of a disk that was opened: whether there is something. */
bool disk_lacks_discard(const struct disk *d, struct err *remark);
bool disk_lacks_ring(const struct disk *d, struct err *remark);
/* Requests that have not ended. Any thread. */
unsigned disk_busy(const struct disk *d);
/* Who hears what becomes of it; on the threads of its queues. NULL: nobody, from now on. */
void disk_listen(struct disk *d, void (*say)(void *to, const char *sentence), void *to);

/* For the thread of one queue (`queue` is a struct disk_queue). */
const struct block_queue_ops *disk_queue_ops(const struct disk *d);
/* `completed` or `timer` is readable: takes what is completed, and calls its done. */
void disk_reap(void *queue);

#endif
