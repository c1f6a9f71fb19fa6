/*
 * virtio-vsock: sockets between guest and host. Virtual I/O Device 1.2 section 5.10. The host's
 * kernel serves the queues (vhost-vsock); here are the registers.
 */
#ifndef DEVICES_VIRTIO_VSOCK_H
#define DEVICES_VIRTIO_VSOCK_H

#include "devices/virtio.h"
#include "vmm/server.h"

struct virtio_vsock {
	struct virtio_device dev;
};

/* `cid`: the guest's address, from 3 on. */
void virtio_vsock_init(struct virtio_vsock *vsock, uint32_t cid, const struct server *server);

#endif
