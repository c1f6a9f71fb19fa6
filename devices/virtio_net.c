#include "devices/virtio_net.h"

#include "vmm/base/bytes.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#define F(name) VIRTIO_BIT(NET_F_##name)

#define QUEUE_SIZE 256
#define BATCH	   64 /* frames of one call, before the other direction is handled */

/* struct virtio_net_config */
#define CONFIG_MAC    0
#define CONFIG_STATUS VIRTIO_NET_CONFIG_STATUS
#define CONFIG_PAIRS  8
#define CONFIG_SIZE   10

#define HDR_BUFFERS 10 /* struct virtio_net_hdr: num_buffers */

/* Control queue: class, command, data; then the device writes one byte. Section 5.1.6.5. */
#define COMMAND_MAX   4
#define CTRL_MQ	      4
#define CTRL_MQ_PAIRS 0
#define CTRL_OK	      0
#define CTRL_ERR      1

#define CONTROL_SIZE 64

static struct virtio_net *virtio_net_of(struct virtio_device *dev)
{
	return (struct virtio_net *)dev;
}

static struct virtio_queue *queue(struct virtio_net_pair *pair, unsigned i)
{
	return &pair->net->dev.queues[i];
}

/* --- receiving; with the receive queue's lock held --- */

static struct virtqueue_buffer *held(struct virtio_net_pair *pair, unsigned i)
{
	return &pair->held[(pair->held_at + i) % VIRTIO_NET_HELD];
}

static void forget(struct virtio_net_pair *pair)
{
	pair->held_at = pair->nr_held = 0;
	pair->held_room = 0;
	pair->frame_len = 0;
}

/*
 * Takes buffers until they have room for the frame, or until a frame may have no more of them: only
 * one without F(MRG_RXBUF). False: the driver has not added enough buffers yet.
 */
static bool find_room(struct virtio_net_pair *pair)
{
	struct virtqueue *ring = &queue(pair, pair->rx)->ring;
	bool many = pair->net->dev.state.accepted & F(MRG_RXBUF);

	while (pair->held_room < pair->frame_len && pair->nr_held < (many ? VIRTIO_NET_HELD : 1u)) {
		struct virtqueue_buffer *b = held(pair, pair->nr_held);

		if (!virtqueue_pop(ring, b))
			return false;
		if (b->in_len < NET_HEADER) {
			virtqueue_break(ring, "a receive buffer has no room for the header");
			return false;
		}
		pair->nr_held++;
		pair->held_room += b->in_len;
	}
	return true;
}

/*
 * Returns how many of the held buffers the frame needs: all, unless they were taken for a larger
 * frame that was dropped.
 */
static unsigned buffers_needed(struct virtio_net_pair *pair)
{
	uint64_t room = 0;
	unsigned n = 0;

	while (room < pair->frame_len)
		room += held(pair, n++)->in_len;
	return n;
}

/* Writes the frame to the held buffers, which have room for it, and returns them to the driver. */
static void virtio_net_deliver(struct virtio_net_pair *pair)
{
	struct virtqueue *ring = &queue(pair, pair->rx)->ring;
	unsigned n = buffers_needed(pair);
	size_t done = 0;

	store_le(pair->frame + HDR_BUFFERS, n, 2);
	for (unsigned i = 0; i < n; i++) {
		struct virtqueue_buffer *b = held(pair, i);
		size_t now = virtqueue_write(b->parts + b->nr_out, b->nr_in, 0, pair->frame + done,
					     min_u64(pair->frame_len - done, b->in_len));

		virtqueue_push(ring, b->id, b->entries, (uint32_t)now);
		pair->held_room -= b->in_len;
		done += now;
	}
	pair->held_at = (pair->held_at + n) % VIRTIO_NET_HELD;
	pair->nr_held -= n;
	pair->frame_len = 0;
}

