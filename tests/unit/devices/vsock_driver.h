/*
 * For test_vsock.c: a virtio-vsock device with a driver that is written out here on one side, and a
 * pretend host on the other.
 */
#ifndef TESTS_UNIT_VSOCK_DRIVER_H
#define TESTS_UNIT_VSOCK_DRIVER_H

#include "devices/virtio_vsock.h"
#include "vmm/base/bytes.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CID	7
#define PEER	5000u /* a port of the guest */
#define SERVICE 1000u /* one of the host */
#define CREDIT	100000u

enum { RX, TX, EVENT };

/* --- guest memory --- */

#define MEMORY	  0x200000u
#define ENTRIES	  128u
#define RING(i)	  (0x4000u * (i)) /* descriptors, +0x1000 driver, +0x2000 device */
#define TX_HEADER 0x10000u
#define TX_DATA	  0x11000u
#define RX_BUFFER 0x100000u
#define RX_SIZE	  0x1000u

static uint8_t memory[MEMORY] __attribute__((aligned(4096)));
static const struct ram_block block = { { 0, MEMORY }, memory, -1, 0 };
static const struct guest_ram ram = { &block, 1 };

static struct virtio_vsock vsock;
static int kicks[3];
static unsigned tx_count, rx_posted, rx_seen, interrupts;
static char broken[160]; /* what the transport was told; empty: nothing */

/* --- a pretend host --- */

static struct end {
	bool open, refuses, ended, hung_up, want_room, no_receive, no_send;
	uint32_t port, accepted;
	unsigned caller;
	uint8_t *in, *out;	       /* for the guest; from it */
	size_t in_at, in_end, out_len; /* bytes */
	size_t room;		       /* for more of them */
	int fails;
} ends[VSOCK_CONNECTIONS];
static unsigned nr_open;
static bool all_refuse;

static void open_end(unsigned id)
{
	struct end *e = &ends[id];

	assert_false(e->open);
	free(e->in);
	free(e->out);
	*e = (struct end){ .open = true, .room = SIZE_MAX };
	e->in = malloc(1 << 20);
	e->out = malloc(2 << 20);
	assert_true(e->in && e->out);
	nr_open++;
}

static int host_connect(void *to, unsigned id, uint32_t port)
{
	(void)to;
	if (all_refuse)
		return -ECONNREFUSED;
	open_end(id);
	ends[id].port = port;
	return 0;
}

static void host_adopt(void *to, unsigned id, unsigned caller)
{
	(void)to;
	open_end(id);
	ends[id].caller = caller;
}

static int host_accepted(void *to, unsigned id, uint32_t port)
{
	(void)to;
	assert_true(ends[id].open);
	ends[id].accepted = port;
	return 0;
}

static ssize_t host_send(void *to, unsigned id, const struct iovec *parts, unsigned n)
{
	struct end *e = &ends[id];
	size_t done = 0;

	(void)to;
	assert_true(e->open);
	if (e->fails)
		return e->fails;
	for (unsigned i = 0; i < n; i++) {
		size_t now = min_u64(parts[i].iov_len, e->room);

		memcpy(e->out + e->out_len, parts[i].iov_base, now);
		e->out_len += now;
		e->room -= now;
		done += now;
	}
	return done ? (ssize_t)done : -EAGAIN;
}

static ssize_t host_receive(void *to, unsigned id, const struct iovec *parts, unsigned n)
{
	struct end *e = &ends[id];
	size_t done;

	(void)to;
	assert_true(e->open);
	if (e->in_at == e->in_end)
		return e->fails ? e->fails : e->ended ? 0 : -EAGAIN;
	done = virtqueue_write(parts, n, 0, e->in + e->in_at, e->in_end - e->in_at);
	e->in_at += done;
	return (ssize_t)done;
}

static void host_shutdown(void *to, unsigned id, bool receive, bool send)
{
	(void)to;
	assert_true(ends[id].open);
	ends[id].no_receive |= receive;
	ends[id].no_send |= send;
}

static bool host_hung_up(void *to, unsigned id)
{
	(void)to;
	assert_true(ends[id].open);
	return ends[id].hung_up;
}

static void host_want_room(void *to, unsigned id, bool want)
{
	(void)to;
	assert_true(ends[id].open);
	ends[id].want_room = want;
}

