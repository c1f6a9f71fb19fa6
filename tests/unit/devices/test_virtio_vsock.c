/*
 * virtio-vsock: connections, bytes and credit both ways, ends; and what a guest must not do.
 */
#include "tests/unit/devices/vsock_driver.h"

/* --- connections --- */

static void test_guest_connects(void **state)
{
	struct end *e = guest_connects();

	(void)state;
	assert_true(e->open && interrupts);
	say(VSOCK_RST, PEER, SERVICE);
	assert_false(e->open);
	hears_nothing();
}

static void test_refused(void **state)
{
	(void)state;
	post(8);
	all_refuse = true;
	say(VSOCK_REQUEST, PEER, SERVICE);
	hears(VSOCK_RST, SERVICE, PEER);
	/* The next one has its place. */
	all_refuse = false;
	say(VSOCK_REQUEST, PEER, SERVICE);
	hears(VSOCK_RESPONSE, SERVICE, PEER);
}

static void test_host_connects(void **state)
{
	uint32_t port;

	(void)state;
	post(8);
	assert_int_equal(virtio_vsock_call(&vsock, PEER, 3), 0);
	port = heard().src_port;
	assert_int_equal(ends[0].caller, 3);
	assert_int_equal(virtio_vsock_call(&vsock, PEER, 4), 0);
	assert_int_not_equal(hears(VSOCK_REQUEST, port + 1, PEER).src_port, port);
	/* What the host says before waits. */
	host_says(0, 10);
	hears_nothing();
	say(VSOCK_RESPONSE, PEER, port);
	assert_int_equal(ends[0].accepted, port);
	assert_int_equal(hears(VSOCK_RW, port, PEER).len, 10);
	say(VSOCK_RST, PEER, port + 1);
	assert_false(ends[1].open);
	assert_int_equal(ends[1].accepted, 0);
	assert_true(ends[0].open);
	/* A port that the guest has connected to is not given to the next. */
	post(8);
	say(VSOCK_REQUEST, PEER, port + 2);
	hears(VSOCK_RESPONSE, port + 2, PEER);
	assert_int_equal(virtio_vsock_call(&vsock, PEER, 5), 0);
	hears(VSOCK_REQUEST, port + 3, PEER);
}

/* A caller that goes before it is answered. */
static void test_caller_goes(void **state)
{
	uint32_t port;

	(void)state;
	post(8);
	assert_int_equal(virtio_vsock_call(&vsock, PEER, 0), 0);
	port = heard().src_port;
	ends[0].hung_up = ends[0].ended = true;
	event(0);
	hears(VSOCK_RST, port, PEER);
	assert_false(ends[0].open);
	say(VSOCK_RESPONSE, PEER, port);
	hears(VSOCK_RST, port, PEER);
}

/* A guest that speaks before it has answered. */
static void test_not_accepted(void **state)
{
	uint32_t port;

	(void)state;
	post(8);
	assert_int_equal(virtio_vsock_call(&vsock, PEER, 0), 0);
	port = heard().src_port;
	say_data(PEER, port, 10);
	hears(VSOCK_RST, port, PEER);
	assert_false(ends[0].open);
	assert_int_equal(ends[0].out_len, 0);
}

static void test_no_driver(void **state)
{
	(void)state;
	virtio_reset(&vsock.dev);
	assert_int_equal(virtio_vsock_call(&vsock, PEER, 0), -ENOTCONN);
}

static void test_too_many(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++) {
		post(1);
		say(VSOCK_REQUEST, PEER + i, SERVICE);
		hears(VSOCK_RESPONSE, SERVICE, PEER + i);
	}
	post(2);
	say(VSOCK_REQUEST, PEER + VSOCK_CONNECTIONS, SERVICE);
	hears(VSOCK_RST, SERVICE, PEER + VSOCK_CONNECTIONS);
	assert_int_equal(virtio_vsock_call(&vsock, PEER, 0), -ENOSPC);
	say(VSOCK_RST, PEER + 9, SERVICE);
	say(VSOCK_REQUEST, PEER, SERVICE + 1);
	hears(VSOCK_RESPONSE, SERVICE + 1, PEER);
}

