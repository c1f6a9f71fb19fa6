/*
 * Virtio devices whose queues another process has (vhost-user): disks, network adapters, shared
 * folders.
 *
 * The process may go and come back; a thread looks for it. What it serves, its kind says.
 */
#ifndef MACHINE_VIRTIO_REMOTE_H
#define MACHINE_VIRTIO_REMOTE_H

#include "vmm/backends/vhost_user.h"
#include "vmm/machine/virtio/kinds.h"

struct virtio_remote_backend {
	struct vhost_user user;
	uint8_t mac[6];	 /* of a network adapter */
	const char *tag; /* of a shared folder; borrowed */
};

/* For virtio_kind.open: makes b->own a struct virtio_remote_backend and sets b->ops. As
 * vhost_user_open(). */
int virtio_remote_open(struct virtio_backend *b, const char *option, const char *path,
		       const struct vhost_user_kind *kind, unsigned queues, struct err *err);

#endif
