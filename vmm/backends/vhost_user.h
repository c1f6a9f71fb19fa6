/*
 * vhost-user: another process serves the queues of a virtio device, told so over a Unix socket.
 * QEMU's docs/interop/vhost-user.rst; we are the front-end.
 *
 * Host side. Guest RAM must be a file (ram_block.fd); it is handed over in as few regions as the
 * plan has spans, also above 1 TiB. Rings are split. The process may go and come back: then the
 * rings go on where they were, if nothing that it had taken is lost.
 */
#ifndef BACKENDS_VHOST_USER_H
#define BACKENDS_VHOST_USER_H

#include "vmm/backends/vhost_user_message.h"
#include "vmm/base/err.h"
#include "vmm/base/guest_memory.h"
#include "vmm/base/ports/net.h"
#include "vmm/base/ports/server.h"

#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdbool.h>

#define VHOST_USER_CONFIG_MAX WIRE_CONFIG_MAX

/* Features of virtio-blk and virtio-net (virtio 1.2, 5.2.3 and 5.1.3) that ask nothing of us. */
#define VHOST_USER_BLK_FEATURES                                                                \
	(VIRTIO_BIT(BLK_F_SIZE_MAX) | VIRTIO_BIT(BLK_F_SEG_MAX) | VIRTIO_BIT(BLK_F_GEOMETRY) | \
	 VIRTIO_BIT(BLK_F_RO) | VIRTIO_BIT(BLK_F_BLK_SIZE) | VIRTIO_BIT(BLK_F_FLUSH) |         \
	 VIRTIO_BIT(BLK_F_TOPOLOGY) | VIRTIO_BIT(BLK_F_MQ) | VIRTIO_BIT(BLK_F_DISCARD) |       \
	 VIRTIO_BIT(BLK_F_WRITE_ZEROES))
#define VHOST_USER_NET_FEATURES (NET_OFFLOADS | VIRTIO_BIT(NET_F_MRG_RXBUF))

#define VHOST_USER_QUEUES_MAX VIRTIO_QUEUES_MAX

/* What is lost with the process, apart from the rings. */
enum vhost_user_state {
	VHOST_USER_REQUESTS, /* those that it had taken and not answered */
	VHOST_USER_FRAMES,   /* the same, but a network loses some anyway */
	VHOST_USER_SESSION,  /* what it and the driver know of each other: the driver begins anew */
};

/* How the program was told of guest memory since it was connected. */
enum vhost_user_told {
	VHOST_USER_TOLD_NOTHING,
	VHOST_USER_TOLD_TABLE, /* of all of it, in one message */
	/* Region by region, perhaps after a table: it keeps what it was told. */
	VHOST_USER_TOLD_EACH,
};

struct vhost_user_kind {
	uint64_t features; /* of the device, that may come from the process */
	unsigned config;   /* bytes of the device's configuration that come from it */
	enum vhost_user_state state;
};

struct vhost_user {
	pthread_mutex_t lock; /* the driver starts and stops it, a thread connects it again */
	struct wire wire;     /* set by that thread alone */
	/* as it was at first, and is still when it comes back */
	const struct vhost_user_kind *kind; /* NULL: not open */
	unsigned nr_queues;
	uint64_t features;    /* that the program has acknowledged */
	uint64_t regions;     /* of guest memory, that it must be told of */
	uint64_t regions_max; /* that it can be told of */
	uint8_t config[VHOST_USER_CONFIG_MAX];
	enum vhost_user_told told;
	struct guest_memory_listener listener;
	bool gone;   /* and not started since */
	bool begun;  /* it was told of a ring */
	bool resume; /* rings were running when it went */
	bool idle;   /* and it had done all that it was asked for */
	/* of rings that run: what the driver and the process say of them */
	const uint8_t *drivers[VHOST_USER_QUEUES_MAX], *devices[VHOST_USER_QUEUES_MAX];
	/* what it has taken of the rings, in memory that outlives it; -1: it does not keep it so */
	int inflight;
	uint8_t inflight_shape[20];
};

#define VHOST_USER_EMPTY                                                               \
	{                                                                              \
		.lock = PTHREAD_MUTEX_INITIALIZER, .wire = WIRE_EMPTY, .inflight = -1, \
	}

/* `option`, `path` and `kind` are borrowed. -EINVAL: it does not serve such a device. */
int vhost_user_open(struct vhost_user *v, const char *option, const char *path,
		    const struct vhost_user_kind *kind, unsigned nr_queues, struct err *err);
/* The guest memory has forgotten it. */
void vhost_user_close(struct vhost_user *v);

/*
 * From now on the program is told of guest memory that comes and goes, once it was told of that
 * which is there: when a ring starts. -E2BIG: it cannot be told of so much. `v` stays where it is.
 */
int vhost_user_listen(struct vhost_user *v, struct guest_memory *m, struct err *err);

/*
 * It goes and comes back: on one thread, which waits for it, and not for long under the lock that
 * start and stop take.
 */
/* The process is gone: its socket hung up. */
void vhost_user_lost(struct vhost_user *v);
/* Connects again. -EINVAL: it serves another device now; others: not yet. */
int vhost_user_reconnect(struct vhost_user *v, struct err *err);
/*
 * Seconds until the next look for it: `ret` is what the last one gave, before which `last` seconds
 * had passed. One that is there and does not answer is looked for ever less often.
 */
unsigned vhost_user_retry(unsigned last, int ret);
/*
 * Nothing is waited for any more, or again: who does so now ends as if the program did not answer.
 * Any thread.
 */
void vhost_user_cancel_waits(const struct vhost_user *v, bool cancel);

/* A struct vhost_user. start returns -ENOTCONN while the process is gone. */
extern const struct server_ops vhost_user_ops;

#endif