/* --- bytes --- */

static void check_out(const struct end *e, size_t len)
{
	assert_int_equal(e->out_len, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(e->out[i], pattern(i));
}

static void test_to_host(void **state)
{
	struct end *e = guest_connects();

	(void)state;
	say_data(PEER, SERVICE, 1);
	say_data(PEER, SERVICE, 65536);
	check_out(e, 65537);
	/* A quarter of the buffer is worth an update. */
	assert_int_equal(hears(VSOCK_CREDIT_UPDATE, SERVICE, PEER).fwd_cnt, 65537);
	hears_nothing();
	say(VSOCK_CREDIT_REQUEST, PEER, SERVICE);
	assert_int_equal(hears(VSOCK_CREDIT_UPDATE, SERVICE, PEER).fwd_cnt, 65537);
}

/* A host that does not read: what it was promised room for waits, in order. */
static void test_slow_host(void **state)
{
	struct end *e = guest_connects();

	(void)state;
	e->room = 100;
	for (unsigned i = 0; i < 4; i++)
		say_data(PEER, SERVICE, 65536);
	assert_true(e->want_room);
	check_out(e, 100);
	e->room = 65536;
	event(0);
	check_out(e, 65636);
	assert_int_equal(hears(VSOCK_CREDIT_UPDATE, SERVICE, PEER).fwd_cnt, 65636);
	e->room = 10;			/* but there are others before */
	say_data(PEER, SERVICE, 65536); /* goes around the end of the buffer */
	check_out(e, 65636);
	assert_true(e->want_room);
	e->room = SIZE_MAX;
	event(0);
	check_out(e, 5 * 65536);
	assert_false(e->want_room);
	assert_int_equal(hears(VSOCK_CREDIT_UPDATE, SERVICE, PEER).fwd_cnt, 5 * 65536);
}

static void test_guest_exceeds_credit(void **state)
{
	struct end *e = guest_connects();

	(void)state;
	e->room = 0;
	for (unsigned i = 0; i < 4; i++)
		say_data(PEER, SERVICE, 65536);
	hears_nothing();
	say_data(PEER, SERVICE, 1);
	hears(VSOCK_RST, SERVICE, PEER);
	assert_false(e->open);
	assert_string_equal(broken, "");
}

static void test_to_guest(void **state)
{
	size_t got = 0;

	(void)state;
	guest_connects();
	host_says(0, 10000);
	while (got < 10000) {
		struct vsock_header h = hears(VSOCK_RW, SERVICE, PEER);

		assert_int_equal(h.len, min_u64(RX_SIZE - VSOCK_HEADER, 10000 - got));
		for (unsigned i = 0; i < h.len; i++)
			assert_int_equal(data[i], pattern(got + i));
		got += h.len;
	}
	hears_nothing();
}

/* The guest has room for CREDIT bytes: it is asked once, and gets more when it says so. */
static void test_host_exceeds_credit(void **state)
{
	struct vsock_header h;
	size_t got = 0;

	(void)state;
	guest_connects();
	post(24);
	host_says(0, CREDIT + 5000);
	while ((h = heard()).op == VSOCK_RW)
		got += h.len;
	assert_int_equal(got, CREDIT);
	assert_int_equal(h.op, VSOCK_CREDIT_REQUEST);
	event(0);
	hears_nothing();
	say(VSOCK_CREDIT_UPDATE, PEER, SERVICE);
	hears_nothing();
	guest_forwarded = 1000;
	say(VSOCK_CREDIT_UPDATE, PEER, SERVICE);
	assert_int_equal(hears(VSOCK_RW, SERVICE, PEER).len, 1000);
	hears(VSOCK_CREDIT_REQUEST, SERVICE, PEER);
	hears_nothing();
	/* One that was overtaken is no lie; nor is less room than before. */
	guest_forwarded = 500;
	say(VSOCK_CREDIT_UPDATE, PEER, SERVICE);
	hears_nothing();
	guest_forwarded = CREDIT + 1000;
	say(VSOCK_CREDIT_UPDATE, PEER, SERVICE);
	assert_int_equal(hears(VSOCK_RW, SERVICE, PEER).len, 4000);
}

/* Turns: one that has much does not keep the others waiting. */
static void test_turns(void **state)
{
	bool other = false;

	(void)state;
	guest_connects();
	say(VSOCK_REQUEST, PEER, SERVICE + 1);
	hears(VSOCK_RESPONSE, SERVICE + 1, PEER);
	for (unsigned i = 0; i < 90000; i++)
		ends[0].in[ends[0].in_end++] = 1;
	ends[1].in[ends[1].in_end++] = 2;
	pthread_mutex_lock(&vsock.dev.queues[RX].lock); /* both at once */
	vsock.table->list[0].readable = vsock.table->list[1].readable = true;
	vsock.state.turn = 0;
	pthread_mutex_unlock(&vsock.dev.queues[RX].lock);
	kick(RX);
	for (unsigned i = 0; i < 20; i++)
		other |= heard().src_port == SERVICE + 1;
	assert_true(other);
}

/* More than is sent in one go goes on by itself. */
static void test_much(void **state)
{
	unsigned packets = 0;

	(void)state;
	post(ENTRIES);
	for (unsigned i = 0; i < 4; i++) {
		say(VSOCK_REQUEST, PEER, SERVICE + i);
		hears(VSOCK_RESPONSE, SERVICE + i, PEER);
		memset(ends[i].in, 1, 90000);
		ends[i].in_end = 90000;
	}
	for (unsigned i = 0; i < 4; i++)
		vsock.table->list[i].readable = true;
	event(0);
	while (heard().op == VSOCK_RW)
		packets++;
	assert_int_equal(packets,
			 4 * ((90000 + RX_SIZE - VSOCK_HEADER - 1) / (RX_SIZE - VSOCK_HEADER)));
}

/* --- ends --- */

static void test_guest_closes(void **state)
{
	struct end *e = guest_connects();

	(void)state;
	say_data(PEER, SERVICE, 100);
	say_shutdown(PEER, SERVICE, VSOCK_NO_SEND);
	assert_true(e->open && e->no_send && !e->no_receive);
	host_says(0, 10); /* the other direction goes on */
	assert_int_equal(hears(VSOCK_RW, SERVICE, PEER).len, 10);
	say_shutdown(PEER, SERVICE, VSOCK_NO_RECEIVE);
	hears(VSOCK_RST, SERVICE, PEER);
	assert_false(e->open);
	check_out(e, 100);
}

static void test_guest_receives_no_more(void **state)
{
	struct end *e = guest_connects();

	(void)state;
	say_shutdown(PEER, SERVICE, VSOCK_NO_RECEIVE);
	assert_true(e->no_receive && !e->no_send);
	host_says(0, 10);
	hears_nothing();
	say_data(PEER, SERVICE, 100);
	check_out(e, 100);
	e->hung_up = true;
	event(0);
	assert_int_equal(hears(VSOCK_SHUTDOWN, SERVICE, PEER).flags, VSOCK_NOTHING);
	assert_false(e->open);
}

/* Bytes that the host has not taken come before the end; and even after a guest that went. */
static void test_end_waits(void **state)
{
	struct end *e = guest_connects();

	(void)state;
	e->room = 0;
	say_data(PEER, SERVICE, 1000);
	say_shutdown(PEER, SERVICE, VSOCK_NO_SEND);
	assert_false(e->no_send);
	say_shutdown(PEER, SERVICE, VSOCK_NOTHING);
	hears_nothing();
	e->room = 400;
	event(0);
	assert_true(e->open);
	say(VSOCK_RST, PEER, SERVICE);
	assert_true(e->open);
	/* The same ports again are another connection. */
	say(VSOCK_REQUEST, PEER, SERVICE);
	hears(VSOCK_RESPONSE, SERVICE, PEER);
	assert_true(ends[1].open);
	e->room = SIZE_MAX;
	event(0);
	assert_false(e->open);
	check_out(e, 1000);
	assert_true(ends[1].open);
	hears_nothing();
}

static void test_host_closes(void **state)
{
	struct end *e = guest_connects();

	(void)state;
	e->ended = true;
	host_says(0, 5);
	assert_int_equal(hears(VSOCK_RW, SERVICE, PEER).len, 5);
	assert_int_equal(hears(VSOCK_SHUTDOWN, SERVICE, PEER).flags, VSOCK_NO_SEND);
	say_data(PEER, SERVICE, 100); /* the other direction goes on */
	check_out(e, 100);
	e->hung_up = true;
	event(0);
	assert_int_equal(hears(VSOCK_SHUTDOWN, SERVICE, PEER).flags, VSOCK_NOTHING);
	assert_false(e->open);
	say_data(PEER, SERVICE, 100); /* is lost */
	hears_nothing();
	say(VSOCK_RST, PEER, SERVICE);
	say(VSOCK_CREDIT_UPDATE, PEER, SERVICE);
	hears(VSOCK_RST, SERVICE, PEER); /* there is none any more */
}

static void test_host_takes_no_more(void **state)
{
	struct end *e = guest_connects();

	(void)state;
	e->fails = -EPIPE;
	say_data(PEER, SERVICE, 100);
	assert_int_equal(hears(VSOCK_SHUTDOWN, SERVICE, PEER).flags, VSOCK_NO_RECEIVE);
	event(0);
	hears(VSOCK_RST, SERVICE, PEER); /* reading fails as well */
	assert_false(e->open);
}

/* --- what a guest must not do --- */

static void test_not_for_us(void **state)
{
	struct vsock_header h = packet(VSOCK_REQUEST, PEER, SERVICE);

	(void)state;
	post(16);
	h.dst_cid = 9;
	transmit(&h, VSOCK_HEADER, 0);
	h = heard();
	assert_true(h.op == VSOCK_RST && h.src_cid == 9);
	h = packet(VSOCK_REQUEST, PEER, SERVICE);
	h.type = 2; /* SOCK_SEQPACKET was not offered */
	transmit(&h, VSOCK_HEADER, 0);
	h = heard();
	assert_true(h.op == VSOCK_RST && h.type == 2);
	h = packet(VSOCK_REQUEST, PEER, SERVICE);
	h.src_cid = CID + 1;
	transmit(&h, VSOCK_HEADER, 0);
	hears_nothing();
	transmit(&h, VSOCK_HEADER - 1, 0);
	hears_nothing();
	say(VSOCK_RST, PEER, SERVICE);
	hears_nothing();
	for (unsigned op = 0; op < 20; op++) {
		if (op == VSOCK_REQUEST || op == VSOCK_RST)
			continue;
		say(op, PEER, SERVICE);
		hears(VSOCK_RST, SERVICE, PEER);
		post(1);
	}
	assert_int_equal(nr_open, 0);
	assert_string_equal(broken, "");
}

/* Each lie ends its connection, and no other. */
static void test_lies(void **state)
{
	struct vsock_header lies[] = {
		packet(VSOCK_REQUEST, PEER, SERVICE),
		packet(VSOCK_RESPONSE, PEER, SERVICE),
		packet(VSOCK_RW, PEER, SERVICE),
		packet(VSOCK_RW, PEER, SERVICE),
		packet(VSOCK_RW, PEER, SERVICE),
		packet(0, PEER, SERVICE),
		packet(8, PEER, SERVICE),
		packet(VSOCK_CREDIT_UPDATE, PEER, SERVICE),
	};

	(void)state;
	lies[2].len = 99; /* 100 follow */
	lies[3].len = 101;
	lies[4].len = UINT32_MAX;
	lies[7].fwd_cnt = 1; /* of nothing */
	guest_connects();
	say(VSOCK_REQUEST, PEER + 1, SERVICE);
	hears(VSOCK_RESPONSE, SERVICE, PEER + 1);
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		transmit(&lies[i], VSOCK_HEADER, lies[i].op == VSOCK_RW ? 100 : 0);
		hears(VSOCK_RST, SERVICE, PEER);
		hears_nothing();
		assert_int_equal(nr_open, 1);
		post(2);
		say(VSOCK_REQUEST, PEER, SERVICE);
		hears(VSOCK_RESPONSE, SERVICE, PEER);
	}
	/* After its own end a guest has nothing to say. */
	say_shutdown(PEER, SERVICE, VSOCK_NO_SEND);
	say_data(PEER, SERVICE, 1);
	hears(VSOCK_RST, SERVICE, PEER);
	assert_true(ends[1].open);
	assert_string_equal(broken, "");
}

