#include "devices/virtio_vsock.h"

#include "vmm/base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLASS	    0x028000 /* network, other */
#define QUEUE_SIZE  128
#define CONFIG_SIZE 8	/* guest_cid */
#define BATCH	    64	/* packets of one call, in each direction */
#define TURN	    16u /* packets of one connection, before the next connection's */

enum { RX, TX, EVENT, QUEUES }; /* a server serves RX and TX */

static_assert(VSOCK_REFUSALS >= BATCH, "each packet that is taken can be answered");

static struct virtio_vsock *vsock_of(struct virtio_device *dev)
{
	return (struct virtio_vsock *)dev;
}

/* --- headers: 5.10.6 --- */

static void read_header(struct vsock_header *h, const uint8_t *bytes)
{
	struct bytes_in in = { .data = bytes, .len = VSOCK_HEADER };

	h->src_cid = get_le(&in, 8);
	h->dst_cid = get_le(&in, 8);
	h->src_port = (uint32_t)get_le(&in, 4);
	h->dst_port = (uint32_t)get_le(&in, 4);
	h->len = (uint32_t)get_le(&in, 4);
	h->type = (uint16_t)get_le(&in, 2);
	h->op = (uint16_t)get_le(&in, 2);
	h->flags = (uint32_t)get_le(&in, 4);
	h->buf_alloc = (uint32_t)get_le(&in, 4);
	h->fwd_cnt = (uint32_t)get_le(&in, 4);
}

static void write_header(const struct vsock_header *h, uint8_t *bytes)
{
	struct bytes_out out = { .data = bytes, .cap = VSOCK_HEADER };

	put_le(&out, h->src_cid, 8);
	put_le(&out, h->dst_cid, 8);
	put_le(&out, h->src_port, 4);
	put_le(&out, h->dst_port, 4);
	put_le(&out, h->len, 4);
	put_le(&out, h->type, 2);
	put_le(&out, h->op, 2);
	put_le(&out, h->flags, 4);
	put_le(&out, h->buf_alloc, 4);
	put_le(&out, h->fwd_cnt, 4);
}

/* --- to the guest; queue 0's lock held --- */

/* Takes a receive buffer. False: there is none, and kicks are on. */
static bool find_buffer(struct virtio_vsock *v)
{
	struct virtqueue *ring = &v->dev.queues[RX].ring;

	if (!v->has_held && virtqueue_take(ring, &v->held)) {
		v->has_held = v->held.in_len > VSOCK_HEADER;
		if (!v->has_held)
			virtqueue_break(ring, "a receive buffer has no room for a packet");
	}
	return v->has_held;
}

/* Writes the header before the data in the held buffer and returns the buffer to the driver. */
static void virtio_vsock_deliver(struct virtio_vsock *v, const struct vsock_header *h)
{
	struct virtqueue_buffer *b = &v->held;
	uint8_t bytes[VSOCK_HEADER];

	write_header(h, bytes);
	virtqueue_write(b->parts + b->nr_out, b->nr_in, 0, bytes, sizeof(bytes));
	virtqueue_push(&v->dev.queues[RX].ring, b->id, b->entries, VSOCK_HEADER + h->len);
	v->has_held = false;
}

/*
 * Receives bytes of the host into the held buffer, as many as the buffer and the credit allow.
 * False: there are none.
 */
static bool virtio_vsock_fill(struct virtio_vsock *v, struct vsock_connection *c, uint32_t *len)
{
	struct vsock_table *t = v->table;
	struct virtqueue_buffer *b = &v->held;
	struct iovec parts[VIRTQUEUE_PARTS_MAX];
	unsigned n = vsock_slice(b->parts + b->nr_out, b->nr_in, VSOCK_HEADER,
				 min_u64(b->in_len - VSOCK_HEADER, vsock_credit(c)), parts);
	ssize_t got = t->port.ops->receive(t->port.to, vsock_id(t, c), parts, n);

	if (got > 0) {
		*len = (uint32_t)got;
		c->state.sent += *len;
		return true;
	}
	c->readable = false;
	if (got == 0)
		vsock_host_ends(t, c);
	else if (got != -EAGAIN)
		vsock_end(t, c);
	return false;
}

/*
 * Returns the operation of the next packet for the guest; 0: there is none. SHUTDOWN and RST come
 * after all data.
 */
