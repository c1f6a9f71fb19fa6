/*
 * virtio-vsock: stream sockets between guest and host. Virtual I/O Device 1.2 section 5.10. Either
 * the host's kernel serves the queues (vhost-vsock) and this process has only the registers; or
 * this process serves the queues, on the thread of a port (vmm/base/ports/stream.h), which has the
 * host's ends of the connections.
 *
 * The lock of the receive queue also protects the connections. It is taken inside the transmit
 * queue's lock.
 */
#ifndef DEVICES_VIRTIO_VSOCK_H
#define DEVICES_VIRTIO_VSOCK_H

#include "devices/virtio.h"
#include "devices/vsock_connection.h"
#include "vmm/base/ports/server.h"

#define VSOCK_HEADER	  44  /* bytes of struct virtio_vsock_hdr: 5.10.6 */
#define VSOCK_REFUSALS	  128 /* RSTs that wait for receive buffers, at most */
#define VSOCK_CID_HOST	  2   /* 5.10.4 */
#define VSOCK_TYPE_STREAM 1

struct vsock_header {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len;
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt;
};

/* The state that is not in `dev` or the table. With the receive queue's lock. */
struct virtio_vsock_state {
	unsigned turn;				      /* connection that is served next */
	struct vsock_header refusals[VSOCK_REFUSALS]; /* a ring of RSTs that have no connection */
	unsigned refusal, nr_refusals;		      /* the first one, and their number */
	bool tx_waits;				      /* TX waits for room in `refusals` */
};

struct virtio_vsock {
	struct virtio_device dev;
	uint32_t cid;
	/* with the receive queue's lock */
	struct vsock_table *table; /* NULL: a server serves the queues */
	struct virtio_vsock_state state;
	struct virtqueue_buffer held; /* a receive buffer for the next packet, if has_held */
	bool has_held;
	/* with the transmit queue's lock */
	struct virtqueue_buffer out;
};

/* `cid`: the guest's address, at least 3. `server` serves the queues. */
void virtio_vsock_init(struct virtio_vsock *vsock, uint32_t cid, const struct server *server);
/* This process serves the queues, and `port` has the host's ends. Returns 0 or -ENOMEM. */
int virtio_vsock_init_port(struct virtio_vsock *vsock, uint32_t cid, const struct vsock_port *port,
			   struct err *err);
/* Undoes either init function; does nothing for a struct of zeroes. */
void virtio_vsock_destroy(struct virtio_vsock *vsock);

/* The functions of struct vsock_user (vmm/base/ports/stream.h). On the port's thread. */
int virtio_vsock_call(struct virtio_vsock *vsock, uint32_t port, unsigned caller);
void virtio_vsock_event(struct virtio_vsock *vsock, unsigned id);

#endif