/* --- a ring without buffers --- */

static void test_no_buffers(void **state)
{
	struct end *e;

	(void)state;
	say(VSOCK_REQUEST, PEER, SERVICE);
	e = &ends[0];
	assert_true(e->open);
	/* What the guest sends is taken all the same. */
	for (unsigned i = 0; i < 1000; i++)
		say_data(PEER, SERVICE, 1000);
	check_out(e, 1000000);
	host_says(0, 100);
	post(1);
	hears(VSOCK_RESPONSE, SERVICE, PEER);
	hears_nothing();
	post(1);
	assert_int_equal(hears(VSOCK_RW, SERVICE, PEER).fwd_cnt, 1000000);
	hears_nothing();
}

/* Refusals are kept up to a number; then packets wait in their ring. None is lost. */
static void test_refusals_wait(void **state)
{
	unsigned n = VSOCK_REFUSALS + 10, answered = 0;

	(void)state;
	all_refuse = true;
	for (unsigned i = 0; i < VSOCK_REFUSALS; i++)
		say(VSOCK_REQUEST, PEER + i, SERVICE);
	assert_int_equal(load_le(memory + RING(TX) + 0x2002, 2), VSOCK_REFUSALS);
	say(VSOCK_REQUEST, PEER, SERVICE);
	for (unsigned i = 0; i < 9; i++)
		offer(TX, tx_count++, 0);
	kick(TX);
	assert_int_equal(load_le(memory + RING(TX) + 0x2002, 2), VSOCK_REFUSALS);
	while (answered < n) {
		post(6);
		while (heard().op == VSOCK_RST)
			answered++;
	}
	assert_int_equal(answered, n);
	assert_int_equal(load_le(memory + RING(TX) + 0x2002, 2), n);
}