static enum vsock_op next_op(struct vsock_connection *c)
{
	struct vsock_connection_state *st = &c->state;
	static const enum vsock_op first[] = { VSOCK_REQUEST, VSOCK_RESPONSE, VSOCK_CREDIT_UPDATE,
					       VSOCK_CREDIT_REQUEST };
	static const enum vsock_op last[] = { VSOCK_SHUTDOWN, VSOCK_RST };
	bool data = st->phase == VSOCK_OPEN && c->readable;

	if (data && !vsock_credit(c)) {
		data = false;
		if (!st->asked)
			st->owes |= 1u << VSOCK_CREDIT_REQUEST;
		st->asked = true;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(first); i++)
		if (st->owes >> first[i] & 1)
			return first[i];
	if (data)
		return VSOCK_RW;
	for (unsigned i = 0; i < ARRAY_SIZE(last); i++)
		if (st->owes >> last[i] & 1)
			return last[i];
	return 0;
}

static void deliver_op(struct virtio_vsock *v, struct vsock_connection *c, enum vsock_op op)
{
	struct vsock_connection_state *st = &c->state;
	struct vsock_header h = {
		.src_cid = VSOCK_CID_HOST,
		.dst_cid = v->cid,
		.src_port = st->host_port,
		.dst_port = st->guest_port,
		.type = VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.buf_alloc = VSOCK_BUFFER,
	};

	if (op == VSOCK_RW && !virtio_vsock_fill(v, c, &h.len))
		return;
	st->owes &= ~(1u << op | 1u << VSOCK_CREDIT_UPDATE); /* every packet has the credit */
	h.fwd_cnt = st->told = st->forwarded;
	if (op == VSOCK_SHUTDOWN)
		h.flags = st->host_shut;
	if (op == VSOCK_RST)
		vsock_free(v->table, c);
	virtio_vsock_deliver(v, &h);
}

/*
 * Sends packets of one connection to the guest, and returns their number. *room is false if there
 * is no buffer for the next packet.
 */
static unsigned serve_one(struct virtio_vsock *v, struct vsock_connection *c, unsigned most,
			  bool *room)
{
	enum vsock_op op;
	unsigned n = 0;

	while (n < most && (op = next_op(c))) {
		*room = find_buffer(v);
		if (!*room)
			break;
		deliver_op(v, c, op);
		n++;
	}
	return n;
}

static unsigned serve_refusals(struct virtio_vsock *v, bool *room)
{
	struct virtio_vsock_state *st = &v->state;
	unsigned n = 0;

	while (st->nr_refusals && n < BATCH) {
		*room = find_buffer(v);
		if (!*room)
			break;
		virtio_vsock_deliver(v, &st->refusals[st->refusal]);
		st->refusal = (st->refusal + 1) % VSOCK_REFUSALS;
		st->nr_refusals--;
		n++;
	}
	return n;
}

/*
 * Sends packets to the guest: refusals, then TURN packets of each connection by turns. Each call
 * continues with the connection at which the one before stopped.
 */
static void virtio_vsock_receive(struct virtio_vsock *v)
{
	struct virtio_vsock_state *st = &v->state;
	unsigned n, idle = 0;
	bool room = true;

	virtqueue_want_kicks(&v->dev.queues[RX].ring, false);
	n = serve_refusals(v, &room);
	while (room && n < BATCH && idle < VSOCK_CONNECTIONS) {
		struct vsock_connection *c = &v->table->list[st->turn];
		unsigned now = c->state.phase == VSOCK_FREE
				       ? 0
				       : serve_one(v, c, (unsigned)min_u64(TURN, BATCH - n), &room);

		n += now;
		idle = now ? 0 : idle + 1;
		if (room)
			st->turn = (st->turn + 1) % VSOCK_CONNECTIONS;
	}
	if (room && n >= BATCH)
		virtio_again(&v->dev, RX);
	if (st->tx_waits && st->nr_refusals < VSOCK_REFUSALS) {
		st->tx_waits = false;
		virtio_again(&v->dev, TX);
	}
	virtio_interrupt(&v->dev, RX);
}

/* --- from the guest; with the locks of RX and TX held --- */

