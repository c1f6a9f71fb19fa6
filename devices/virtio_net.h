/*
 * virtio-net: Virtual I/O Device 1.2 section 5.1. One or several pairs of queues, each with a port
 * of its own (vmm/base/ports/net.h), whose thread serves it; several come with a control queue, by
 * which the driver says how many it uses.
 */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include "devices/virtio.h"
#include "vmm/base/ports/net.h"

#define VIRTIO_NET_CLASS	 0x020000 /* PCI's: Ethernet */
#define VIRTIO_NET_CONFIG_STATUS 6	  /* in struct virtio_net_config */

#define VIRTIO_NET_HELD 64 /* receive buffers for one frame, at most */

static_assert(2 * VIRTIO_NET_PAIRS_MAX + 1 <= VIRTIO_QUEUES_MAX, "and the control queue");

struct virtio_net_pair {
	struct virtio_net *net;
	unsigned rx, tx; /* its queues */
	struct net_port port;
	bool active; /* it is below `used`; changes under the locks of both queues */
	bool dead;   /* the port is gone */
	bool wants_frames, wants_room; /* the port's thread: what it waits for */
	/* receiving: a frame that waits for buffers, and those it has */
	uint8_t *frame;
	size_t frame_len;
	struct virtqueue_buffer *held; /* a ring of VIRTIO_NET_HELD: `nr_held` from `held_at` on */
	unsigned held_at, nr_held;
	uint64_t held_room;
	/* sending: a buffer that waits for the port */
	struct virtqueue_buffer out;
	bool out_waits;
};

/*
 * Beside the state of `dev`. Frames that wait are no state: one for the guest may be lost, as on a
 * wire, and one of the guest's is in a buffer.
 */
struct virtio_net_state {
	unsigned used; /* pairs, by the driver */
};

struct virtio_net {
	struct virtio_device dev;
	struct virtio_net_state state;
	struct virtio_net_pair *pairs;
	unsigned nr_pairs;
	struct virtqueue_buffer command; /* of the control queue */
};

/*
 * `ports` has one for each pair, all alike; they are copied. `server` serves all pairs instead of
 * them, or is NULL.
 */
int virtio_net_init(struct virtio_net *net, const struct net_port *ports, unsigned nr_pairs,
		    const struct server *server, const uint8_t mac[6], struct err *err);
void virtio_net_destroy(struct virtio_net *net);
/*
 * The port of a pair has frames, or room again. On its thread. False: it is dead, and watched in
 * vain.
 */
bool virtio_net_serve(struct virtio_net *net, unsigned pair);
/* The same of one that was served by a kick. */
bool virtio_net_is_dead(const struct virtio_net *net, unsigned pair);
/* The driver is told that there is no link any more. On no worker's thread. */
void virtio_net_link_down(struct virtio_net *net);

/* `features` without those of VIRTIO_NET_F_* that need another one which is not there. */
uint64_t virtio_net_features_closed(uint64_t features);
/* Section 5.1.3.1: whether those of VIRTIO_NET_F_* that need another one have it. */
bool virtio_net_features_good(uint64_t features);

/*
 * The control queue (section 5.1.2), whose kicks no server has: the last one, or queue 2 for a
 * driver of one pair, as it turns out when the driver is ready. Then the last one is kicked.
 */
unsigned virtio_net_control_queue(const struct virtio_net *net);

#endif
