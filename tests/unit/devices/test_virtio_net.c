/*
 * Frames for a guest: that each comes whole or not at all, whatever buffers the driver has, and
 * that none which was made for one driver comes to the next.
 */
#include "devices/virtio_net.h"
#include "tests/unit/devices/virtio_driver.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#define F(name) VIRTIO_BIT(NET_F_##name)

enum { RX, TX };

static struct virtio_net net;

/* --- a port with frames of some lengths: each is full of its number --- */

static size_t frames[200];
static unsigned nr_frames, next_frame, port_resets;
static uint64_t offloads;

static int port_send(void *port, const struct iovec *parts, unsigned n, size_t len)
{
	(void)port;
	(void)parts;
	(void)n;
	(void)len;
	return 0;
}

static ssize_t port_receive(void *port, uint8_t *to, size_t cap)
{
	size_t len = frames[next_frame];

	(void)port;
	if (next_frame == nr_frames)
		return -EAGAIN;
	assert_in_range(len, NET_HEADER, cap);
	memset(to, 0, NET_HEADER);
	memset(to + NET_HEADER, (int)next_frame, len - NET_HEADER);
	next_frame++;
	return (ssize_t)len;
}

static void port_want(void *port, bool wanted, bool room)
{
	(void)port;
	(void)wanted;
	(void)room;
}

static void port_offloads(void *port, uint64_t features)
{
	(void)port;
	offloads = features;
}

static void port_reset(void *port)
{
	(void)port;
	offloads = 0;
	next_frame = nr_frames;
	port_resets++;
}

static const struct net_port_ops port_ops = {
	.send = port_send,
	.receive = port_receive,
	.want = port_want,
	.offloads = port_offloads,
	.reset = port_reset,
};

/* --- the driver --- */

static int set_up_net(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54 };
	const struct net_port port = { .ops = &port_ops,
				       .features = F(GUEST_CSUM) | F(GUEST_TSO4) };
	struct err err;

	set_up(state);
	nr_frames = next_frame = 0;
	if (virtio_net_init(&net, &port, 1, NULL, mac, &err) < 0)
		return -1;
	plug(&net.dev);
	return 0;
}

static int tear_down_net(void **state)
{
	virtio_reset(dev);
	virtio_net_destroy(&net);
	return tear_down(state);
}

/* With `n` receive buffers of `len` bytes, which lie one after the other. */
static void start(uint64_t features, unsigned n, unsigned len)
{
	virtio_reset(dev);
	dev->state.accepted = features;
	set_queue(RX);
	set_queue(TX);
	memset(memory + DATA, 0xee, ENTRIES * len);
	for (unsigned i = 0; i < n; i++) {
		describe(RX, i, DATA + i * len, len, DESC_WRITE, 0);
		offer(RX, 1, i);
	}
	virtio_start(dev);
}

static void frame_comes(size_t len)
{
	frames[nr_frames++] = len;
	(void)virtio_net_serve(&net, 0);
}

static unsigned used_len(unsigned i)
{
	return (unsigned)load_le(memory + RING(RX) + 0x2008 + 8 * i, 4);
}

/* --- tests --- */

/* Section 5.1.6.4: a driver that takes no merged buffers has one for each frame. */
static void test_frame_too_long(void **state)
{
	(void)state;
	start(VIRTIO_BIT(F_VERSION_1), 3, 100);
	frame_comes(1012);
	assert_int_equal(next_frame, 1);
	assert_int_equal(used(RX), 0);
	assert_int_equal(memory[DATA], 0xee);
	/* The buffer that was looked at is the next frame's. */
	frame_comes(100);
	assert_int_equal(used(RX), 1);
	assert_int_equal(used_len(0), 100);
	assert_int_equal(load_le(memory + DATA + 10, 2), 1);
	assert_int_equal(memory[DATA + 12], 1);
	frame_comes(101);
	frame_comes(60);
	assert_int_equal(used(RX), 2);
	assert_int_equal(used_len(1), 60);
	assert_int_equal(memory[DATA + 100 + 12], 3);
}

/* As many buffers as a frame may have do not hold it: the smaller ones after it get them in order.
 */