/* Answers a packet with RST, unless it is a RST itself. */
static void virtio_vsock_refuse(struct virtio_vsock *v, const struct vsock_header *h)
{
	struct virtio_vsock_state *st = &v->state;

	if (h->op == VSOCK_RST)
		return;
	st->refusals[(st->refusal + st->nr_refusals++) % VSOCK_REFUSALS] = (struct vsock_header){
		.src_cid = h->dst_cid,
		.dst_cid = v->cid,
		.src_port = h->dst_port,
		.dst_port = h->src_port,
		.type = h->type,
		.op = VSOCK_RST,
	};
}

static void take_request(struct virtio_vsock *v, const struct vsock_header *h)
{
	struct vsock_table *t = v->table;
	struct vsock_connection *c = vsock_add(t, VSOCK_OPEN, h->src_port, h->dst_port);

	if (!c) {
		virtio_vsock_refuse(v, h);
		return;
	}
	if (t->port.ops->connect(t->port.to, vsock_id(t, c), h->dst_port) < 0) {
		vsock_free(t, c);
		virtio_vsock_refuse(v, h);
		return;
	}
	c->attached = true;
	c->state.peer_alloc = h->buf_alloc;
	c->state.owes = 1u << VSOCK_RESPONSE;
}

/* False: the guest may not send RESPONSE in this phase, or the port is dead. */
static bool take_response(struct virtio_vsock *v, struct vsock_connection *c)
{
	struct vsock_table *t = v->table;

	if (c->state.phase != VSOCK_ASKED)
		return false;
	c->state.phase = VSOCK_OPEN;
	return t->port.ops->accepted(t->port.to, vsock_id(t, c), c->state.host_port) == 0;
}

static bool take_op(struct virtio_vsock *v, struct vsock_connection *c,
		    const struct vsock_header *h)
{
	const struct virtqueue_buffer *b = &v->out;

	if (h->op == VSOCK_RESPONSE)
		return take_response(v, c);
	if (c->state.phase != VSOCK_OPEN)
		return false;
	switch (h->op) {
	case VSOCK_RW:
		return vsock_to_host(v->table, c, b->parts, b->nr_out, VSOCK_HEADER, h->len);
	case VSOCK_SHUTDOWN:
		vsock_guest_shuts(v->table, c, h->flags);
		return true;
	case VSOCK_CREDIT_REQUEST:
		c->state.owes |= 1u << VSOCK_CREDIT_UPDATE;
		return true;
	case VSOCK_CREDIT_UPDATE:
		return true;
	}
	return false;
}

/*
 * Handles one packet. A packet that is not for a stream of this host, or for which there is no
 * connection, is answered with RST (5.10.6.4); an invalid packet ends its connection.
 */
static void take_packet(struct virtio_vsock *v)
{
	const struct virtqueue_buffer *b = &v->out;
	uint8_t bytes[VSOCK_HEADER];
	struct vsock_connection *c;
	struct vsock_header h;

	if (virtqueue_read(b->parts, b->nr_out, 0, bytes, sizeof(bytes)) != sizeof(bytes))
		return; /* no address to answer to */
	read_header(&h, bytes);
	if (h.src_cid != v->cid)
		return;
	if (h.dst_cid != VSOCK_CID_HOST || h.type != VSOCK_TYPE_STREAM) {
		virtio_vsock_refuse(v, &h);
		return;
	}
	c = vsock_find(v->table, h.src_port, h.dst_port);
	if (!c && h.op == VSOCK_REQUEST && h.len == b->out_len - VSOCK_HEADER)
		take_request(v, &h);
	else if (!c)
		virtio_vsock_refuse(v, &h);
	else if (h.op == VSOCK_RST)
		vsock_guest_resets(v->table, c);
	else if (h.len != b->out_len - VSOCK_HEADER ||
		 !vsock_take_credit(c, h.buf_alloc, h.fwd_cnt) || !take_op(v, c, &h))
		vsock_end(v->table, c);
}

/*
 * Handles packets of the guest. Does not depend on receive buffers, as 5.10.6.1 requires, as long
 * as there is room for refusals.
 */
