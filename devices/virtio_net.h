/*
 * virtio-net: Virtual I/O Device 1.2 section 5.1. One pair of queues; frames go to and come from a
 * port (vmm/net_port.h), on the port's thread.
 */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include "devices/virtio.h"
#include "vmm/net_port.h"

#define VIRTIO_NET_HELD 64 /* receive buffers for one frame, at most */

struct virtio_net {
	struct virtio_device dev;
	struct net_port port;
	/* receiving: a frame that waits for buffers, and those it has */
	uint8_t *frame;
	size_t frame_len;
	struct virtqueue_buffer *held;
	unsigned nr_held;
	uint64_t held_room;
	/* sending: a buffer that waits for the port */
	struct virtqueue_buffer out;
	bool out_waits;
	bool dead; /* the port is gone */
};

int virtio_net_init(struct virtio_net *net, const struct net_port *port, const uint8_t mac[6],
		    struct err *err);
void virtio_net_destroy(struct virtio_net *net);
/* The port has frames, or room again. On its thread. False: it is dead, and watched in vain. */
bool virtio_net_serve(struct virtio_net *net);

#endif
