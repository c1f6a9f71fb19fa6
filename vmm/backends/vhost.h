/*
 * vhost: the host's kernel serves the queues of a virtio device by itself. linux/vhost.h.
 *
 * Host side. Guest memory is told in as few regions as the plan has spans, also above 1 TiB.
 * Rings are split: vhost knows no others.
 */
#ifndef BACKENDS_VHOST_H
#define BACKENDS_VHOST_H

#include "vmm/base/err.h"
#include "vmm/base/guest_memory.h"
#include "vmm/base/ports/server.h"

#include <stdbool.h>

struct vhost {
	int fd;		   /* -1: not open */
	uint64_t features; /* of the ring, that vhost has */
	bool knows_memory; /* it was told of it, for rings */
	struct guest_memory_listener listener;
};

#define VHOST_EMPTY      \
	{                \
		.fd = -1 \
	}

/* `path` is /dev/vhost-net or /dev/vhost-vsock. */
int vhost_open(struct vhost *v, const char *path, struct err *err);
/* The guest memory has forgotten it. */
void vhost_close(struct vhost *v);

/*
 * From now on, once a ring was set up, it is told of guest memory that comes and goes. `v` stays
 * where it is.
 */
int vhost_listen(struct vhost *v, struct guest_memory *m, struct err *err);
/* Guest memory and rings; `features` are what the driver accepted. The device itself comes next. */
int vhost_set_up(struct vhost *v, const struct guest_ram *ram, const struct served_queue *queues,
		 unsigned n, uint64_t features, struct err *err);
/* Sockets: the guest's address is `cid`. Then they run, or do not. */
int vhost_vsock_set_cid(const struct vhost *v, uint32_t cid, struct err *err);
int vhost_vsock_run(const struct vhost *v, bool run, struct err *err);
/* For virtio_vsock_init: a struct vhost. */
extern const struct server_ops vhost_vsock_ops;
/* A network device: its first two queues move frames to and from `tap`; -1: no longer. */
int vhost_net_run(const struct vhost *v, int tap, struct err *err);

#endif