static void test_small_buffer(void **state)
{
	(void)state;
	set_descriptor(RX, 0, RX_BUFFER, VSOCK_HEADER, 2, 0);
	offer(RX, rx_posted++, 0);
	say(VSOCK_REQUEST, PEER, SERVICE);
	assert_non_null(strstr(broken, "no room"));
	virtio_reset(&vsock.dev);
	assert_int_equal(nr_open, 0);
}

/* --- a reset --- */

static void test_reset(void **state)
{
	(void)state;
	guest_connects();
	ends[0].room = 0;
	say_data(PEER, SERVICE, 1000);
	assert_int_equal(virtio_vsock_call(&vsock, PEER, 0), 0);
	assert_int_equal(nr_open, 2);
	event(0); /* with nothing to read: a buffer was taken for it */
	virtio_reset(&vsock.dev);
	assert_int_equal(nr_open, 0);
	event(0); /* that came too late */
	start_driver();
	guest_connects();
	hears_nothing();
	assert_int_equal(nr_open, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_guest_connects),
		TEST(test_refused),
		TEST(test_host_connects),
		TEST(test_caller_goes),
		TEST(test_not_accepted),
		TEST(test_no_driver),
		TEST(test_too_many),
		TEST(test_to_host),
		TEST(test_slow_host),
		TEST(test_guest_exceeds_credit),
		TEST(test_to_guest),
		TEST(test_host_exceeds_credit),
		TEST(test_turns),
		TEST(test_much),
		TEST(test_guest_closes),
		TEST(test_guest_receives_no_more),
		TEST(test_end_waits),
		TEST(test_host_closes),
		TEST(test_host_takes_no_more),
		TEST(test_not_for_us),
		TEST(test_lies),
		TEST(test_no_buffers),
		TEST(test_refusals_wait),
		TEST(test_small_buffer),
		TEST(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