static void test_frame_too_long_for_many(void **state)
{
	(void)state;
	start(VIRTIO_BIT(F_VERSION_1) | F(MRG_RXBUF), ENTRIES, 100);
	frame_comes(100 * VIRTIO_NET_HELD + 1);
	assert_int_equal(next_frame, 1);
	assert_int_equal(used(RX), 0);
	for (unsigned i = 0; i < ENTRIES / 4; i++) {
		frame_comes(350);
		assert_int_equal(used(RX), 4 * (i + 1));
		assert_int_equal(used_len(4 * i), 100);
		assert_int_equal(used_len(4 * i + 3), 50);
		assert_int_equal(load_le(memory + DATA + 400 * i + 10, 2), 4);
		assert_int_equal(memory[DATA + 400 * i + 349], i + 1);
		assert_int_equal(memory[DATA + 400 * i + 350], 0xee);
	}
	/* There is none left: the next one waits, and comes when there are new ones. */
	frame_comes(150);
	assert_int_equal(used(RX), ENTRIES);
	offer(RX, 1, 1);
	offer(RX, 1, 0);
	(void)virtio_net_serve(&net, 0);
	assert_int_equal(used(RX), ENTRIES + 2);
	assert_int_equal(memory[DATA + 100 + 12], ENTRIES / 4 + 1);
}

/* What was made for a driver that takes segments is not for one that does not. */
static void test_next_driver(void **state)
{
	unsigned before;

	(void)state;
	start(VIRTIO_BIT(F_VERSION_1) | F(MRG_RXBUF) | F(GUEST_CSUM) | F(GUEST_TSO4), 0, 0);
	assert_int_equal(offloads & F(GUEST_TSO4), F(GUEST_TSO4));
	frame_comes(5000);
	frames[nr_frames++] = 6000;
	before = port_resets;
	start(VIRTIO_BIT(F_VERSION_1), 2, 2000);
	assert_true(port_resets > before);
	assert_int_equal(offloads & F(GUEST_TSO4), 0);
	frame_comes(60);
	assert_int_equal(used(RX), 1);
	assert_int_equal(used_len(0), 60);
}

/* Section 5.1.3.1, and that every valid subset is taken (2.2.2). */
static void test_features(void **state)
{
	static const uint64_t good[] = {
		0,
		F(CSUM) | F(GUEST_CSUM),
		F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN) | F(GUEST_UFO),
		F(GUEST_CSUM) | F(GUEST_TSO6) | F(GUEST_ECN),
		F(CSUM) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN) | F(HOST_UFO),
		F(CSUM) | F(HOST_TSO4) | F(HOST_ECN),
		F(CTRL_VQ),
		F(CTRL_VQ) | F(MQ),
		F(MRG_RXBUF),
	};
	static const uint64_t bad[] = {
		F(GUEST_TSO4),
		F(GUEST_TSO6) | F(CSUM),
		F(GUEST_UFO),
		F(GUEST_CSUM) | F(GUEST_ECN),
		F(HOST_TSO4) | F(GUEST_CSUM),
		F(HOST_TSO6),
		F(HOST_UFO),
		F(CSUM) | F(HOST_ECN),
		F(MQ),
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(virtio_net_features_good(VIRTIO_BIT(F_VERSION_1) | good[i]));
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(virtio_net_features_good(VIRTIO_BIT(F_VERSION_1) | bad[i]));
	/* What is left of a bad offer is a good one, and nothing is lost of a good one. */
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t left = virtio_net_features_closed(VIRTIO_BIT(F_VERSION_1) | bad[i]);

		assert_true(virtio_net_features_good(left));
		assert_int_equal(left & ~(VIRTIO_BIT(F_VERSION_1) | bad[i]), 0);
		assert_true(left & VIRTIO_BIT(F_VERSION_1));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(virtio_net_features_closed(good[i]), good[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frame_too_long, set_up_net, tear_down_net),
		cmocka_unit_test_setup_teardown(test_frame_too_long_for_many, set_up_net,
						tear_down_net),
		cmocka_unit_test_setup_teardown(test_next_driver, set_up_net, tear_down_net),
		cmocka_unit_test(test_features),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
