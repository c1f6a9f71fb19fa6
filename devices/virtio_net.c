#include "devices/virtio_net.h"

#include "vmm/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TYPE	   1
#define CLASS	   0x020000 /* Ethernet */
#define QUEUE_SIZE 256
#define BATCH	   64 /* frames before the other direction has its turn */

#define F_MAC	    (UINT64_C(1) << 5)
#define F_MRG_RXBUF (UINT64_C(1) << 15)
#define F_STATUS    (UINT64_C(1) << 16)

/* struct virtio_net_config */
#define CONFIG_MAC    0
#define CONFIG_STATUS 6
#define CONFIG_SIZE   8
#define LINK_UP	      1

#define HDR_BUFFERS 10 /* struct virtio_net_hdr: num_buffers */

enum { RX, TX };

static struct virtio_net *net_of(struct virtio_device *dev)
{
	return (struct virtio_net *)dev;
}

/* --- receiving; queue 0's lock held --- */

static void forget(struct virtio_net *net)
{
	net->nr_held = 0;
	net->held_room = 0;
	net->frame_len = 0;
}

/* Takes buffers until they hold the frame. Without F_MRG_RXBUF one is all that a frame gets. */
static bool find_room(struct virtio_net *net)
{
	struct virtqueue *ring = &net->dev.queues[RX].ring;
	bool many = net->dev.accepted & F_MRG_RXBUF;

	while (net->held_room < net->frame_len && net->nr_held < (many ? VIRTIO_NET_HELD : 1u)) {
		struct virtqueue_buffer *b = &net->held[net->nr_held];

		if (!virtqueue_pop(ring, b))
			return false;
		if (b->in_len < NET_HEADER) {
			ring->broken = "a receive buffer has no room for the header";
			return false;
		}
		net->nr_held++;
		net->held_room += b->in_len;
	}
	return true;
}

/* Writes the frame to the buffers and gives them back; what does not fit is lost, as on a wire. */
static void deliver(struct virtio_net *net)
{
	struct virtqueue *ring = &net->dev.queues[RX].ring;
	size_t done = 0, len = min_u64(net->frame_len, net->held_room);

	store_le(net->frame + HDR_BUFFERS, net->nr_held, 2);
	for (unsigned i = 0; i < net->nr_held; i++) {
		struct virtqueue_buffer *b = &net->held[i];
		size_t now = virtqueue_write(b->parts + b->nr_out, b->nr_in, 0, net->frame + done,
					     min_u64(len - done, b->in_len));

		virtqueue_push(ring, b->id, b->entries, (uint32_t)now);
		done += now;
	}
	forget(net);
}

/* Returns whether there may be more. */
static bool receive(struct virtio_net *net)
{
	struct virtqueue *ring = &net->dev.queues[RX].ring;
	unsigned n = 0;

	for (; n < BATCH && !ring->broken; n++) {
		if (!net->frame_len) {
			ssize_t len =
				net->port.ops->receive(net->port.to, net->frame, NET_FRAME_MAX);

			if (len < 0) {
				net->dead |= len != -EAGAIN;
				break;
			}
			net->frame_len = (size_t)len;
		}
		if (!find_room(net)) {
			/* Buffers that come between the last look and this have no kick. */
			virtqueue_want_kicks(ring, true);
			if (!find_room(net))
				break;
			virtqueue_want_kicks(ring, false);
		}
		deliver(net);
	}
	virtio_interrupt(&net->dev, RX);
	return n == BATCH;
}

/* --- sending; queue 1's lock held --- */

/* False: the port takes no more now. */
static bool send_one(struct virtio_net *net)
{
	struct virtqueue_buffer *b = &net->out;
	int ret = -EINVAL;

	if (b->out_len >= NET_HEADER && b->out_len <= NET_FRAME_MAX)
		ret = net->port.ops->send(net->port.to, b->parts, b->nr_out, b->out_len);
	net->out_waits = ret == -EAGAIN;
	if (net->out_waits)
		return false;
	virtqueue_push(&net->dev.queues[TX].ring, b->id, b->entries, 0);
	return true;
}

static bool transmit(struct virtio_net *net)
{
	struct virtqueue *ring = &net->dev.queues[TX].ring;
	unsigned n = 0;

	virtqueue_want_kicks(ring, false);
	for (; n < BATCH; n++) {
		if (!net->out_waits && !virtqueue_take(ring, &net->out))
			break;
		if (!send_one(net))
			break;
	}
	virtio_interrupt(&net->dev, TX);
	return n == BATCH;
}

/* --- both; on the port's thread --- */

/* Frames are wanted while there are buffers for them, room while a frame waits for it. */
static void handle(struct virtio_device *dev, unsigned i)
{
	struct virtio_net *net = net_of(dev);
	bool more = true;

	while (more && !dev->queues[i].ring.broken)
		more = i == RX ? receive(net) : transmit(net);
	if (!net->dead)
		net->port.ops->want(net->port.to, !net->frame_len, net->out_waits);
}

bool virtio_net_serve(struct virtio_net *net)
{
	bool started = false;

	for (unsigned i = RX; i <= TX; i++) {
		struct virtio_queue *q = &net->dev.queues[i];

		pthread_mutex_lock(&q->lock);
		virtio_handle(&net->dev, i);
		started |= q->ring.started && !q->ring.broken;
		pthread_mutex_unlock(&q->lock);
	}
	if (!started)
		net->port.ops->want(net->port.to, false, false);
	return !net->dead;
}

static void ready(struct virtio_device *dev)
{
	struct virtio_net *net = net_of(dev);

	net->port.ops->offloads(net->port.to, dev->accepted);
}

static void reset(struct virtio_device *dev)
{
	struct virtio_net *net = net_of(dev);

	pthread_mutex_lock(&dev->queues[RX].lock);
	forget(net);
	pthread_mutex_unlock(&dev->queues[RX].lock);
	pthread_mutex_lock(&dev->queues[TX].lock);
	net->out_waits = false;
	pthread_mutex_unlock(&dev->queues[TX].lock);
}

static const struct virtio_ops ops = {
	.name = "virtio-net",
	.type = TYPE,
	.class = CLASS,
	.handle = handle,
	.ready = ready,
	.reset = reset,
};

int virtio_net_init(struct virtio_net *net, const struct net_port *port, const uint8_t mac[6],
		    struct err *err)
{
	const uint16_t sizes[] = { [RX] = QUEUE_SIZE, [TX] = QUEUE_SIZE };

	memset(net, 0, sizeof(*net));
	virtio_init(&net->dev, &ops, port->features | F_MAC | F_STATUS | F_MRG_RXBUF, sizes,
		    ARRAY_SIZE(sizes));
	net->port = *port;
	if (port->server.ops)
		virtio_set_server(&net->dev, &port->server, 2, F_MRG_RXBUF);
	memcpy(net->dev.config + CONFIG_MAC, mac, 6);
	store_le(net->dev.config + CONFIG_STATUS, LINK_UP, 2);
	net->dev.config_size = CONFIG_SIZE;
	net->frame = malloc(NET_FRAME_MAX);
	net->held = calloc(VIRTIO_NET_HELD, sizeof(*net->held));
	if (net->frame && net->held)
		return 0;
	virtio_net_destroy(net);
	return err_sys(err, ENOMEM, "cannot hold the frames of a network adapter");
}

void virtio_net_destroy(struct virtio_net *net)
{
	free(net->frame);
	free(net->held);
	net->frame = NULL;
	net->held = NULL;
}
