/*
 * virtio-net: Virtual I/O Device 1.2 section 5.1. One or several pairs of queues, each with a port
 * of its own (vmm/base/ports/net.h), whose thread serves the pair. A device with several pairs has
 * a control queue, by which the driver sets how many pairs it uses.
 */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include "devices/virtio.h"
#include "vmm/base/ports/net.h"

#define VIRTIO_NET_CLASS	 0x020000 /* class code of PCI: Ethernet */
#define VIRTIO_NET_CONFIG_STATUS 6	  /* in struct virtio_net_config */

#define VIRTIO_NET_HELD 64 /* receive buffers for one frame, at most */

static_assert(2 * VIRTIO_NET_PAIRS_MAX + 1 <= VIRTIO_QUEUES_MAX, "and the control queue");

struct virtio_net_pair {
	struct virtio_net *net;
	unsigned rx, tx; /* numbers of its queues */
	struct net_port port;
	bool active; /* the pair is one of the first `used`; changes under both queues' locks */
	bool dead;   /* the port failed, and is not served any more */
	bool wants_frames, wants_room; /* what the port's thread polls for */
	/* receiving: a frame that waits for buffers, and the buffers taken for it so far */
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
 * The state that is not in `dev`. Frames that wait are no state: a frame for the guest may be lost,
 * as on a wire, and a frame of the guest is still in its buffer.
 */
struct virtio_net_state {
	unsigned used; /* number of pairs that the driver uses */
};

struct virtio_net {
	struct virtio_device dev;
	struct virtio_net_state state;
	struct virtio_net_pair *pairs;
	unsigned nr_pairs;
	struct virtqueue_buffer command; /* of the control queue */
};

/*
 * `ports` has one port for each pair, with the same features, and is copied. If `server` is not
 * NULL, the server serves all pairs, and the ports do not.
 */
int virtio_net_init(struct virtio_net *net, const struct net_port *ports, unsigned nr_pairs,
		    const struct server *server, const uint8_t mac[6], struct err *err);
void virtio_net_destroy(struct virtio_net *net);
/*
 * To be called when the port of a pair has frames, or room again. On the port's thread. False: the
 * port is dead, so polling it is of no use.
 */
bool virtio_net_serve(struct virtio_net *net, unsigned pair);
/* Whether the port of a pair is dead: for callers that handled a kick of the pair. */
bool virtio_net_is_dead(const struct virtio_net *net, unsigned pair);
/*
 * Tells the driver that the link is down. Must not be called on a worker's thread
 * (virtio_set_config).
 */
void virtio_net_link_down(struct virtio_net *net);

/* Returns `features` without those of VIRTIO_NET_F_* that require a feature which is not there. */
uint64_t virtio_net_features_closed(uint64_t features);
/* Section 5.1.3.1: whether every feature of VIRTIO_NET_F_* has the ones that it requires. */
bool virtio_net_features_good(uint64_t features);

/*
 * Returns the number of the control queue (section 5.1.2), whose kicks this process reads also if a
 * server has the pairs. It is the last queue if the driver negotiated MQ, else queue 2. When the
 * driver is ready the device kicks the last queue, so that the caller asks again.
 */
unsigned virtio_net_control_queue(const struct virtio_net *net);

#endif
