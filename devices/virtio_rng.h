/*
 * virtio-rng: random bytes from the host's kernel. Virtual I/O Device 1.2 section 5.4.
 */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "devices/virtio.h"

struct virtio_rng {
	struct virtio_device dev;
	struct virtqueue_buffer buffer;
};

void virtio_rng_init(struct virtio_rng *rng);

#endif
