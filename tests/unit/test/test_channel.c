/*
 * The host's end of a case's channel: what a guest's init sends becomes output and callbacks, input
 * keeps to its window, and a hostile guest breaks the channel and nothing else.
 */
#include "vmm/test/channel.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* The channel between two sockets, with pipes as the command's streams. */
struct bench {
	struct loop loop;
	struct test_channel channel;
	int guest; /* the guest's end */
	int in[2], out[2], error[2];
	char said[256]; /* the callbacks, in order */
	struct channel_exit exit;
};

static void say(struct bench *b, const char *word, const char *text)
{
	size_t len = strlen(b->said);

	snprintf(b->said + len, sizeof(b->said) - len, "%s(%s) ", word, text);
}

static void on_hello(void *to, const char *release)
{
	say(to, "hello", release);
}

static void on_step(void *to, const char *text)
{
	say(to, "step", text);
}

static void on_started(void *to)
{
	say(to, "started", "");
}

static void on_ended(void *to, const struct channel_exit *e)
{
	((struct bench *)to)->exit = *e;
	say(to, "ended", "");
}

static void on_fault(void *to, const char *sentence)
{
	say(to, "fault", sentence);
}

static void on_broken(void *to, const char *sentence)
{
	say(to, "broken", sentence);
}

static int setup(void **state)
{
	const struct test_channel_user user = { on_hello, on_step,   on_started, on_ended,
						on_fault, on_broken, NULL };
	struct test_channel_user mine = user;
	struct bench *b = calloc(1, sizeof(*b));
	struct err err;
	int ends[2];

	*state = b;
	mine.to = b;
	if (!b || loop_create(&b->loop, &err) < 0 || pipe(b->in) < 0 || pipe(b->out) < 0 ||
	    pipe(b->error) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return -1;
	fcntl(b->out[0], F_SETFL, O_NONBLOCK);
	fcntl(b->error[0], F_SETFL, O_NONBLOCK);
	b->guest = ends[1];
	return test_channel_open(&b->channel, &b->loop, ends[0], b->in[0], b->out[1], b->error[1],
				 &mine, &err);
}

static int teardown(void **state)
{
	struct bench *b = *state;

	test_channel_close(&b->channel);
	loop_destroy(&b->loop);
	close(b->guest);
	for (unsigned i = 0; i < 2; i++) {
		if (b->in[i] >= 0)
			close(b->in[i]);
		close(b->out[i]);
		close(b->error[i]);
	}
	free(b);
	return 0;
}

/* Lets the loop serve what is ready, until nothing is. */
static void serve(struct bench *b)
{
	struct err err;

	for (unsigned i = 0; i < 64; i++) {
		loop_stop(&b->loop);
		assert_int_equal(loop_run(&b->loop, &err), 0);
		loop_rearm(&b->loop);
	}
}

static void send_frame(struct bench *b, enum channel_type type, const void *payload, uint32_t len)
{
	uint8_t header[CHANNEL_HEADER];

	channel_header(header, type, payload, len);
	assert_int_equal(write(b->guest, header, sizeof(header)), sizeof(header));
	if (len)
		assert_int_equal(write(b->guest, payload, len), len);
}

static void greet(struct bench *b, uint32_t window)
{
	uint8_t hello[11] = { 0 };

	channel_put32(hello, CHANNEL_VERSION);
	channel_put32(hello + 4, window);
	memcpy(hello + 8, "6.1", 3);
	send_frame(b, CHANNEL_HELLO, hello, sizeof(hello));
}

static void end(struct bench *b, uint32_t value, uint64_t out, uint64_t error)
{
	const struct channel_exit e = { false, value, out, error };
	uint8_t payload[CHANNEL_EXIT_SIZE];

	channel_exit_put(payload, &e);
	send_frame(b, CHANNEL_EXIT, payload, sizeof(payload));
}

static void expect_read(int fd, const char *text)
{
	char buf[256] = "";
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	if (!*text)
		assert_true(n <= 0);
	else
		assert_string_equal(buf, text);
}

static void test_session(void **state)
{
	struct bench *b = *state;
	uint8_t done[CHANNEL_HEADER];
	struct channel_frame frame;
	size_t used;

	assert_int_equal(write(b->guest, "\0\xff", 2), 2); /* a driver probes the UART */
	greet(b, 4096);
	send_frame(b, CHANNEL_STEP, "loads\033modules", 13);
	send_frame(b, CHANNEL_STARTED, "", 0);
	send_frame(b, CHANNEL_OUT, "hello ", 6);
	send_frame(b, CHANNEL_ERR, "oops", 4);
	send_frame(b, CHANNEL_OUT, "world", 5);
	send_frame(b, CHANNEL_OUT, "", 0);
	end(b, 7, 11, 4);
	serve(b);
	assert_string_equal(b->said, "hello(6.1) step(loads?modules) started() ended() ");
	assert_int_equal(b->exit.value, 7);
	expect_read(b->out[0], "hello world");
	expect_read(b->error[0], "oops");
	assert_int_equal(recv(b->guest, done, sizeof(done), MSG_DONTWAIT), sizeof(done));
	assert_int_equal(channel_parse(done, sizeof(done), true, &frame, &used), CHANNEL_FRAME);
	assert_int_equal(frame.type, CHANNEL_DONE);
}

static void test_fault(void **state)
{
	struct bench *b = *state;

	greet(b, 4096);
	send_frame(b, CHANNEL_FAULT, "no root", 7);
	send_frame(b, CHANNEL_STEP, "after the end", 13);
	serve(b);
	assert_string_equal(b->said, "hello(6.1) fault(no root) ");
}

/* What a broken or hostile init sends. Each begins after the greeting, but the first ones. */
static void test_broken(void **state)
{
	static const struct {
		bool greets;
		enum channel_type type;
		const char *payload;
		uint32_t len;
		const char *said;
	} cases[] = {
		{ false, CHANNEL_STEP, "x", 1, "broken(init did not greet on the channel) " },
		{ false, CHANNEL_HELLO, "\2\0\0\0\0\1\0\0", 8,
		  "broken(init speaks another version of the channel's protocol) " },
		{ false, CHANNEL_HELLO, "\1", 1,
		  "broken(init speaks another version of the channel's protocol) " },
		{ true, CHANNEL_HELLO, "\1\0\0\0\0\1\0\0", 8,
		  "hello(6.1) broken(init speaks another version of the channel's protocol) " },
		{ true, CHANNEL_TAKEN, "\1\0\0\0", 4,
		  "hello(6.1) broken(init took more input than there was) " },
		{ true, CHANNEL_TAKEN, "\0", 1,
		  "hello(6.1) broken(init took more input than there was) " },
		{ true, CHANNEL_EXIT, "short", 5,
		  "hello(6.1) broken(bytes of the command's output are missing on the channel) " },
		{ true, CHANNEL_IN, "x", 1,
		  "hello(6.1) broken(init sent a frame of an unknown type) " },
		{ true, 200, "x", 1, "hello(6.1) broken(init sent a frame of an unknown type) " },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench *b;

		if (i)
			assert_int_equal(setup(state), 0);
		b = *state;
		if (cases[i].greets)
			greet(b, 4096);
		send_frame(b, cases[i].type, cases[i].payload, cases[i].len);
		send_frame(b, CHANNEL_OUT, "late", 4);
		serve(b);
		assert_string_equal(b->said, cases[i].said);
		expect_read(b->out[0], "");
		if (i + 1 < sizeof(cases) / sizeof(cases[0]))
			teardown(state);
	}
}

/* An end whose totals are not what came is no end: bytes were lost. */
static void test_missing_bytes(void **state)
{
	struct bench *b = *state;

	greet(b, 4096);
	send_frame(b, CHANNEL_OUT, "abc", 3);
	end(b, 0, 4, 0);
	serve(b);
	assert_string_equal(b->said,
			    "hello(6.1) broken(bytes of the command's output are missing on "
			    "the channel) ");
}

static void test_damaged(void **state)
{
	struct bench *b = *state;

	greet(b, 4096);
	serve(b);
	assert_int_equal(write(b->guest, "garbage and more of it", 22), 22);
	serve(b);
	assert_string_equal(b->said, "hello(6.1) broken(the channel's bytes are damaged) ");
}

/* Reads the frames of input that have come, and returns how many bytes they carry. */
static size_t read_input(struct bench *b, char *to, bool *ended)
{
	static uint8_t data[1 << 16];
	ssize_t len = recv(b->guest, data, sizeof(data), MSG_DONTWAIT);
	size_t at = 0, n = 0;

	*ended = false;
	while (len > 0 && at < (size_t)len) {
		struct channel_frame frame;
		size_t used;

		assert_int_equal(channel_parse(data + at, (size_t)len - at, true, &frame, &used),
				 CHANNEL_FRAME);
		assert_int_equal(frame.type, CHANNEL_IN);
		memcpy(to + n, frame.payload, frame.len);
		n += frame.len;
		*ended |= !frame.len;
		at += used;
	}
	return n;
}

/* No input before the greeting, never more than the window, and its end is told. */
static void test_input(void **state)
{
	static char sent[10000], got[10000];
	struct bench *b = *state;
	uint8_t taken[4];
	size_t n = 0;
	bool ended = false;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)(i * 7 + i / 256);
	assert_int_equal(write(b->in[1], sent, sizeof(sent)), sizeof(sent));
	close(b->in[1]);
	b->in[1] = -1;
	serve(b);
	assert_int_equal(read_input(b, got, &ended), 0);
	greet(b, 1000);
	while (!ended) {
		size_t more;

		serve(b);
		more = read_input(b, got + n, &ended);
		assert_in_range(more, ended ? 0 : 1, 1000);
		n += more;
		channel_put32(taken, (uint32_t)more);
		if (more)
			send_frame(b, CHANNEL_TAKEN, taken, sizeof(taken));
	}
	assert_int_equal(n, sizeof(sent));
	assert_memory_equal(got, sent, sizeof(sent));
}