static void host_close(void *to, unsigned id)
{
	(void)to;
	assert_true(ends[id].open);
	ends[id].open = false;
	nr_open--;
}

static const struct vsock_port_ops port_ops = {
	host_connect,  host_adopt,   host_accepted,  host_send,	 host_receive,
	host_shutdown, host_hung_up, host_want_room, host_close,
};

/* --- the driver --- */

static void interrupt(void *to, unsigned queue)
{
	(void)to;
	(void)queue;
	interrupts++;
}

static void needs_reset(void *to, const char *why)
{
	(void)to;
	snprintf(broken, sizeof(broken), "%s", why); /* it is there for the call only */
}

/* As the worker does, until nothing is left to do. */
static void run(void)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned i = 0; i < 3; i++) {
			uint64_t count;

			if (read(kicks[i], &count, sizeof(count)) < 0)
				continue;
			more = true;
			assert_int_equal(eventfd_write(kicks[i], 1), 0);
			virtio_kicked(&vsock.dev, i);
		}
	}
}

static void kick(unsigned i)
{
	virtio_again(&vsock.dev, i);
	run();
}

static void offer(unsigned queue, unsigned count, unsigned head)
{
	uint8_t *avail = memory + RING(queue) + 0x1000;

	store_le(avail + 4 + 2 * (count % ENTRIES), head, 2);
	store_le(avail + 2, count + 1, 2);
}

static void set_descriptor(unsigned queue, unsigned i, uint64_t at, size_t len, unsigned flags,
			   unsigned next)
{
	uint8_t *d = memory + RING(queue) + 16 * i;

	store_le(d, at, 8);
	store_le(d + 8, len, 4);
	store_le(d + 12, flags, 2);
	store_le(d + 14, next, 2);
}

static void post(unsigned n)
{
	for (unsigned i = 0; i < n; i++, rx_posted++) {
		unsigned slot = rx_posted % ENTRIES;

		set_descriptor(RX, slot, RX_BUFFER + slot * RX_SIZE, RX_SIZE, 2, 0);
		offer(RX, rx_posted, slot);
	}
	kick(RX);
}

