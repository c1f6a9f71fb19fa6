#include "devices/virtio.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void virtio_init(struct virtio_device *dev, const struct virtio_ops *ops, uint64_t features,
		 const uint16_t *sizes, unsigned n)
{
	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	dev->name = ops->name;
	dev->features = features | VIRTIO_BIT(RING_F_INDIRECT_DESC) | VIRTIO_BIT(RING_F_EVENT_IDX) |
			VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_RING_PACKED);
	dev->nr_queues = n;
	dev->server_error = -1;
	for (unsigned i = 0; i < n; i++) {
		struct virtio_queue *q = &dev->queues[i];

		pthread_mutex_init(&q->lock, NULL);
		q->size_max = q->ring.state.size = sizes[i];
		q->kick = -1;
	}
}

/* --- buffers --- */

/* Asks for a reset if the ring is broken. With the queue's lock held. */
static void check_broken(struct virtio_device *dev, unsigned i)
{
	const struct virtqueue *ring = &dev->queues[i].ring;
	char why[128];

	if (!ring->state.broken || !dev->needs_reset)
		return;
	snprintf(why, sizeof(why), "the guest's driver broke queue %u: %s", i, ring->why);
	dev->needs_reset(dev->to, why);
}

void virtio_handle(struct virtio_device *dev, unsigned i)
{
	struct virtqueue *ring = &dev->queues[i].ring;

	if (!ring->state.started)
		return;
	dev->queues[i].taken = 0;
	if (!ring->state.broken && dev->ops->handle)
		dev->ops->handle(dev, i);
	check_broken(dev, i);
}

bool virtio_take(struct virtio_device *dev, unsigned i, struct virtqueue_buffer *b)
{
	struct virtio_queue *q = &dev->queues[i];

	if (q->taken++ == q->size_max) {
		virtio_again(dev, i);
		return false;
	}
	return virtqueue_take(&q->ring, b);
}

void virtio_kicked(struct virtio_device *dev, unsigned i)
{
	struct virtio_queue *q = &dev->queues[i];
	uint64_t count;

	if (read(q->kick, &count, sizeof(count)) != sizeof(count))
		return;
	pthread_mutex_lock(&q->lock);
	virtio_handle(dev, i);
	pthread_mutex_unlock(&q->lock);
}

void virtio_again(struct virtio_device *dev, unsigned i)
{
	uint64_t one = 1;

	/* A write fails only if the counter is full, and then the eventfd is readable, too. */
	if (dev->queues[i].kick >= 0)
		(void)!write(dev->queues[i].kick, &one, sizeof(one));
}

void virtio_interrupt(struct virtio_device *dev, unsigned i)
{
	if (virtqueue_should_interrupt(&dev->queues[i].ring))
		dev->interrupt(dev->to, i);
}

static bool set_config(struct virtio_device *dev, unsigned offset, const void *bytes, unsigned n,
		       bool wait)
{
	if (dev->config_changed)
		return dev->config_changed(dev->to, offset, bytes, n, wait);
	memcpy(dev->state.config + offset, bytes, n);
	return true;
}

void virtio_set_config(struct virtio_device *dev, unsigned offset, const void *bytes, unsigned n)
{
	(void)set_config(dev, offset, bytes, n, true);
}

bool virtio_try_config(struct virtio_device *dev, unsigned offset, const void *bytes, unsigned n)
{
	return set_config(dev, offset, bytes, n, false);
}

/* A queue that is being handled at this moment is looked at by the next call. */
uint64_t virtio_work(struct virtio_device *dev)
{
	for (unsigned i = 0; i < dev->nr_queues; i++) {
		struct virtio_queue *q = &dev->queues[i];
		uint16_t now;

		if (!(dev->ops->work >> i & 1) || pthread_mutex_trylock(&q->lock) != 0)
			continue;
		now = virtqueue_returned(&q->ring);
		pthread_mutex_unlock(&q->lock);
		dev->worked += now != q->seen;
		q->seen = now;
	}
	return dev->worked;
}

/* --- servers --- */

#define RING_FEATURES                                                      \
	(VIRTIO_BIT(RING_F_INDIRECT_DESC) | VIRTIO_BIT(RING_F_EVENT_IDX) | \
	 VIRTIO_BIT(F_RING_PACKED))

void virtio_set_server(struct virtio_device *dev, const struct server *server, unsigned n,
		       uint64_t features)
{
	dev->server = *server;
	dev->nr_served = n;
	dev->features &= server->ring_features | ~(RING_FEATURES | features);
}

static int describe(struct virtio_device *dev, unsigned i, struct served_queue *out,
		    struct err *err)
{
	struct virtio_queue *q = &dev->queues[i];
	int ret = 0;

