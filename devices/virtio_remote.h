/*
 * A virtio device whose queues another process serves (vhost-user); this process has its registers
 * and its configuration. Virtual I/O Device 1.2 sections 5.1, 5.2 and 5.11.
 */
#ifndef DEVICES_VIRTIO_REMOTE_H
#define DEVICES_VIRTIO_REMOTE_H

#include "devices/virtio.h"

struct virtio_remote {
	struct virtio_device dev;
};

/*
 * The process supports `features` and server->ring_features. `config` has VIRTIO_BLK_CONFIG bytes,
 * read from the process. `n` is the number of queues.
 */
void virtio_remote_blk(struct virtio_remote *r, uint64_t features, const uint8_t *config,
		       unsigned n, const struct server *server);
void virtio_remote_net(struct virtio_remote *r, uint64_t features, const uint8_t mac[6],
		       const struct server *server);
/*
 * Tells the driver whether the adapter has a link, which it has not while no process serves it.
 * Must not be called on a thread that a reset waits for.
 */
void virtio_remote_link(struct virtio_remote *r, bool up);
/* `tag`: at most VIRTIO_FS_TAG bytes. */
void virtio_remote_fs(struct virtio_remote *r, const char *tag, const struct server *server);

#endif
