/*
 * A guest's sockets on this host: with programs that come, say nonsense, do not read and go; and
 * when the host refuses.
 */
#include "tests/fault/wrap.h"
#include "vmm/backends/vsock.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[] = "/tmp/straddle-fake-XXXXXX";
static char path[sizeof(dir) + 8], service[sizeof(path) + 8]; /* in it */
static struct vsock bridge;
static struct vsock_port port;
static struct err err;

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/vsock", dir);
	snprintf(service, sizeof(service), "%s_1000", path);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	unlink(service);
	return rmdir(dir);
}

/* --- a pretend device --- */

static unsigned calls, events, last_event;
static uint32_t called;
static int answer; /* to calls */

static int on_call(void *to, uint32_t guest_port, unsigned caller)
{
	(void)to;
	called = guest_port;
	if (answer == 0)
		port.ops->adopt(port.to, calls, caller);
	calls++;
	return answer;
}

static void on_event(void *to, unsigned id)
{
	(void)to;
	events++;
	last_event = id;
}

static int open_bridge(void **state)
{
	const struct vsock_user user = { on_call, on_event, NULL };

	wrap_setup(state);
	if (vsock_open(&bridge, path, &err) < 0)
		return -1;
	port = vsock_port_of(&bridge);
	vsock_serve(&bridge, &user);
	calls = events = called = 0;
	answer = 0;
	return 0;
}

/* As a device does that is reset. */
static int close_bridge(void **state)
{
	(void)state;
	wrap_reset();
	for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++)
		if (bridge.connections[i] >= 0)
			port.ops->close(port.to, i);
	vsock_close(&bridge);
	assert_int_equal(access(path, F_OK), -1);
	return 0;
}

/* As the loop does, until nothing is ready. */
static void serve(void)
{
	struct pollfd p = { .fd = bridge.set, .events = POLLIN };

	while (poll(&p, 1, 0) > 0)
		vsock_ready(&bridge, p.revents);
}

/* --- programs of the host --- */

static struct sockaddr_un address(const char *at)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	strcpy(addr.sun_path, at);
	return addr;
}

static int dial(const char *text)
{
	struct sockaddr_un addr = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (void *)&addr, sizeof(addr)), 0);
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
	return fd;
}