/* Receives a batch of frames. Returns whether there may be more. */
static bool virtio_net_receive(struct virtio_net_pair *pair)
{
	struct virtqueue *ring = &queue(pair, pair->rx)->ring;
	const struct net_port *port = &pair->port;
	unsigned n = 0;

	for (; n < BATCH && !ring->state.broken; n++) {
		if (!pair->frame_len) {
			ssize_t len = port->ops->receive(port->to, pair->frame, NET_FRAME_MAX);

			if (len < 0) {
				pair->dead |= len != -EAGAIN;
				break;
			}
			pair->frame_len = (size_t)len;
		}
		if (!find_room(pair)) {
			/* There was no kick for buffers that came while kicks were off. */
			virtqueue_want_kicks(ring, true);
			if (!find_room(pair))
				break;
			virtqueue_want_kicks(ring, false);
		}
		if (pair->held_room < pair->frame_len)
			pair->frame_len = 0; /* too large: dropped, the buffers are kept */
		else
			virtio_net_deliver(pair);
	}
	virtio_interrupt(&pair->net->dev, pair->rx);
	return n == BATCH;
}

/* --- sending; with the transmit queue's lock held --- */

/* Sends the frame in `out`. False: the port has no room now. */
static bool send_one(struct virtio_net_pair *pair)
{
	struct virtqueue_buffer *b = &pair->out;
	int ret = -EINVAL;

	if (b->out_len >= NET_HEADER && b->out_len <= NET_FRAME_MAX)
		ret = pair->port.ops->send(pair->port.to, b->parts, b->nr_out, b->out_len);
	pair->out_waits = ret == -EAGAIN;
	if (pair->out_waits)
		return false;
	virtqueue_push(&queue(pair, pair->tx)->ring, b->id, b->entries, 0);
	return true;
}

static bool virtio_net_transmit(struct virtio_net_pair *pair)
{
	struct virtqueue *ring = &queue(pair, pair->tx)->ring;
	unsigned n = 0;

	virtqueue_want_kicks(ring, false);
	for (; n < BATCH; n++) {
		if (!pair->out_waits && !virtqueue_take(ring, &pair->out))
			break;
		if (!send_one(pair))
			break;
	}
	virtio_interrupt(&pair->net->dev, pair->tx);
	return n == BATCH;
}

/* --- both directions; on the port's thread --- */

/*
 * Handles one batch; a kick makes the rest come after other queues. The port is polled for frames
 * unless one waits for buffers, and for room while a frame waits to be sent.
 */
static void handle_pair(struct virtio_net_pair *pair, unsigned i)
{
	bool more = pair->active &&
		    (i == pair->rx ? virtio_net_receive(pair) : virtio_net_transmit(pair));

	if (more && !queue(pair, i)->ring.state.broken)
		virtio_again(&pair->net->dev, i);
	if (i == pair->rx)
		pair->wants_frames =
			pair->active && !pair->frame_len && !queue(pair, i)->ring.state.broken;
	else
		pair->wants_room = pair->active && pair->out_waits;
	if (!pair->dead)
		pair->port.ops->want(pair->port.to, pair->wants_frames, pair->wants_room);
}

bool virtio_net_serve(struct virtio_net *net, unsigned n)
{
	struct virtio_net_pair *pair = &net->pairs[n];

	pair->wants_frames = pair->wants_room = false;
	for (unsigned i = pair->rx; i <= pair->tx; i++) {
		struct virtio_queue *q = queue(pair, i);

		pthread_mutex_lock(&q->lock);
		virtio_handle(&net->dev, i);
		pthread_mutex_unlock(&q->lock);
	}
	if (!pair->dead)
		pair->port.ops->want(pair->port.to, pair->wants_frames, pair->wants_room);
	return !pair->dead;
}

bool virtio_net_is_dead(const struct virtio_net *net, unsigned pair)
{
	return net->pairs[pair].dead;
}

/* --- how many pairs the driver uses --- */

static void lock_pair(struct virtio_net_pair *pair, bool lock)
{
	int (*const set)(pthread_mutex_t * mutex) =
		lock ? pthread_mutex_lock : pthread_mutex_unlock;

	set(&queue(pair, pair->rx)->lock);
	set(&queue(pair, pair->tx)->lock);
}

