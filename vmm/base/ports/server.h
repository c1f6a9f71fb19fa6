/*
 * Somebody outside of this process who serves the queues of a virtio device: the rings, the
 * eventfds, and how to start and stop it. Base: devices describe and ask; vmm/backends/vhost.c (the
 * kernel) and vmm/backends/vhost_user.c (another process) do.
 */
#ifndef BASE_PORTS_SERVER_H
#define BASE_PORTS_SERVER_H

#include "vmm/base/err.h"
#include "vmm/base/guest_memory.h"

struct served_queue {
	unsigned size;			 /* 0: the driver does not use it */
	uint8_t *desc, *driver, *device; /* the three areas, in this process */
	int kick, call;			 /* eventfds; borrowed */
	int error; /* likewise: the server gave the ring up; -1: nobody asks */
};

/* What a server that is there again finds. */
enum server_state {
	SERVER_RUNS,	/* it was started meanwhile: nothing is to be done */
	SERVER_RESUMES, /* it can go on with the rings */
	SERVER_LOST,	/* what it was doing is lost: the driver must begin anew */
};

/* Any thread, one at a time. */
struct server_ops {
	/* The driver is ready, with these features. -ENOTCONN: not connected yet.
	 */
	int (*start)(void *server, const struct guest_ram *ram, const struct served_queue *queues,
		     unsigned n, uint64_t features, struct err *err);
	/* On return nothing of the queues is touched any more. */
	void (*stop)(void *server, unsigned n);
	/* After it was gone. NULL: it never is. */
	enum server_state (*state)(void *server);
};

struct server {
	const struct server_ops *ops; /* NULL: none */
	void *to;
	uint64_t ring_features; /* of the ring, that it has: VIRTIO_F_* */
};

#endif
