/*
 * The entropy device: the host's random numbers, on the main loop.
 */
#include "devices/virtio_rng.h"
#include "vmm/machine/virtio/serve.h"

#include <errno.h>

static unsigned rng_count(const struct config *c)
{
	return c->rng;
}

static int rng_create(struct virtio_slot *s, struct err *err)
{
	struct virtio_rng *rng = virtio_slot_own(s, sizeof(*rng), err);

	if (!rng)
		return -ENOMEM;
	s->dev = &rng->dev;
	virtio_rng_init(rng);
	return 0;
}

static const struct virtio_kind_ops rng_ops = {
	.create = rng_create,
	.serve = virtio_serve_here,
};

const struct virtio_kind virtio_kind_rng = {
	.kind = DEVICE_RNG,
	.count = rng_count,
	.ops = &rng_ops,
};