	pthread_mutex_lock(&q->lock);
	*out = (struct served_queue){
		.size = q->ring.state.size,
		.desc = q->ring.areas[0],
		.driver = q->ring.areas[1],
		.device = q->ring.areas[2],
		.kick = q->kick,
		.call = dev->interrupt_fd(dev->to, i),
		.error = dev->server_error,
	};
	if (!q->ring.state.started)
		out->size = 0;
	else if (q->ring.state.broken || q->ring.packed)
		ret = err_set(err, EINVAL, "queue %u cannot be served", i);
	pthread_mutex_unlock(&q->lock);
	return ret;
}

/* Whether the server gave up a ring since the last call. */
static bool take_error(const struct virtio_device *dev)
{
	uint64_t count;

	return dev->server_error >= 0 &&
	       read(dev->server_error, &count, sizeof(count)) == sizeof(count);
}

/* Describes the rings to the server, which then serves them. */
static int give_rings(struct virtio_device *dev, struct err *err)
{
	struct served_queue queues[VIRTIO_QUEUES_MAX];

	for (unsigned i = 0; i < dev->nr_served; i++) {
		int ret = describe(dev, i, &queues[i], err);

		if (ret < 0)
			return ret;
	}
	return dev->server.ops->start(dev->server.to, dev->queues[0].ring.ram, queues,
				      dev->nr_served, dev->state.accepted, err);
}

static void start_server(struct virtio_device *dev)
{
	struct err err = { "" };
	int ret;

	(void)take_error(dev); /* an old error is about rings from before a reset */
	ret = give_rings(dev, &err);
	dev->served = ret == 0 || ret == -ENOTCONN;
	if (!dev->served)
		dev->needs_reset(dev->to, err.text);
}

static void stop_server(struct virtio_device *dev)
{
	if (dev->served)
		dev->server.ops->stop(dev->server.to, dev->nr_served);
	dev->served = false;
}

/*
 * Starts a server that came back. Kicks each queue and interrupts the driver for it, because the
 * server may have failed after it read a kick, or before it sent an interrupt.
 */
static void start_again(struct virtio_device *dev)
{
	start_server(dev);
	for (unsigned i = 0; dev->served && i < dev->nr_served; i++) {
		if (!dev->queues[i].ring.state.started)
			continue;
		virtio_again(dev, i);
		dev->interrupt(dev->to, i);
	}
}

bool virtio_server_back(struct virtio_device *dev)
{
	enum server_state state;
	bool lost;

	dev->lock(dev->to, true);
	state = dev->server.ops->state(dev->server.to);
	lost = dev->served && state == SERVER_LOST;
	if (lost)
		dev->needs_reset(dev->to, NULL);
	else if (dev->served && state == SERVER_RESUMES)
		start_again(dev);
	dev->lock(dev->to, false);
	return !lost;
}

void virtio_server_failed(struct virtio_device *dev)
{
	dev->lock(dev->to, true);
	if (take_error(dev) && dev->served)
		dev->needs_reset(
			dev->to,
			"the device's server gave up a ring that the guest's driver broke");
	dev->lock(dev->to, false);
}

/* --- start, stop --- */

void virtio_start_queue(struct virtio_device *dev, unsigned i)
{
	struct virtio_queue *q = &dev->queues[i];

	pthread_mutex_lock(&q->lock);
	if (q->state.enabled && !q->ring.state.started) {
		q->ring.packed = dev->state.accepted & VIRTIO_BIT(F_RING_PACKED);
		q->ring.event_idx = dev->state.accepted & VIRTIO_BIT(RING_F_EVENT_IDX);
		q->ring.indirect = dev->state.accepted & VIRTIO_BIT(RING_F_INDIRECT_DESC);
		virtqueue_start(&q->ring);
		check_broken(dev, i);
	}
	pthread_mutex_unlock(&q->lock);
	virtio_again(dev, i); /* the driver may have added buffers already */
}

void virtio_start(struct virtio_device *dev)
{
	for (unsigned i = 0; i < dev->nr_queues; i++)
		if (dev->queues[i].state.enabled)
			virtio_start_queue(dev, i);
	if (dev->ops->ready)
		dev->ops->ready(dev);
	if (dev->server.ops)
		start_server(dev);
}

void virtio_reset(struct virtio_device *dev)
{
	for (unsigned i = 0; i < dev->nr_queues; i++) {
		struct virtio_queue *q = &dev->queues[i];

		pthread_mutex_lock(&q->lock);
		virtqueue_stop(&q->ring);
		q->state.enabled = false;
		q->ring.state.size = q->size_max;
		q->ring.state.desc = q->ring.state.driver = q->ring.state.device = 0;
		pthread_mutex_unlock(&q->lock);
	}
	stop_server(dev);
	if (dev->ops->reset)
		dev->ops->reset(dev);
	dev->state.accepted = 0;
}
