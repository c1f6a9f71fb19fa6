/*
 * A hostile guest at virtio-vsock: each input is a list of packets, receive buffers, and of what
 * happens on the host meanwhile. Holds at every step: the port is asked only about connections that
 * it has, what it is given lies in RAM or in the device's buffers, no more waits for the host than
 * was promised, no more is sent to the guest than it has room for; and after a reset nothing is
 * left.
 */
#include "devices/virtio_vsock.h"
#include "vmm/base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CID	7
#define MEMORY	0x20000u
#define ENTRIES 16u
#define RING(i) (0x1000u * (i)) /* descriptors, +0x400 driver, +0x800 device */
#define TX_AT	0x4000u
#define TX_MAX	0x8000u
#define RX_AT	0x10000u
#define RX_SIZE 0x100u

enum { RX, TX, EVENT };

static uint8_t memory[MEMORY] __attribute__((aligned(4096)));
static const struct ram_block block = { { 0, MEMORY }, memory, -1, 0 };
static const struct guest_ram ram = { &block, 1 };
static struct virtio_vsock vsock;
static bool open[VSOCK_CONNECTIONS];
static unsigned nr_open, dice, offered[2];
static struct bytes_in in;

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* --- a host that does anything --- */

static unsigned roll(unsigned sides)
{
	dice = dice * 1103515245 + 12345;
	return (dice >> 16) % sides;
}

static int host_connect(void *to, unsigned id, uint32_t port)
{
	(void)to;
	must(id < VSOCK_CONNECTIONS && !open[id]);
	if (port % 8 == 7)
		return -ECONNREFUSED;
	open[id] = true;
	nr_open++;
	return 0;
}

static void host_adopt(void *to, unsigned id, unsigned caller)
{
	(void)to;
	must(id < VSOCK_CONNECTIONS && !open[id] && caller == 5);
	open[id] = true;
	nr_open++;
}

static int host_accepted(void *to, unsigned id, uint32_t port)
{
	(void)to;
	must(open[id] && port);
	return roll(8) ? 0 : -EPIPE;
}

static size_t check_parts(const struct iovec *parts, unsigned n)
{
	size_t len = 0;

	must(n);
	for (unsigned i = 0; i < n; i++) {
		volatile uint8_t *at = parts[i].iov_base;

		must(parts[i].iov_len);
		(void)at[0]; /* the sanitizer looks */
		(void)at[parts[i].iov_len - 1];
		len += parts[i].iov_len;
	}
	return len;
}

static ssize_t host_send(void *to, unsigned id, const struct iovec *parts, unsigned n)
{
	size_t len = check_parts(parts, n);

	(void)to;
	must(open[id] && len <= VSOCK_BUFFER);
	switch (roll(4)) {
	case 0:
		return -EAGAIN;
	case 1:
		return 1 + roll((unsigned)len);
	case 2:
		return roll(4) ? (ssize_t)len : -EPIPE;
	default:
		return (ssize_t)len;
	}
}

static ssize_t host_receive(void *to, unsigned id, const struct iovec *parts, unsigned n)
{
	size_t len = check_parts(parts, n);

	(void)to;
	must(open[id] && vsock.table->list[id].state.phase == VSOCK_OPEN);
	must(len <= vsock_credit(&vsock.table->list[id]));
	for (unsigned i = 0; i < n; i++)
		must((uint8_t *)parts[i].iov_base >= memory &&
		     (uint8_t *)parts[i].iov_base + parts[i].iov_len <= memory + MEMORY);
	switch (roll(8)) {
	case 0:
		return 0;
	case 1:
		return -ECONNRESET;
	case 2:
	case 3:
		return -EAGAIN;
	default:
		return 1 + roll((unsigned)len);
	}
}

static void host_shutdown(void *to, unsigned id, bool receive, bool send)
{
	(void)to;
	must(open[id] && (receive || send));
}

static bool host_hung_up(void *to, unsigned id)
{
	(void)to;
	must(open[id]);
	return !roll(3);
}

static void host_want_room(void *to, unsigned id, bool want)
{
	(void)to;
	(void)want;
	must(open[id]);
}

static void host_close(void *to, unsigned id)
{
	(void)to;
	must(open[id]);
	open[id] = false;
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
	must(queue < 2);
}

static void needs_reset(void *to, const char *why)
{
	(void)to;
	must(*why);
}

static void handle(unsigned i)
{
	struct virtio_queue *q = &vsock.dev.queues[i];

	pthread_mutex_lock(&q->lock);
	virtio_handle(&vsock.dev, i);
	pthread_mutex_unlock(&q->lock);
}

