/*
 * A virtual disk's back end: a raw image or a block device.
 *
 * Host side: opens, locks and asks the file, and serves its requests: by io_uring, or, where the
 * host does not allow that, by threads that read and write. A disk is opened once and outlives
 * guest resets; each of its queues is served by one thread. Opening the same image twice is refused
 * (vmm/host/file_lock.h) unless it is only read: readonly=on, or private=on, of which the writes go
 * to an overlay.
 */
#ifndef BACKENDS_DISK_H
#define BACKENDS_DISK_H

#include "vmm/backends/disk_overlay.h"
#include "vmm/base/err.h"
#include "vmm/base/ports/block.h"
#include "vmm/base/virtio.h"

#include <liburing.h>
#include <pthread.h>

#define DISK_THREADS_MAX 16

struct disk_options {
	bool readonly;
	bool is_private;     /* the guest's writes are for this run only; the image is only read */
	bool direct;	     /* O_DIRECT: not through the host's page cache */
	bool discard;	     /* the guest's discards free space on the host */
	bool raw;	     /* even if the first bytes are those of another format */
	bool fail_when_full; /* a write without room on the host fails; else it waits */
	unsigned queues;
};

struct disk;

struct disk_queue {
	struct disk *disk;
	int fd; /* the file, opened for this queue, so that fsync reports each error to it */
	struct io_uring ring;
	bool has_ring;
	int completed;	/* eventfd: signalled when a request completed */
	int timer;	/* timerfd: expires when a request is to be tried again */
	bool has_timer; /* the timer is armed */
	bool draining;
	/* requests that wait for the next fsync; requests for which the present one runs */
	struct block_request *to_sync, *syncing;
	struct block_request *held, **held_end; /* requests that wait for room on the host */
	struct block_request *ended; /* requests that threads completed, last first; atomic */
	unsigned in_flight;	     /* requests; atomic */
	/*
	 * the limit of polling in ns, and when polling last found nothing (0: it found something)
	 */
	uint64_t poll_ns, gave_up_at;
};

/* Threads for the system calls that would block a queue's own thread. `lock` guards all members. */
struct disk_threads {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct block_request *first, **last;
	unsigned nr_waiting; /* requests */
	pthread_t threads[DISK_THREADS_MAX];
	unsigned nr, nr_idle;
	bool stop;
};

/* What the device or file system reports of itself, in bytes; 0: not reported. */
struct disk_topology {
	uint32_t physical;	 /* the least that the device writes without reading first */
	uint32_t first;		 /* offset of the first such block */
	uint32_t min_io, opt_io; /* the best sizes of a request: at least, at most */
	uint64_t discard_max;	 /* bytes of one discard at most; 0: there is no discard */
	uint32_t discard_granularity;
};

struct disk {
	int fd;		  /* -1: not open */
	const char *path; /* borrowed */
	struct disk_options options;
	uint64_t size;	     /* bytes */
	uint32_t block_size; /* bytes: the least unit of O_DIRECT or the device */
	struct disk_topology topology;
	bool is_device;
	bool polls;  /* queues poll, because this process has several CPUs */
	int no_ring; /* the errno of io_uring, because of which threads serve the disk; 0: rings do
		      */
	struct disk_overlay overlay; /* of a private disk */
	struct disk_threads threads;
	struct disk_queue queues[VIRTIO_BLK_QUEUES_MAX];
	/* called with sentences for the user; NULL: none are wanted */
	void (*say)(void *to, const char *sentence);
	void *say_to;
	int sync_error; /* of the first fsync that failed; atomic */
	/* guards the following members, which requests touch only when the host is full */
	pthread_mutex_t lock;
	unsigned nr_held; /* requests in all queues that wait for room */
	bool said_full, said_error;
	uint64_t said_full_at; /* when the user was last told that the host is full, in ns; 0: never
				*/
};

#define DISK_EMPTY                          \
	{                                   \
		.fd = -1, .overlay.fd = -1, \
	}

/*
 * Opens and locks the file. -EINVAL: it cannot be a disk; other errors: the host refuses. The
 * sentence names the path.
 */
int disk_open(struct disk *d, const char *path, const struct disk_options *options,
	      struct err *err);
/*
 * Reads the size of the file or device again. -EINVAL: with the new size it cannot be a disk.
 * -EOPNOTSUPP: it is private, and its size stays.
 */
int disk_look_again(struct disk *d, struct err *err);
void disk_close(struct disk *d);
/* Returns whether discard=on has no effect on this disk, with a remark for the user. */
bool disk_lacks_discard(const struct disk *d, struct err *remark);
bool disk_lacks_ring(const struct disk *d, struct err *remark);
/* The number of requests in flight. Called on any thread. */
unsigned disk_busy(const struct disk *d);
/*
 * Sets the callback for sentences about the disk, called on the threads of its queues. NULL: from
 * now on there is none.
 */
void disk_listen(struct disk *d, void (*say)(void *to, const char *sentence), void *to);

/* The operations for the thread of one queue; their `queue` is a struct disk_queue. */
const struct block_queue_ops *disk_queue_ops(const struct disk *d);
/*
 * Called when `completed` or `timer` is readable: collects completed requests and calls their
 * `done`.
 */
void disk_reap(void *queue);

#endif