static void virtio_vsock_transmit(struct virtio_vsock *v)
{
	struct virtio_vsock_state *st = &v->state;
	struct virtqueue *ring = &v->dev.queues[TX].ring;
	unsigned n = 0;

	virtqueue_want_kicks(ring, false);
	for (; n < BATCH; n++) {
		st->tx_waits = st->nr_refusals == VSOCK_REFUSALS;
		if (st->tx_waits || !virtqueue_take(ring, &v->out))
			break;
		take_packet(v);
		virtqueue_push(ring, v->out.id, v->out.entries, 0);
	}
	if (n == BATCH)
		virtio_again(&v->dev, TX);
	virtio_interrupt(&v->dev, TX);
}

/* --- both directions --- */

/* Buffers of the event queue are not taken, because its only event follows a migration. */
static void virtio_vsock_handle(struct virtio_device *dev, unsigned i)
{
	struct virtio_vsock *v = vsock_of(dev);

	if (i == EVENT || !v->table)
		return;
	if (i == RX) {
		virtio_vsock_receive(v);
		return;
	}
	pthread_mutex_lock(&dev->queues[RX].lock);
	virtio_vsock_transmit(v);
	virtio_handle(dev, RX);
	pthread_mutex_unlock(&dev->queues[RX].lock);
}

static void virtio_vsock_reset(struct virtio_device *dev)
{
	struct virtio_vsock *v = vsock_of(dev);

	if (!v->table)
		return;
	pthread_mutex_lock(&dev->queues[RX].lock);
	vsock_free_all(v->table);
	v->has_held = false;
	v->state.nr_refusals = 0;
	v->state.tx_waits = false;
	pthread_mutex_unlock(&dev->queues[RX].lock);
}

int virtio_vsock_call(struct virtio_vsock *v, uint32_t port, unsigned caller)
{
	struct virtio_queue *q = &v->dev.queues[RX];
	struct vsock_table *t = v->table;
	struct vsock_connection *c;
	int ret = 0;

	pthread_mutex_lock(&q->lock);
	if (!q->ring.state.started || q->ring.state.broken) {
		ret = -ENOTCONN;
		goto out;
	}
	c = vsock_add(t, VSOCK_ASKED, port, vsock_host_port(t, port));
	if (!c) {
		ret = -ENOSPC;
		goto out;
	}
	t->port.ops->adopt(t->port.to, vsock_id(t, c), caller);
	c->attached = true;
	c->state.owes = 1u << VSOCK_REQUEST;
	virtio_handle(&v->dev, RX);
out:
	pthread_mutex_unlock(&q->lock);
	return ret;
}

void virtio_vsock_event(struct virtio_vsock *v, unsigned id)
{
	struct virtio_queue *q = &v->dev.queues[RX];

	pthread_mutex_lock(&q->lock);
	vsock_event(v->table, &v->table->list[id]);
	virtio_handle(&v->dev, RX);
	pthread_mutex_unlock(&q->lock);
}

static const struct virtio_ops ops = {
	.name = "virtio-vsock",
	.type = VIRTIO_ID_VSOCK,
	.class = CLASS,
	.work = VIRTIO_WORK_TRANSMIT,
	.handle = virtio_vsock_handle,
	.reset = virtio_vsock_reset,
};

static void virtio_vsock_init_device(struct virtio_vsock *v, uint32_t cid)
{
	const uint16_t sizes[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE };

	memset(v, 0, sizeof(*v));
	virtio_init(&v->dev, &ops, 0, sizes, QUEUES);
	v->cid = cid;
	store_le(v->dev.state.config, cid, CONFIG_SIZE);
	v->dev.config_size = CONFIG_SIZE;
}

void virtio_vsock_init(struct virtio_vsock *v, uint32_t cid, const struct server *server)
{
	virtio_vsock_init_device(v, cid);
	virtio_set_server(&v->dev, server, 2, 0);
}

int virtio_vsock_init_port(struct virtio_vsock *v, uint32_t cid, const struct vsock_port *port,
			   struct err *err)
{
	virtio_vsock_init_device(v, cid);
	v->table = calloc(1, sizeof(*v->table));
	if (!v->table)
		return err_sys(err, ENOMEM, "out of memory for the guest's vsock connections");
	v->table->port = *port;
	return 0;
}

void virtio_vsock_destroy(struct virtio_vsock *v)
{
	if (v->table)
		vsock_free_all(v->table);
	free(v->table);
	v->table = NULL;
}