static void start(void)
{
	memset(memory, 0, RING(2));
	for (unsigned i = 0; i < 2; i++) {
		struct virtqueue *ring = &vsock.dev.queues[i].ring;

		ring->ram = &ram;
		ring->state.size = ENTRIES;
		ring->state.desc = RING(i);
		ring->state.driver = RING(i) + 0x400;
		ring->state.device = RING(i) + 0x800;
		vsock.dev.queues[i].state.enabled = true;
		offered[i] = 0;
	}
	vsock.dev.state.accepted = VIRTIO_BIT(F_VERSION_1);
	virtio_start(&vsock.dev);
}

static void offer(unsigned queue, uint64_t at, size_t len, unsigned flags)
{
	unsigned slot = offered[queue] % ENTRIES;
	uint8_t *d = memory + RING(queue) + 16 * slot, *avail = memory + RING(queue) + 0x400;

	store_le(d, at, 8);
	store_le(d + 8, len, 4);
	store_le(d + 12, flags, 2);
	store_le(avail + 4 + 2 * slot, slot, 2);
	store_le(avail + 2, ++offered[queue], 2);
}

/* A packet that is right but for what `wrong` says; its payload is whatever is in memory. */
static void send_packet(unsigned wrong)
{
	struct bytes_out out = { memory + TX_AT, VSOCK_HEADER, 0 };
	unsigned op = (unsigned)get_le(&in, 1), ports = (unsigned)get_le(&in, 1);
	size_t len = op == VSOCK_RW ? get_le(&in, 2) % (TX_MAX - VSOCK_HEADER) : 0;
	struct vsock_connection *c = &vsock.table->list[ports % 8];
	bool known = wrong & 1; /* speaks on a connection that there is */

	put_le(&out, wrong & 2 ? get_le(&in, 8) : CID, 8);
	put_le(&out, wrong & 4 ? get_le(&in, 8) : VSOCK_CID_HOST, 8);
	put_le(&out, known ? c->state.guest_port : ports & 15, 4);
	put_le(&out, known ? c->state.host_port : ports >> 4, 4);
	put_le(&out, wrong & 8 ? get_le(&in, 4) : len, 4);
	put_le(&out, wrong & 4 ? get_le(&in, 2) : VSOCK_TYPE_STREAM, 2);
	put_le(&out, op, 2);
	put_le(&out, get_le(&in, 1), 4);
	put_le(&out, wrong & 16 ? get_le(&in, 4) : 1000, 4);
	put_le(&out, wrong & 16 ? get_le(&in, 4) : c->state.sent, 4);
	offer(TX, TX_AT, VSOCK_HEADER + len, 0);
	handle(TX);
}

static void check(void)
{
	unsigned attached = 0;

	for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++) {
		const struct vsock_connection *c = &vsock.table->list[i];
		const struct vsock_connection_state *st = &c->state;

		must(c->attached == open[i] && st->waiting <= VSOCK_BUFFER &&
		     st->first < VSOCK_BUFFER);
		must(st->phase != VSOCK_FREE || (!c->attached && !st->owes && !c->buffer));
		must(st->phase != VSOCK_ENDING || (!c->attached && st->owes == 1u << VSOCK_RST));
		must(st->phase != VSOCK_DRAINING || (st->waiting && c->attached && !st->owes));
		must(!st->waiting || c->attached);
		attached += c->attached;
	}
	must(attached == nr_open && vsock.state.nr_refusals <= VSOCK_REFUSALS);
}

static void one_step(void)
{
	unsigned what = (unsigned)get_le(&in, 1), n;

	switch (what & 7) {
	case 0:
	case 1:
	case 2:
		send_packet(what >> 3);
		break;
	case 3:
		for (n = what >> 3; n; n--)
			offer(RX, RX_AT + offered[RX] % ENTRIES * RX_SIZE, RX_SIZE - n, 2);
		handle(RX);
		break;
	case 4:
		virtio_vsock_event(&vsock, (unsigned)get_le(&in, 1) % (what & 8 ? 256 : 8));
		break;
	case 5:
		(void)virtio_vsock_call(&vsock, what >> 3, 5);
		break;
	case 6:
		n = (unsigned)get_le(&in, 2) % MEMORY;
		store_le(memory + n, get_le(&in, 4), 4);
		handle(what >> 3 & 1);
		break;
	case 7:
		if (what >> 3 & 3)
			break;
		virtio_reset(&vsock.dev);
		must(!nr_open);
		start();
		break;
	}
	check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vsock_port port = { &port_ops, NULL };
	struct err err;

	in = (struct bytes_in){ .data = data, .len = size };
	dice = (unsigned)size;
	must(virtio_vsock_init_port(&vsock, CID, &port, &err) == 0);
	vsock.dev.interrupt = interrupt;
	vsock.dev.needs_reset = needs_reset;
	memset(memory, 0, sizeof(memory));
	start();
	while (!in.failed && in.at < in.len)
		one_step();
	virtio_reset(&vsock.dev);
	must(!nr_open);
	virtio_vsock_destroy(&vsock);
	return 0;
}
