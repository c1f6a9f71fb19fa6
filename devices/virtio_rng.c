#include "devices/virtio_rng.h"

#include <sys/random.h>

#define TYPE	   4
#define CLASS	   0x00ff00 /* unclassified */
#define QUEUE_SIZE 64
#define ONCE_MAX   4096 /* bytes for one buffer: a driver may offer gigabytes */

static void take(struct virtio_device *dev, unsigned i, struct virtqueue_buffer *buffer)
{
	uint8_t bytes[ONCE_MAX];
	size_t n = min_u64(buffer->in_len, sizeof(bytes));
	ssize_t got = getrandom(bytes, n, 0);

	if (got < 0)
		got = 0; /* the driver asks again */
	virtqueue_write(buffer->parts + buffer->nr_out, buffer->nr_in, 0, bytes, (size_t)got);
	virtqueue_push(&dev->queues[i].ring, buffer->id, buffer->entries, (uint32_t)got);
}

static void handle(struct virtio_device *dev, unsigned i)
{
	virtio_drain(dev, i, &((struct virtio_rng *)dev)->buffer, take);
	virtio_interrupt(dev, i);
}

static const struct virtio_ops ops = {
	.name = "virtio-rng",
	.type = TYPE,
	.class = CLASS,
	.handle = handle,
};

void virtio_rng_init(struct virtio_rng *rng)
{
	const uint16_t size = QUEUE_SIZE;

	virtio_init(&rng->dev, &ops, 0, &size, 1);
}
