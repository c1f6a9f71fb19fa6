/*
 * virtio-vsock: stream sockets between guest and host. Virtual I/O Device 1.2 section 5.10. Either
 * the host's kernel serves the queues (vhost-vsock), and here are the registers; or we do, and
 * connections go to and come from a port (vmm/base/ports/stream.h), on the port's thread.
 *
 * The lock of the receive queue is that of the connections, too. It is taken inside the transmit
 * queue's.
 */
#ifndef DEVICES_VIRTIO_VSOCK_H
#define DEVICES_VIRTIO_VSOCK_H

#include "devices/virtio.h"
#include "devices/vsock_connection.h"
#include "vmm/base/ports/server.h"

#define VSOCK_HEADER	  44  /* bytes of struct virtio_vsock_hdr: 5.10.6 */
#define VSOCK_REFUSALS	  128 /* packets that wait to be answered with RST */
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

/* Beside the states of `dev` and of the table. With the receive queue's lock. */
struct virtio_vsock_state {
	unsigned turn;				      /* whose packets are next */
	struct vsock_header refusals[VSOCK_REFUSALS]; /* RSTs of no connection, a ring */
	unsigned refusal, nr_refusals;
	bool tx_waits; /* for room there */
};

struct virtio_vsock {
	struct virtio_device dev;
	uint32_t cid;
	/* with the receive queue's lock; NULL: the server has the queues */
	struct vsock_table *table;
	struct virtio_vsock_state state;
	struct virtqueue_buffer held; /* a receive buffer that was taken and not used */
	bool has_held;
	/* with the transmit queue's lock */
	struct virtqueue_buffer out;
};

/* `cid`: the guest's address, from 3 on. */
void virtio_vsock_init(struct virtio_vsock *vsock, uint32_t cid, const struct server *server);
/* The same, and `port` has the connections. -ENOMEM. */
int virtio_vsock_init_port(struct virtio_vsock *vsock, uint32_t cid, const struct vsock_port *port,
			   struct err *err);
/* Of either; safe on zeroes. */
void virtio_vsock_destroy(struct virtio_vsock *vsock);

/* struct vsock_user's (vmm/base/ports/stream.h), for the port's thread. */
int virtio_vsock_call(struct virtio_vsock *vsock, uint32_t port, unsigned caller);
void virtio_vsock_event(struct virtio_vsock *vsock, unsigned id);

#endif