/*
 * Attaches or detaches the port of a pair. The port of a pair that the driver does not use is
 * detached, so that its frames go to other pairs. A frame that waits there is kept.
 */
static int set_active(struct virtio_net_pair *pair, bool active)
{
	int ret = 0;

	lock_pair(pair, true);
	if (active != pair->active)
		ret = pair->port.ops->attach(pair->port.to, active);
	if (ret == 0)
		pair->active = active;
	lock_pair(pair, false);
	return ret;
}

/*
 * Uses the first `n` pairs. On any thread, with none of the pairs' locks held. If a port cannot be
 * attached, the ports that this call attached are detached again.
 */
static int use_pairs(struct virtio_net *net, unsigned n)
{
	int ret = 0;

	for (unsigned i = 1; i < net->nr_pairs; i++) {
		struct virtio_net_pair *pair = &net->pairs[i];

		if (ret == 0)
			ret = set_active(pair, i < n);
		/* Kicks make the pair's thread update what it polls for. */
		virtio_again(&net->dev, pair->rx);
		virtio_again(&net->dev, pair->tx);
	}
	for (unsigned i = net->state.used; ret < 0 && i < n; i++)
		(void)set_active(&net->pairs[i], false);
	if (ret == 0)
		net->state.used = n;
	return ret;
}

static unsigned control_queue(const struct virtio_net *net)
{
	return net->dev.state.accepted & F(MQ) ? 2 * net->nr_pairs : 2;
}

static bool has_control(const struct virtio_net *net)
{
	return net->dev.state.accepted & F(CTRL_VQ);
}

unsigned virtio_net_control_queue(const struct virtio_net *net)
{
	return control_queue(net);
}

/* Executes a command and returns its status. With the control queue's lock held. */
static uint8_t virtio_net_execute(struct virtio_net *net, const struct virtqueue_buffer *b)
{
	uint8_t command[COMMAND_MAX];
	unsigned pairs;

	if (virtqueue_read(b->parts, b->nr_out, 0, command, sizeof(command)) < sizeof(command) ||
	    command[0] != CTRL_MQ || command[1] != CTRL_MQ_PAIRS ||
	    !(net->dev.state.accepted & F(MQ)))
		return CTRL_ERR;
	pairs = (unsigned)load_le(command + 2, 2);
	if (!pairs || pairs > net->nr_pairs || use_pairs(net, pairs) < 0)
		return CTRL_ERR;
	return CTRL_OK;
}

static void control(struct virtio_net *net, unsigned i)
{
	struct virtqueue_buffer *b = &net->command;

	while (virtio_take(&net->dev, i, b)) {
		uint8_t answer = virtio_net_execute(net, b);
		size_t n = virtqueue_write(b->parts + b->nr_out, b->nr_in, 0, &answer, 1);

		virtqueue_push(&net->dev.queues[i].ring, b->id, b->entries, (uint32_t)n);
	}
	virtio_interrupt(&net->dev, i);
}

static void virtio_net_handle(struct virtio_device *dev, unsigned i)
{
	struct virtio_net *net = virtio_net_of(dev);

	if (has_control(net) && i == control_queue(net))
		control(net, i);
	else if (i < 2 * net->nr_pairs && !dev->server.ops)
		handle_pair(&net->pairs[i / 2], i);
}

/* --- the device --- */

uint64_t virtio_net_features_closed(uint64_t features)
{
	static const struct {
		uint64_t these, need_one_of;
	} rules[] = {
		/* In this order, because the rule before may remove what rules 2 and 4 require. */
		{ F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_UFO), F(GUEST_CSUM) },
		{ F(GUEST_ECN), F(GUEST_TSO4) | F(GUEST_TSO6) },
		{ F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_UFO), F(CSUM) },
		{ F(HOST_ECN), F(HOST_TSO4) | F(HOST_TSO6) },
		{ F(MQ), F(CTRL_VQ) },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
		if (!(features & rules[i].need_one_of))
			features &= ~rules[i].these;
	return features;
}

bool virtio_net_features_good(uint64_t features)
{
	return virtio_net_features_closed(features) == features;
}

