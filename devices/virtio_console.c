#include "devices/virtio_console.h"

#include "vmm/base/bytes.h"

#include <linux/virtio_console.h>

#define CLASS	   0x078000 /* communication, other */
#define QUEUE_SIZE 64
#define BURST	   (64u * 1024) /* bytes in one call, because other queues wait for the thread */

/* struct virtio_console_config */
#define CONFIG_COLUMNS 0
#define CONFIG_ROWS    2
#define CONFIG_SIZE    4

enum { RX, TX, QUEUES };

/* Writes one buffer to the port. False: bytes are left. With the queue's lock held. */
static bool transmit_buffer(struct virtio_console *c, size_t *burst)
{
	struct virtio_console_state *st = &c->state;
	const struct virtqueue_buffer *b = &c->out;
	uint8_t bytes[256];

	while (st->out_done < b->out_len) {
		size_t n = min_u64(b->out_len - st->out_done, sizeof(bytes));

		if (*burst < n) {
			virtio_again(&c->dev, TX);
			return false;
		}
		*burst -= n;
		virtqueue_read(b->parts, b->nr_out, st->out_done, bytes, n);
		for (size_t i = 0; i < n; i++, st->out_done++) {
			if (!c->port.ready(c->port.to))
				return false;
			c->port.put(c->port.to, bytes[i]);
		}
	}
	return true;
}

static void virtio_console_transmit(struct virtio_console *c)
{
	struct virtio_console_state *st = &c->state;
	struct virtqueue *ring = &c->dev.queues[TX].ring;
	size_t burst = BURST;

	virtqueue_want_kicks(ring, false);
	for (;;) {
		if (!st->has_out) {
			if (!virtio_take(&c->dev, TX, &c->out))
				break;
			st->has_out = true;
			st->out_done = 0;
		}
		if (!transmit_buffer(c, &burst))
			break; /* kicks stay off until virtio_console_room, or the next turn */
		virtqueue_push(ring, c->out.id, c->out.entries, 0);
		st->has_out = false;
	}
	virtio_interrupt(&c->dev, TX);
}

/* A kick of RX means that there are buffers for input, for which the port may wait. */
static void virtio_console_handle(struct virtio_device *dev, unsigned i)
{
	struct virtio_console *c = (struct virtio_console *)dev;

	if (i == TX) {
		virtio_console_transmit(c);
	} else if (c->starved) {
		c->starved = false;
		c->port.resume(c->port.to);
	}
}

size_t virtio_console_input(struct virtio_console *c, const uint8_t *data, size_t n)
{
	struct virtio_queue *q = &c->dev.queues[RX];
	size_t done = 0;

	pthread_mutex_lock(&q->lock);
	while (done < n && q->ring.state.started && !q->ring.state.broken) {
		struct virtqueue_buffer *b = &c->in;
		size_t now;

		if (!virtqueue_take(&q->ring, b))
			break;
		if (!b->in_len) {
			virtqueue_break(&q->ring, "a buffer for input has no room");
			virtio_again(&c->dev, RX); /* virtio_handle then asks for a reset */
			break;
		}
		now = virtqueue_write(b->parts + b->nr_out, b->nr_in, 0, data + done,
				      min_u64(n - done, b->in_len));
		virtqueue_push(&q->ring, b->id, b->entries, (uint32_t)now);
		done += now;
	}
	c->starved = done < n;
	if (q->ring.state.started)
		virtio_interrupt(&c->dev, RX);
	pthread_mutex_unlock(&q->lock);
	return done;
}

void virtio_console_room(struct virtio_console *c)
{
	struct virtio_queue *q = &c->dev.queues[TX];

	pthread_mutex_lock(&q->lock);
	virtio_handle(&c->dev, TX);
	pthread_mutex_unlock(&q->lock);
}

static void virtio_console_reset(struct virtio_device *dev)
{
	struct virtio_console *c = (struct virtio_console *)dev;

	pthread_mutex_lock(&dev->queues[TX].lock);
	c->state.has_out = false;
	pthread_mutex_unlock(&dev->queues[TX].lock);
}

static const struct virtio_ops ops = {
	.name = "virtio-console",
	.type = VIRTIO_ID_CONSOLE,
	.class = CLASS,
	.work = VIRTIO_WORK_TRANSMIT,
	.handle = virtio_console_handle,
	.reset = virtio_console_reset,
};

void virtio_console_init(struct virtio_console *c, const struct console_port *port,
			 uint16_t columns, uint16_t rows)
{
	const uint16_t sizes[QUEUES] = { [RX] = QUEUE_SIZE, [TX] = QUEUE_SIZE };

	virtio_init(&c->dev, &ops, VIRTIO_BIT(CONSOLE_F_SIZE), sizes, QUEUES);
	c->port = *port;
	c->state.has_out = c->starved = false;
	store_le(c->dev.state.config + CONFIG_COLUMNS, columns, 2);
	store_le(c->dev.state.config + CONFIG_ROWS, rows, 2);
	c->dev.config_size = CONFIG_SIZE;
}

void virtio_console_resize(struct virtio_console *c, uint16_t columns, uint16_t rows)
{
	uint8_t size[CONFIG_SIZE];

	store_le(size + CONFIG_COLUMNS, columns, 2);
	store_le(size + CONFIG_ROWS, rows, 2);
	virtio_set_config(&c->dev, 0, size, sizeof(size));
}
