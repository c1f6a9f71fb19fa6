/*
 * The common part of every virtio device, and the callbacks of its transport. Virtual I/O
 * Device 1.2 chapters 2 and 3; the transport is devices/virtio_pci.h.
 *
 * Threads: a driver's register accesses come on vCPU threads, under the transport's lock. A
 * worker's thread handles buffers, one queue at a time under the queue's lock, which is taken
 * inside the transport's. No function here takes long on a vCPU's thread except a reset, which
 * waits for the requests in flight, because they may write to memory that the driver uses for
 * something else afterwards.
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
	uint32_t class; /* class code of PCI, 24 bits */
	/*
	 * The queues of which a returned buffer shows that the guest's programs work, a bit each:
	 * not those whose buffers the host fills by itself, or an idle kernel returns.
	 */
	uint64_t work;
	/*
	 * The driver wrote to the device's configuration, and the bytes are in state.config. Under
	 * the transport's lock. NULL: the configuration is read-only, and writes are dropped.
	 */
	void (*config_written)(struct virtio_device *dev);
	/*
	 * Takes the buffers that the driver may have added to queue `i`. On a worker's thread, with
	 * the queue's lock held. Not called for queues whose kicks a server reads (vhost; but see
	 * virtio_net). NULL: the device takes no buffers.
	 */
	void (*handle)(struct virtio_device *dev, unsigned i);
	/*
	 * Whether every one of these features has the features that it requires, because the driver
	 * may accept only such sets (2.2.1). `features` are among the offered ones. NULL: no
	 * feature requires another.
	 */
	bool (*features_good)(uint64_t features);
	/*
	 * The driver has set DRIVER_OK: dev->state.accepted has its features, and its queues are
	 * started. May be NULL.
	 */
	void (*ready)(struct virtio_device *dev);
	/* The queues are stopped: returns when no request is in flight any more. May be NULL. */
	void (*reset)(struct virtio_device *dev);
};

/*
 * The state that is not in `ring`. Lock: the queue's; writes of the driver hold the transport's,
 * too.
 */
struct virtio_queue_state {
	bool enabled; /* by the driver; the queue starts when the driver is also ready */
};

/* For virtio_ops.work. */
#define VIRTIO_WORK_ALL	     UINT64_MAX
#define VIRTIO_WORK_TRANSMIT UINT64_C(0xaaaaaaaaaaaaaaaa) /* the second of each pair */

struct virtio_queue {
	pthread_mutex_t lock;
	struct virtqueue ring;
	struct virtio_queue_state state;
	unsigned size_max;
	unsigned taken; /* buffers that virtio_take took in this call of `handle` */
	uint16_t seen;	/* virtqueue_returned() when virtio_work() looked last */
	int kick;	/* eventfd, borrowed; signalled when the driver kicks the queue */
};

/* The state that is not in the queues. Lock: the transport's. */
struct virtio_device_state {
	uint64_t accepted; /* features that the driver accepted; set when it is ready */
	/* The device's configuration, as the driver reads it. */
	uint8_t config[VIRTIO_CONFIG_MAX];
};

struct virtio_device {
	const struct virtio_ops *ops;
	const char *name;  /* for sentences to the user; ops->name unless set otherwise */
	uint64_t features; /* offered */
	struct virtio_device_state state;
	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
	unsigned nr_queues;
	unsigned config_size; /* bytes of state.config that the driver can access */
	struct server server; /* of the first queues, while the driver is ready; ops NULL: none */
	unsigned nr_served;   /* queues that `server` serves; `ready` may change the number */
	bool served;	      /* the server is started */
	uint64_t worked;      /* the result of virtio_work() */
	int server_error;     /* eventfd, borrowed: the server gave up a ring; -1: not polled */
	/* callbacks of the transport, set while the device is plugged */
	void (*interrupt)(void *to, unsigned queue);
	/*
	 * Changes the configuration and interrupts the driver. False only without `wait`: the
	 * transport's lock is held by an access of the driver.
	 */
	bool (*config_changed)(void *to, unsigned offset, const void *bytes, unsigned n, bool wait);
	/*
	 * Sets DEVICE_NEEDS_RESET. `why` is for the user, who needs no sentence if it is NULL; the
	 * string is valid only during the call.
	 */
	void (*needs_reset)(void *to, const char *why);
	void (*lock)(void *to, bool lock); /* takes or releases the transport's lock */
	/* The eventfd that interrupts the driver for a queue; -1: the queue has no vector. */
	int (*interrupt_fd)(void *to, unsigned queue);
	void *to;
};

