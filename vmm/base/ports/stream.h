/*
 * The other end of a guest's sockets: programs of the host. Base: the device speaks the guest's
 * protocol, vmm/backends/vsock.c has the host's sockets, and the machine introduces them.
 *
 * A connection is a number below VSOCK_CONNECTIONS, which the device gives out and takes back.
 */
#ifndef BASE_PORTS_STREAM_H
#define BASE_PORTS_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define VSOCK_CONNECTIONS 256u

/*
 * What the device asks of the port. Any thread, one at a time, under the device's lock: nothing
 * here waits, nor calls the device. `id` is a connection from connect or adopt on, until close.
 */
struct vsock_port_ops {
	/* The guest connects to `port` of the host. 0: `id` is connected; negative: refused. */
	int (*connect)(void *to, unsigned id, uint32_t port);
	/* `caller`, as given to vsock_user.call, is connection `id` from now on. */
	void (*adopt)(void *to, unsigned id, unsigned caller);
	/* The guest has accepted it; the host's end is `port`. Negative: it is dead. */
	int (*accepted)(void *to, unsigned id, uint32_t port);
	/* Number of bytes taken; -EAGAIN: none now; others: the host takes no more at all. */
	ssize_t (*send)(void *to, unsigned id, const struct iovec *parts, unsigned n);
	/* Number of bytes given; 0: the host sends no more; -EAGAIN: none now; others: dead. */
	ssize_t (*receive)(void *to, unsigned id, const struct iovec *parts, unsigned n);
	/* The guest will not receive, or send, any more. */
	void (*shutdown)(void *to, unsigned id, bool receive, bool send);
	/* Whether the host's program has closed it, in both directions. */
	bool (*hung_up)(void *to, unsigned id);
	/* Room for bytes is an event, too, or no longer. */
	void (*want_room)(void *to, unsigned id, bool want);
	void (*close)(void *to, unsigned id);
};

struct vsock_port {
	const struct vsock_port_ops *ops;
	void *to;
};

/* What the port tells the device; on the port's thread, without any lock. */
struct vsock_user {
	/*
	 * A program of the host wants to be connected to `port` of the guest. 0: it was adopted;
	 * -ENOTCONN: the guest has no driver; -ENOSPC: too many.
	 */
	int (*call)(void *to, uint32_t port, unsigned caller);
	/*
	 * Connection `id` has bytes, an end, or room where there was none. Each once, when it
	 * comes; one that comes too late, for a connection that is gone, does no harm.
	 */
	void (*event)(void *to, unsigned id);
	void *to;
};

#endif
