/*
 * What every virtio device is made of, and what it may ask of its transport. Virtual I/O Device 1.2
 * chapters 2 and 3; the transport is devices/virtio_pci.h.
 *
 * Threads: a driver's register accesses come on vCPU threads, under the transport's lock. Buffers
 * are handled on a worker's thread, a queue at a time under its own lock, which is taken inside the
 * transport's. Nothing here runs for long on a vCPU's thread except a reset, which waits for what
 * is in flight: it may write to memory that the driver is about to use for something else.
 */
#ifndef DEVICES_VIRTIO_H
#define DEVICES_VIRTIO_H

#include "devices/virtqueue.h"
#include "vmm/base/err.h"
#include "vmm/base/ports/server.h"
#include "vmm/base/virtio.h"

#include <pthread.h>

#define VIRTIO_CONFIG_MAX 256

struct virtio_device;

struct virtio_ops {
	const char *name;
	uint8_t type;	/* chapter 5 */
	uint32_t class; /* PCI's, 24 bits */
	/*
	 * The driver wrote to the configuration: what it wrote is there now, and here the device
	 * takes what it needs of it. Under the transport's lock. NULL: it cannot write there.
	 */
	void (*config_written)(struct virtio_device *dev);
	/*
	 * Buffers may have come to queue `i`: take them. Worker's thread, queue's lock held. Not
	 * called if somebody else has the kicks (vhost; but see virtio_net). NULL: none is ever
	 * taken.
	 */
	void (*handle)(struct virtio_device *dev, unsigned i);
	/*
	 * Whether each of these features that needs another one has it: the driver may accept only
	 * such (2.2.1). Of those that are offered; NULL: none needs another.
	 */
	bool (*features_good)(uint64_t features);
	/* The driver is ready, with dev->state.accepted, and its queues are started. May be NULL.
	 */
	void (*ready)(struct virtio_device *dev);
	/* Queues are stopped: returns when nothing is in flight any more. May be NULL. */
	void (*reset)(struct virtio_device *dev);
};

/* Beside the state of `ring`. Locks: the queue's, and for the driver's writes the transport's, too.
 */
struct virtio_queue_state {
	bool enabled; /* by the driver; it is started once the driver is ready, too */
};

struct virtio_queue {
	pthread_mutex_t lock;
	struct virtqueue ring;
	struct virtio_queue_state state;
	unsigned size_max;
	unsigned taken; /* by virtio_take, in one go */
	int kick;	/* eventfd, borrowed: the driver has put buffers in */
};

/* Beside the states of the queues. Lock: the transport's. */
struct virtio_device_state {
	uint64_t accepted; /* features, by the driver, once it is ready */
	/* What the driver reads as the device's configuration. */
	uint8_t config[VIRTIO_CONFIG_MAX];
};

struct virtio_device {
	const struct virtio_ops *ops;
	const char *name;  /* for the user: that of the ops, or a better one */
	uint64_t features; /* offered */
	struct virtio_device_state state;
	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
	unsigned nr_queues;
	unsigned config_size; /* bytes of the configuration that there are */
	struct server server; /* has the first queues while the driver is ready; or none */
	unsigned nr_served;   /* `ready` may change it */
	bool served;	      /* now */
	int server_error;     /* eventfd, borrowed: the server gave a ring up; -1: nobody listens */
	/* the transport's, while plugged */
	void (*interrupt)(void *to, unsigned queue);
	/* False only without `wait`: the driver's accesses are held up. */
	bool (*config_changed)(void *to, unsigned offset, const void *bytes, unsigned n, bool wait);
	/* `why` is there for the call only; NULL: the user knows. */
	void (*needs_reset)(void *to, const char *why);
	void (*lock)(void *to, bool lock); /* what serializes a driver's accesses */
	int (*interrupt_fd)(void *to, unsigned queue);
	void *to;
};

/* `sizes` are the most entries of each queue. Adds the features that this file and the ring have.
 */
void virtio_init(struct virtio_device *dev, const struct virtio_ops *ops, uint64_t features,
		 const uint16_t *sizes, unsigned n);

/*
 * Leaves the first `n` queues to `server`. The driver is offered no features of the ring, and none
 * of `features`, that the server does not have.
 */
void virtio_set_server(struct virtio_device *dev, const struct server *server, unsigned n,
		       uint64_t features);
/*
 * The server went and is there again: it goes on with the rings of a driver that is ready. If it
 * cannot the driver must start anew: returns false. Not on a thread that a reset waits for.
 */
bool virtio_server_back(struct virtio_device *dev);
/* `server_error` is readable: the driver must start anew. Likewise. */
void virtio_server_failed(struct virtio_device *dev);

/* --- for workers --- */

/* The kick of queue `i` is readable: takes it, and the buffers. */
void virtio_kicked(struct virtio_device *dev, unsigned i);
/* Handles what is in queue `i`, if it is started and well. With the queue's lock held. */
void virtio_handle(struct virtio_device *dev, unsigned i);
/*
 * As virtqueue_take, in `handle`; but after as many buffers as a ring has it says that there is
 * none, and calls virtio_again: others are waiting for this thread.
 */
bool virtio_take(struct virtio_device *dev, unsigned i, struct virtqueue_buffer *b);
/* There is more in queue `i` than was taken in one go: it is handled again, after others. */
void virtio_again(struct virtio_device *dev, unsigned i);
/* After pushes, with the queue's lock held: interrupts the driver if it wants that. */
void virtio_interrupt(struct virtio_device *dev, unsigned i);
/*
 * The device's configuration has new bytes: tells the driver. Not on a worker's thread, which a
 * reset may wait for.
 */
void virtio_set_config(struct virtio_device *dev, unsigned offset, const void *bytes, unsigned n);
/* The same, or false if that had to wait, such as for a reset that waits for storage. */
bool virtio_try_config(struct virtio_device *dev, unsigned offset, const void *bytes, unsigned n);

/* --- for transports --- */

/* The driver is ready: starts every enabled queue, and looks into it. */
void virtio_start(struct virtio_device *dev);
/* Starts one queue after the others. */
void virtio_start_queue(struct virtio_device *dev, unsigned i);
/* Stops all queues, forgets what the driver said. Nothing is in flight on return. */
void virtio_reset(struct virtio_device *dev);

#endif
