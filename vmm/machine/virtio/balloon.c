/*
 * The memory balloon: gives pages back to the host, which takes its kernel tens of milliseconds a
 * GiB, so on a thread; the guest's own numbers come from there, and the main loop hands them on.
 */
#include "vmm/machine/virtio/balloon.h"

#include "devices/virtio_balloon.h"
#include "vmm/machine/virtio/serve.h"

#include <errno.h>
#include <string.h>

/* Of a slot. */
struct balloon_device {
	struct virtio_balloon balloon;
	pthread_mutex_t lock; /* of the numbers */
	uint64_t numbers[VIRTIO_BALLOON_STATS];
};

/* The size in bytes that was asked for last; it outlives guest resets. */
static uint64_t *wanted_size(const struct virtio_backend *b)
{
	return b->own;
}

static unsigned balloon_count(const struct config *c)
{
	return c->has_balloon;
}

static int balloon_open(struct virtio_backend *b, const struct config *c, const struct plan *plan,
			struct err *err)
{
	(void)plan;
	if (!virtio_backend_own(b, sizeof(uint64_t), err))
		return -ENOMEM;
	*wanted_size(b) = c->balloon;
	return 0;
}

static void balloon_discard(void *to, void *at, size_t len)
{
	const struct virtio_slot *s = to;

	ram_discard(s->parts->ram, at, len);
}

static void balloon_store_statistics(void *to, const uint64_t *numbers)
{
	struct virtio_slot *s = to;
	struct balloon_device *d = s->own;

	pthread_mutex_lock(&d->lock);
	memcpy(d->numbers, numbers, sizeof(d->numbers));
	pthread_mutex_unlock(&d->lock);
	virtio_serve_wake(s, VIRTIO_SERVE_NOW);
}

static void statistics_ready(void *to, short revents)
{
	struct virtio_slot *s = to;
	struct balloon_device *d = s->own;
	uint64_t numbers[VIRTIO_BALLOON_STATS];

	(void)revents;
	if (!virtio_serve_woken(s))
		return;
	pthread_mutex_lock(&d->lock);
	memcpy(numbers, d->numbers, sizeof(numbers));
	pthread_mutex_unlock(&d->lock);
	s->parts->memory(s->parts->to, numbers);
}

static int balloon_create(struct virtio_slot *s, struct err *err)
{
	const struct balloon_host host = { balloon_discard, balloon_store_statistics, s };
	struct balloon_device *d = virtio_slot_own(s, sizeof(*d), err);

	if (!d)
		return -ENOMEM;
	pthread_mutex_init(&d->lock, NULL);
	s->dev = &d->balloon.dev;
	virtio_balloon_init(&d->balloon, &host, *wanted_size(s->backend));
	return 0;
}

static int balloon_serve(struct virtio_slot *s, struct err *err)
{
	int ret = virtio_serve_timer(s, s->loop, statistics_ready, err);

	return ret < 0 ? ret : virtio_serve_alone(s, -1, NULL, NULL, err);
}

void balloon_set(struct virtio_slot *s, uint64_t size)
{
	struct balloon_device *d = s->own;

	*wanted_size(s->backend) = size;
	virtio_balloon_set(&d->balloon, size);
}

uint64_t balloon_actual(struct virtio_slot *s)
{
	struct balloon_device *d = s->own;

	return virtio_balloon_actual(&d->balloon);
}

bool balloon_ask(struct virtio_slot *s)
{
	struct balloon_device *d = s->own;

	return virtio_balloon_ask(&d->balloon);
}

static const struct virtio_kind_ops balloon_ops = {
	.create = balloon_create,
	.serve = balloon_serve,
};

const struct virtio_kind virtio_kind_balloon = {
	.kind = DEVICE_BALLOON,
	.count = balloon_count,
	.open = balloon_open,
	.ops = &balloon_ops,
};
