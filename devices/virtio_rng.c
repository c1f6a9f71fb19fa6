#include "devices/virtio_rng.h"

#include <sys/random.h>

#define CLASS	   0x00ff00 /* unclassified */
#define QUEUE_SIZE 64
#define ONCE_MAX   4096 /* bytes for one buffer, which may have gigabytes */

static void virtio_rng_handle(struct virtio_device *dev, unsigned i)
{
	struct virtqueue_buffer *b = &((struct virtio_rng *)dev)->buffer;
	struct virtqueue *ring = &dev->queues[i].ring;
	uint8_t bytes[ONCE_MAX];

	virtqueue_want_kicks(ring, false);
	while (virtio_take(dev, i, b)) {
		ssize_t got = getrandom(bytes, min_u64(b->in_len, sizeof(bytes)), 0);

		if (got < 0)
			got = 0; /* the driver adds the buffer again */
		virtqueue_write(b->parts + b->nr_out, b->nr_in, 0, bytes, (size_t)got);
		virtqueue_push(ring, b->id, b->entries, (uint32_t)got);
	}
	virtio_interrupt(dev, i);
}

static const struct virtio_ops ops = {
	.name = "virtio-rng",
	.type = VIRTIO_ID_RNG,
	.class = CLASS,
	.handle = virtio_rng_handle,
};

void virtio_rng_init(struct virtio_rng *rng)
{
	const uint16_t size = QUEUE_SIZE;

	virtio_init(&rng->dev, &ops, 0, &size, 1);
}