static int offer_service(void)
{
	struct sockaddr_un addr = address(service);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (void *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

/* What `fd` has to read now; "" at its end, NULL: nothing. */
static const char *hear(int fd)
{
	static char text[64];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n < 0 && errno == ECONNRESET) /* what it said was not read */
		n = 0;
	if (n < 0)
		return NULL;
	text[n] = '\0';
	return text;
}

static ssize_t receive(unsigned id, char *to, size_t cap)
{
	const struct iovec part = { to, cap };

	return port.ops->receive(port.to, id, &part, 1);
}

static ssize_t send_text(unsigned id, const char *text)
{
	const struct iovec part = { (char *)text, strlen(text) };

	return port.ops->send(port.to, id, &part, 1);
}

/* --- opening --- */

static int attempt(void *to, struct err *e)
{
	int ret = vsock_open(&bridge, path, e);

	(void)to;
	if (ret == 0)
		vsock_close(&bridge);
	assert_int_equal(access(path, F_OK), -1);
	return ret;
}

static void test_open(void **state)
{
	(void)state;
	wrap_sweep(attempt, NULL, ENOMEM, NULL);
	wrap_sweep(attempt, NULL, EMFILE, NULL);
}

static void test_in_use(void **state)
{
	struct vsock other;
	char long_path[128];

	(void)state;
	assert_int_equal(vsock_open(&bridge, path, &err), 0);
	assert_int_equal(vsock_open(&other, path, &err), -EADDRINUSE);
	wrap_assert_says(&err, "something is there already");
	vsock_close(&other);
	vsock_close(&bridge);
	/* One that was left is replaced. */
	assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
	assert_int_equal(vsock_open(&bridge, path, &err), 0);
	vsock_close(&bridge);
	/* Room for _4294967295 */
	memset(long_path, 'x', sizeof(long_path));
	long_path[97] = '\0';
	assert_int_equal(vsock_open(&bridge, long_path, &err), -ENAMETOOLONG);
	wrap_assert_says(&err, "at most 96 bytes");
	vsock_close(&bridge);
}

/* --- calls of the host --- */

static void test_call(void **state)
{
	int fd = dial("CONN");
	char text[16];

	(void)state;
	serve();
	assert_int_equal(calls, 0);
	assert_int_equal(send(fd, "ECT 1000\nhel", 12, 0), 12);
	serve();
	assert_int_equal(calls, 1);
	assert_int_equal(called, 1000);
	assert_null(hear(fd));
	assert_int_equal(port.ops->accepted(port.to, 0, 77), 0);
	assert_string_equal(hear(fd), "OK 77\n");
	/* What follows the line belongs to the guest. */
	assert_int_equal(receive(0, text, sizeof(text)), 3);
	assert_memory_equal(text, "hel", 3);
	assert_int_equal(receive(0, text, sizeof(text)), -EAGAIN);
	events = 0;
	assert_int_equal(send(fd, "lo", 2, 0), 2);
	serve();
	assert_int_equal(events, 1);
	assert_int_equal(receive(0, text, sizeof(text)), 2);
	assert_int_equal(send_text(0, "world"), 5);
	assert_string_equal(hear(fd), "world");
	port.ops->close(port.to, 0);
	assert_string_equal(hear(fd), "");
	close(fd);
}

static void test_nonsense(void **state)
{
	static const char *const lines[] = {
		"\n",
		"CONNECT\n",
		"CONNECT \n",
		"CONNECT x\n",
		"CONNECT 4294967296\n",
		"CONNECT -1\n",
		"CONNECT 99999999999999999999\n",
		"CONNECT 1 2\n",
		"CONNECT 1\r\n",
		"GET / HTTP/1.1\n",
		"CONNECT 0000000000000000000000000000000000001\n",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		int fd = dial(lines[i]);

		serve();
		assert_string_equal(hear(fd), "");
		close(fd);
	}
	assert_int_equal(calls, 0);
}

/* The guest has no driver, or too many connections. */
static void test_no_guest(void **state)
{
	int fd = dial("CONNECT 4294967295\n");

	(void)state;
	answer = -ENOTCONN;
	serve();
	assert_int_equal(called, UINT32_MAX);
	assert_string_equal(hear(fd), "");
	close(fd);
}

/* Those who say nothing do not keep others out: the oldest goes. */
static void test_silent(void **state)
{
	int fds[VSOCK_CALLERS], last;

	(void)state;
	for (unsigned i = 0; i < VSOCK_CALLERS; i++) {
		fds[i] = dial("");
		serve();
	}
	assert_null(hear(fds[0]));
	last = dial("CONNECT 1\n");
	serve();
	assert_int_equal(calls, 1);
	assert_string_equal(hear(fds[0]), "");
	assert_null(hear(fds[1]));
	close(last);
	/* A place that is free again is taken first. */
	close(fds[9]);
	serve();
	last = dial("");
	serve();
	assert_null(hear(fds[1]));
	close(last);
	for (unsigned i = 0; i < VSOCK_CALLERS; i++)
		if (i != 9)
			close(fds[i]);
}

static void test_no_descriptors(void **state)
{
	int first = dial("CONNECT 1\n"), second;

	(void)state;
	wrap_fail_named("accept4", 1, EMFILE);
	serve();
	assert_int_equal(calls, 0);
	second = dial("CONNECT 2\n");
	serve();
	assert_int_equal(calls, 2);
	close(first);
	close(second);
	first = dial("CONNECT 3\n");
	wrap_fail_named("epoll_ctl", 1, ENOSPC);
	serve();
	assert_int_equal(calls, 2);
	assert_string_equal(hear(first), "");
	close(first);
}

/* More than are let in at once. */
static void test_crowd(void **state)
{
	int fds[65]; /* listen(2) lets one more wait than it is told */

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 65; i++)
			fds[i] = dial("CONNECT 5\n");
		serve();
		for (unsigned i = 0; i < 65; i++)
			close(fds[i]);
	}
	assert_int_equal(calls, 130);
}

/* --- calls of the guest --- */

static void test_guest_connects(void **state)
{
	struct wrap_held before = wrap_held();
	int listener, fd;

	(void)state;
	assert_int_equal(port.ops->connect(port.to, 3, 1000), -ENOENT);
	listener = offer_service();
	assert_int_equal(port.ops->connect(port.to, 3, 1000), 0);
	fd = accept(listener, NULL, NULL);
	assert_int_equal(send_text(3, "hello"), 5);
	assert_string_equal(hear(fd), "hello");
	assert_int_equal(send(fd, "x", 1, 0), 1);
	serve();
	assert_int_equal(last_event, 3);
	port.ops->close(port.to, 3);
	assert_string_equal(hear(fd), "");
	close(fd);
	close(listener);
	assert_int_equal(port.ops->connect(port.to, 3, 1000), -ECONNREFUSED);
	unlink(service);
	wrap_assert_released(before, "connections");
}

static int guest_attempt(void *to, struct err *e)
{
	int ret = port.ops->connect(port.to, 3, 1000), fd;

	if (ret < 0)
		return err_sys(e, -ret, "refused");
	fd = accept(*(int *)to, NULL, NULL);
	port.ops->close(port.to, 3);
	close(fd);
	return 0;
}

static void test_guest_connect_fails(void **state)
{
	static const char *const names[] = { "socket", "connect", "epoll_ctl" };
	int listener = offer_service();
	struct wrap_held before = wrap_held();

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		wrap_fail_named(names[i], 1, ENOMEM);
		assert_int_equal(guest_attempt(&listener, &err), -ENOMEM);
		wrap_assert_released(before, names[i]);
		if (i == 2) /* it was connected already */
			close(accept(listener, NULL, NULL));
		wrap_reset();
		assert_int_equal(guest_attempt(&listener, &err), 0);
	}
	close(listener);
	unlink(service);
}

/* --- bytes, ends --- */

static int connected(void)
{
	int fd = dial("CONNECT 1\n");

	serve();
	assert_int_equal(calls, 1);
	return fd;
}