/* A reader that does not read stops the channel, and loses nothing. */
static void test_slow_reader(void **state)
{
	static uint8_t block[4096];
	struct bench *b = *state;
	size_t sent = 0, got = 0;
	uint8_t header[CHANNEL_HEADER];
	char buf[65536];
	ssize_t n;

	fcntl(b->guest, F_SETFL, O_NONBLOCK);
	greet(b, 4096);
	channel_header(header, CHANNEL_OUT, block, sizeof(block));
	for (unsigned i = 0; i < 64; i++) {
		uint8_t frame[CHANNEL_HEADER + sizeof(block)];

		memcpy(frame, header, sizeof(header));
		memcpy(frame + sizeof(header), block, sizeof(block));
		if (write(b->guest, frame, sizeof(frame)) != sizeof(frame))
			break;
		sent += sizeof(block);
		serve(b);
	}
	assert_true(sent > 65536); /* more than the pipe holds */
	assert_true(b->channel.counts[0] < sent);
	for (unsigned i = 0; i < 64; i++) {
		while ((n = read(b->out[0], buf, sizeof(buf))) > 0)
			got += (size_t)n;
		serve(b);
	}
	assert_int_equal(got, sent);
}

/* Output whose reader has gone is dropped, and said at the end. */
static void test_no_reader(void **state)
{
	struct bench *b = *state;

	signal(SIGPIPE, SIG_IGN);
	close(b->out[0]);
	b->out[0] = dup(0);
	greet(b, 4096);
	send_frame(b, CHANNEL_OUT, "abc", 3);
	end(b, 0, 3, 0);
	serve(b);
	assert_string_equal(b->said, "hello(6.1) ended() ");
	assert_string_equal(
		b->channel.out_error.text,
		"the command's output cannot be written to standard output: Broken pipe");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fault, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_input, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_reader, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
