/*
 * The other end of a virtual network adapter: where its frames go to and come from. Base: the
 * device sends and receives, vmm/backends/net.c serves, and the machine introduces them.
 */
#ifndef BASE_PORTS_NET_H
#define BASE_PORTS_NET_H

#include "vmm/base/virtio.h"

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define NET_HEADER    12u		    /* bytes of struct virtio_net_hdr, before every frame */
#define NET_FRAME_MAX (NET_HEADER + 65550u) /* the largest that segmentation offload makes */

/* Checksums and segments that one side may leave to the other: sections 5.1.3 and 5.1.6. */
#define NET_OFFLOADS_GUEST                                             \
	(VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_GUEST_TSO4) | \
	 VIRTIO_BIT(NET_F_GUEST_TSO6) | VIRTIO_BIT(NET_F_GUEST_ECN) | VIRTIO_BIT(NET_F_GUEST_UFO))
#define NET_OFFLOADS_HOST                                                                     \
	(VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_HOST_TSO4) | VIRTIO_BIT(NET_F_HOST_TSO6) | \
	 VIRTIO_BIT(NET_F_HOST_ECN) | VIRTIO_BIT(NET_F_HOST_UFO))
#define NET_OFFLOADS (NET_OFFLOADS_GUEST | NET_OFFLOADS_HOST)

/* One thread at a time, the one that serves the adapter. */
struct net_port_ops {
	/* One frame, its header first. 0; -EAGAIN: not now; others: it is lost. */
	int (*send)(void *port, const struct iovec *parts, unsigned n, size_t len);
	/* One frame, its header first. Its length; -EAGAIN: none now; others: the port is dead. */
	ssize_t (*receive)(void *port, uint8_t *to, size_t cap);
	/* What the adapter wants to hear of: frames that came, room for frames. */
	void (*want)(void *port, bool frames, bool room);
	/* What of NET_OFFLOADS_GUEST the driver takes. */
	void (*offloads)(void *port, uint64_t features);
	/*
	 * The driver is gone, and the next one has not said yet what it takes: nothing is left to
	 * it, and what came for the last one is lost. Nobody serves the adapter meanwhile.
	 */
	void (*reset)(void *port);
	/*
	 * Whether frames are to go to this port of several: the first begins with, the others
	 * without. NULL if there is one. 0, or a negative errno: it stays as it was. Any thread.
	 */
	int (*attach)(void *port, bool on);
};

struct net_port {
	const struct net_port_ops *ops;
	void *to;
	uint64_t features; /* those of NET_OFFLOADS that the port has */
};

#endif
