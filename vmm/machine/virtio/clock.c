/*
 * The clock: the host's time of day, on the main loop.
 */
#include "devices/virtio_clock.h"
#include "vmm/machine/virtio/serve.h"

#include <errno.h>
#include <time.h>

static unsigned clock_count(const struct config *c)
{
	return c->clock;
}

static uint64_t utc_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int clock_create(struct virtio_slot *s, struct err *err)
{
	struct virtio_clock *clock = virtio_slot_own(s, sizeof(*clock), err);

	if (!clock)
		return -ENOMEM;
	s->dev = &clock->dev;
	virtio_clock_init(clock, utc_now);
	return 0;
}

static const struct virtio_kind_ops clock_ops = {
	.create = clock_create,
	.serve = virtio_serve_here,
};

const struct virtio_kind virtio_kind_clock = {
	.kind = DEVICE_CLOCK,
	.count = clock_count,
	.ops = &clock_ops,
};