static void ready(struct virtio_device *dev)
{
	struct virtio_net *net = virtio_net_of(dev);
	const struct net_port *port = &net->pairs[0].port;

	port->ops->offloads(port->to, dev->state.accepted);
	dev->nr_served = dev->state.accepted & F(MQ) ? 2 * net->nr_pairs : 2;
	if (net->nr_pairs > 1)
		virtio_again(dev, 2 * net->nr_pairs);
}

/* After a reset one pair is used, until the driver sets another number. */
static void virtio_net_reset(struct virtio_device *dev)
{
	struct virtio_net *net = virtio_net_of(dev);

	(void)use_pairs(net, 1);
	for (unsigned i = 0; i < net->nr_pairs; i++) {
		struct virtio_net_pair *pair = &net->pairs[i];

		lock_pair(pair, true);
		forget(pair);
		pair->out_waits = false;
		pair->port.ops->reset(pair->port.to);
		lock_pair(pair, false);
	}
}

static const struct virtio_ops ops = {
	.name = "virtio-net",
	.type = VIRTIO_ID_NET,
	.class = VIRTIO_NET_CLASS,
	.work = VIRTIO_WORK_TRANSMIT,
	.handle = virtio_net_handle,
	.features_good = virtio_net_features_good,
	.ready = ready,
	.reset = virtio_net_reset,
};

static bool init_pair(struct virtio_net *net, unsigned i, const struct net_port *port)
{
	struct virtio_net_pair *pair = &net->pairs[i];

	pair->net = net;
	pair->rx = 2 * i;
	pair->tx = 2 * i + 1;
	pair->port = *port;
	pair->active = i == 0;
	pair->frame = malloc(NET_FRAME_MAX);
	pair->held = calloc(VIRTIO_NET_HELD, sizeof(*pair->held));
	return pair->frame && pair->held;
}

int virtio_net_init(struct virtio_net *net, const struct net_port *ports, unsigned nr_pairs,
		    const struct server *server, const uint8_t mac[6], struct err *err)
{
	bool many = nr_pairs > 1, good;
	uint16_t sizes[VIRTIO_QUEUES_MAX];

	memset(net, 0, sizeof(*net));
	for (unsigned i = 0; i < 2 * nr_pairs; i++)
		sizes[i] = QUEUE_SIZE;
	sizes[2 * nr_pairs] = CONTROL_SIZE;
	virtio_init(&net->dev, &ops,
		    ports->features | F(MAC) | F(STATUS) | F(MRG_RXBUF) |
			    (many ? F(CTRL_VQ) | F(MQ) : 0),
		    sizes, 2 * nr_pairs + many);
	if (server)
		virtio_set_server(&net->dev, server, 2, F(MRG_RXBUF));
	memcpy(net->dev.state.config + CONFIG_MAC, mac, 6);
	store_le(net->dev.state.config + CONFIG_STATUS, VIRTIO_NET_S_LINK_UP, 2);
	store_le(net->dev.state.config + CONFIG_PAIRS, nr_pairs, 2);
	net->dev.config_size = CONFIG_SIZE;
	net->state.used = 1;
	net->pairs = calloc(nr_pairs, sizeof(*net->pairs));
	good = net->pairs;
	while (good && net->nr_pairs < nr_pairs) {
		good = init_pair(net, net->nr_pairs, &ports[net->nr_pairs]);
		net->nr_pairs++;
	}
	if (good)
		return 0;
	virtio_net_destroy(net);
	return err_sys(err, ENOMEM, "out of memory for the frames of a network adapter");
}

void virtio_net_link_down(struct virtio_net *net)
{
	static const uint8_t down[2] = { 0, 0 };

	virtio_set_config(&net->dev, CONFIG_STATUS, down, sizeof(down));
}

void virtio_net_destroy(struct virtio_net *net)
{
	for (unsigned i = 0; i < net->nr_pairs; i++) {
		free(net->pairs[i].frame);
		free(net->pairs[i].held);
	}
	free(net->pairs);
	net->pairs = NULL;
	net->nr_pairs = 0;
}