/* A program that does not read: room is an event when it does. */
static void test_room(void **state)
{
	static char much[65536];
	const struct iovec parts[] = { { much, sizeof(much) / 2 },
				       { much + sizeof(much) / 2, sizeof(much) / 2 } };
	int fd = connected();
	ssize_t n, sent = 0;

	(void)state;
	while ((n = port.ops->send(port.to, 0, parts, 2)) > 0)
		sent += n;
	assert_int_equal(n, -EAGAIN);
	assert_true(sent > 0);
	port.ops->want_room(port.to, 0, true);
	events = 0;
	serve();
	assert_int_equal(events, 0);
	while (sent > 0 && (n = recv(fd, much, sizeof(much), MSG_DONTWAIT)) > 0)
		sent -= n;
	serve();
	assert_true(events > 0);
	assert_int_equal(port.ops->send(port.to, 0, parts, 2), sizeof(much));
	port.ops->want_room(port.to, 0, false);
	close(fd);
}

static void test_ends(void **state)
{
	int fd = connected();
	char byte;

	(void)state;
	assert_int_equal(receive(0, &byte, 1), -EAGAIN);
	assert_false(port.ops->hung_up(port.to, 0));
	shutdown(fd, SHUT_WR);
	events = 0;
	serve();
	assert_int_equal(events, 1);
	assert_int_equal(receive(0, &byte, 1), 0);
	assert_false(port.ops->hung_up(port.to, 0));
	assert_int_equal(send_text(0, "still"), 5);
	assert_string_equal(hear(fd), "still");
	close(fd);
	serve();
	assert_int_equal(events, 2);
	assert_true(port.ops->hung_up(port.to, 0));
	assert_int_equal(send_text(0, "lost"), -EPIPE);
}

static void test_guest_ends(void **state)
{
	int fd = connected();

	(void)state;
	port.ops->shutdown(port.to, 0, false, true);
	assert_string_equal(hear(fd), "");
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	port.ops->shutdown(port.to, 0, true, false);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	close(fd);
}

static void test_failing_bytes(void **state)
{
	int fd = connected();
	char byte;

	(void)state;
	wrap_fail_named("sendmsg", 1, EINTR);
	assert_int_equal(send_text(0, "x"), 1);
	wrap_fail_named("sendmsg", 1, ENOBUFS);
	assert_int_equal(send_text(0, "x"), -ENOBUFS);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	wrap_fail_named("recvmsg", 1, EINTR);
	assert_int_equal(receive(0, &byte, 1), 1);
	wrap_fail_named("recvmsg", 1, ECONNRESET);
	assert_int_equal(receive(0, &byte, 1), -ECONNRESET);
	close(fd);
	assert_int_equal(port.ops->accepted(port.to, 0, 1), -EPIPE);
}

/* A descriptor of this process on one port: once, with or without Unix sockets beside it. */
static void test_own_port(void **state)
{
	struct iovec part = { "hi", 2 };
	int ends[2];

	(void)state;
	for (unsigned alone = 0; alone < 2; alone++) {
		if (alone) {
			port.ops->close(port.to, 1);
			vsock_close(&bridge);
			bridge = (struct vsock)VSOCK_EMPTY;
		}
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		assert_int_equal(vsock_give(&bridge, 77, ends[1], &err), 0);
		assert_true(vsock_is_open(&bridge));
		assert_true(port.ops->connect(port.to, 0, 1000) < 0);
		assert_int_equal(port.ops->connect(port.to, 1, 77), 0);
		assert_int_equal(port.ops->send(port.to, 1, &part, 1), 2);
		assert_string_equal(hear(ends[0]), "hi");
		assert_int_equal(port.ops->connect(port.to, 2, 77), -ECONNREFUSED);
		close(ends[0]);
	}
}

/* What was never asked for is closed; a host that refuses costs no descriptor. */
static void test_own_port_unused(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(vsock_give(&bridge, 77, ends[1], &err), 0);
	vsock_close(&bridge);
	assert_string_equal(hear(ends[0]), "");
	close(ends[0]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	bridge = (struct vsock)VSOCK_EMPTY;
	wrap_fail_named("epoll_create1", 1, EMFILE);
	assert_int_equal(vsock_give(&bridge, 77, ends[1], &err), -EMFILE);
	assert_string_equal(hear(ends[0]), "");
	close(ends[0]);
	assert_false(vsock_is_open(&bridge));
	memset(bridge.connections, -1, sizeof(bridge.connections));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bridge, close_bridge)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_open, wrap_setup),
		cmocka_unit_test_setup(test_in_use, wrap_setup),
		TEST(test_own_port),
		TEST(test_own_port_unused),
		TEST(test_call),
		TEST(test_nonsense),
		TEST(test_no_guest),
		TEST(test_silent),
		TEST(test_no_descriptors),
		TEST(test_crowd),
		TEST(test_guest_connects),
		TEST(test_guest_connect_fails),
		TEST(test_room),
		TEST(test_ends),
		TEST(test_guest_ends),
		TEST(test_failing_bytes),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