/*
 * `sizes` are the largest sizes of the `n` queues. Offers `features`, those of rings, and
 * VIRTIO_F_VERSION_1.
 */
void virtio_init(struct virtio_device *dev, const struct virtio_ops *ops, uint64_t features,
		 const uint16_t *sizes, unsigned n);

/*
 * Lets `server` serve the first `n` queues. Of the features of rings and of `features`, only those
 * in server->ring_features are offered to the driver.
 */
void virtio_set_server(struct virtio_device *dev, const struct server *server, unsigned n,
		       uint64_t features);
/*
 * To be called when a server that was gone is connected again: the server continues with the rings
 * of a driver that is ready. Returns false if the server cannot, and then the driver must reset the
 * device. Must not be called on a thread that a reset waits for.
 */
bool virtio_server_back(struct virtio_device *dev);
/*
 * To be called when `server_error` is readable: the driver must reset the device. Must not be
 * called on a thread that a reset waits for.
 */
void virtio_server_failed(struct virtio_device *dev);

/* --- for workers --- */

/* To be called when the kick of queue `i` is readable: reads the eventfd and handles the queue. */
void virtio_kicked(struct virtio_device *dev, unsigned i);
/*
 * Calls `handle` for queue `i` if the queue is started and not broken; a queue that is broken asks
 * for a reset. With the queue's lock held.
 */
void virtio_handle(struct virtio_device *dev, unsigned i);
/*
 * For `handle`: as virtqueue_take, but returns false and calls virtio_again after as many buffers
 * as the queue may have entries, because other queues wait for this thread.
 */
bool virtio_take(struct virtio_device *dev, unsigned i, struct virtqueue_buffer *b);
/* Kicks queue `i`, so that the worker handles the queue again after other queues. */
void virtio_again(struct virtio_device *dev, unsigned i);
/*
 * To be called after virtqueue_push, with the queue's lock held: interrupts the driver unless it
 * has suppressed interrupts.
 */
void virtio_interrupt(struct virtio_device *dev, unsigned i);
/*
 * Changes bytes of the device's configuration and interrupts the driver. Must not be called on a
 * worker's thread, because a reset, which holds the transport's lock, may wait for that thread.
 */
void virtio_set_config(struct virtio_device *dev, unsigned offset, const void *bytes, unsigned n);
/*
 * As virtio_set_config, but returns false instead of waiting for the transport's lock, such as
 * while a reset waits for storage.
 */
bool virtio_try_config(struct virtio_device *dev, unsigned offset, const void *bytes, unsigned n);

/*
 * Returns a count that has grown since the last call if requests of the driver have completed
 * (ops->work), by whoever serves them. Costs the queues nothing, as it only looks at the rings. One
 * thread at a time.
 */
uint64_t virtio_work(struct virtio_device *dev);

/* --- for transports --- */

/* The driver has set DRIVER_OK: starts every enabled queue and kicks it. */
void virtio_start(struct virtio_device *dev);
/* Starts a queue that the driver enabled after DRIVER_OK. */
void virtio_start_queue(struct virtio_device *dev, unsigned i);
/*
 * Stops all queues and forgets the driver's settings. No request is in flight when this returns.
 */
void virtio_reset(struct virtio_device *dev);

#endif