static void put_header(const struct vsock_header *h)
{
	struct bytes_out out = { memory + TX_HEADER, VSOCK_HEADER, 0 };

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

/* A packet as it is, with `len` bytes from TX_DATA; waits until the device has taken it. */
static void transmit(const struct vsock_header *h, size_t header, size_t len)
{
	put_header(h);
	set_descriptor(TX, 0, TX_HEADER, header, len ? 1 : 0, 1);
	set_descriptor(TX, 1, TX_DATA, len, 0, 0);
	offer(TX, tx_count++, 0);
	kick(TX);
}

static uint32_t guest_forwarded; /* bytes that it says to have taken */

static struct vsock_header packet(enum vsock_op op, uint32_t from, uint32_t to)
{
	return (struct vsock_header){
		.src_cid = CID,
		.dst_cid = VSOCK_CID_HOST,
		.src_port = from,
		.dst_port = to,
		.type = VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.buf_alloc = CREDIT,
		.fwd_cnt = guest_forwarded,
	};
}

static void say(enum vsock_op op, uint32_t from, uint32_t to)
{
	struct vsock_header h = packet(op, from, to);

	transmit(&h, VSOCK_HEADER, 0);
}

static void say_shutdown(uint32_t from, uint32_t to, uint32_t flags)
{
	struct vsock_header h = packet(VSOCK_SHUTDOWN, from, to);

	h.flags = flags;
	transmit(&h, VSOCK_HEADER, 0);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static size_t guest_sent; /* of the pattern */

static void say_data(uint32_t from, uint32_t to, size_t len)
{
	struct vsock_header h = packet(VSOCK_RW, from, to);

	for (size_t i = 0; i < len; i++)
		memory[TX_DATA + i] = pattern(guest_sent + i);
	guest_sent += len;
	h.len = (uint32_t)len;
	transmit(&h, VSOCK_HEADER, len);
}

static const uint8_t *data; /* of the last packet */

/* The next packet for the guest; its op is 0 if there is none. */
static struct vsock_header heard(void)
{
	const uint8_t *used = memory + RING(RX) + 0x2000;
	struct vsock_header h = { 0 };
	unsigned slot;
	uint8_t *at;

	if (rx_seen % 0x10000 == load_le(used + 2, 2))
		return h;
	slot = (unsigned)load_le(used + 4 + 8 * (rx_seen % ENTRIES), 4);
	assert_int_equal(slot, rx_seen % ENTRIES); /* in the order in which they were posted */
	at = memory + RX_BUFFER + slot * RX_SIZE;
	h.src_cid = load_le(at, 8);
	h.dst_cid = load_le(at + 8, 8);
	h.src_port = (uint32_t)load_le(at + 16, 4);
	h.dst_port = (uint32_t)load_le(at + 20, 4);
	h.len = (uint32_t)load_le(at + 24, 4);
	h.type = (uint16_t)load_le(at + 28, 2);
	h.op = (uint16_t)load_le(at + 30, 2);
	h.flags = (uint32_t)load_le(at + 32, 4);
	h.buf_alloc = (uint32_t)load_le(at + 36, 4);
	h.fwd_cnt = (uint32_t)load_le(at + 40, 4);
	data = at + VSOCK_HEADER;
	assert_int_equal(load_le(used + 8 + 8 * (rx_seen % ENTRIES), 4), VSOCK_HEADER + h.len);
	assert_int_equal(h.dst_cid, CID);
	rx_seen++;
	return h;
}

#define hears(op_, from, to) hears_at(op_, from, to, __LINE__)
static struct vsock_header hears_at(enum vsock_op op, uint32_t from, uint32_t to, int line)
{
	struct vsock_header h = heard();

	if (h.op != op || h.src_port != from || h.dst_port != to)
		fail_msg("line %d: heard op %u from %u to %u", line, h.op, h.src_port, h.dst_port);
	return h;
}

#define hears_nothing() assert_int_equal(heard().op, 0)

/* --- set-up --- */

static void start_driver(void)
{
	memset(memory, 0, RING(3));
	for (unsigned i = 0; i < 2; i++) {
		struct virtqueue *ring = &vsock.dev.queues[i].ring;

		ring->state.size = ENTRIES;
		ring->state.desc = RING(i);
		ring->state.driver = RING(i) + 0x1000;
		ring->state.device = RING(i) + 0x2000;
		vsock.dev.queues[i].state.enabled = true;
	}
	tx_count = rx_posted = rx_seen = 0;
	guest_forwarded = 0;
	guest_sent = 0;
	vsock.dev.state.accepted = VIRTIO_BIT(F_VERSION_1);
	virtio_start(&vsock.dev);
	run();
}

static int set_up(void **state)
{
	const struct vsock_port port = { &port_ops, NULL };
	struct err err;

	(void)state;
	broken[0] = '\0';
	all_refuse = false;
	assert_int_equal(virtio_vsock_init_port(&vsock, CID, &port, &err), 0);
	vsock.dev.interrupt = interrupt;
	vsock.dev.needs_reset = needs_reset;
	for (unsigned i = 0; i < 3; i++) {
		kicks[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		vsock.dev.queues[i].kick = kicks[i];
		vsock.dev.queues[i].ring.ram = &ram;
	}
	start_driver();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	virtio_reset(&vsock.dev);
	virtio_vsock_destroy(&vsock);
	for (unsigned i = 0; i < 3; i++)
		close(kicks[i]);
	for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++) {
		free(ends[i].in);
		free(ends[i].out);
	}
	memset(ends, 0, sizeof(ends));
	assert_int_equal(nr_open, 0);
	return 0;
}

/* The guest connects; returns the connection, which is the first. */
static struct end *guest_connects(void)
{
	post(32);
	say(VSOCK_REQUEST, PEER, SERVICE);
	assert_int_equal(hears(VSOCK_RESPONSE, SERVICE, PEER).buf_alloc, VSOCK_BUFFER);
	assert_int_equal(ends[0].port, SERVICE);
	return &ends[0];
}

static void host_says(unsigned id, size_t len)
{
	struct end *e = &ends[id];

	for (size_t i = 0; i < len; i++, e->in_end++)
		e->in[e->in_end] = pattern(e->in_end);
	virtio_vsock_event(&vsock, id);
	run();
}

static void event(unsigned id)
{
	virtio_vsock_event(&vsock, id);
	run();
}

#endif
