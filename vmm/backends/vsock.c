#include "vmm/backends/vsock.h"

#include "vmm/base/span.h"
#include "vmm/host/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PORT_CHARS 11 /* "_4294967295" */
#define BACKLOG	   64 /* programs in the backlog, and accepted at once */
#define EVENTS	   64 /* handled at once */
#define CALL_MAX   32 /* "CONNECT 4294967295\n", with room for blanks */

/* The data of a descriptor in the epoll set: a connection's number, or one of these. */
#define LISTENER     (1u << 16)
#define FIRST_CALLER (1u << 17)

/* Edge-triggered (EPOLLET), so that a socket that is not being read needs no EPOLL_CTL_MOD. */
static int vsock_watch(const struct vsock *v, int op, int fd, uint32_t events, uint32_t what)
{
	struct epoll_event e = { .events = events | EPOLLET, .data.u32 = what };

	return epoll_ctl(v->set, op, fd, &e);
}

/* --- callers --- */

static void drop_caller(struct vsock *v, unsigned i)
{
	if (v->callers[i] >= 0)
		close(v->callers[i]);
	v->callers[i] = -1;
}

/* Parses "CONNECT <port>", the whole line without its end. */
static bool parse_call(const char *line, uint32_t *port)
{
	unsigned long long number;
	int end = 0;

	if (sscanf(line, "CONNECT %10llu%n", &number, &end) != 1 || line[end] ||
	    number > UINT32_MAX)
		return false;
	*port = (uint32_t)number;
	return true;
}

/* Reads a caller's line. Bytes behind the line are for the guest, so they stay in the socket. */
static void serve_caller(struct vsock *v, unsigned i)
{
	char line[CALL_MAX];
	int fd = v->callers[i];
	uint32_t port;
	ssize_t n;
	char *end;

	if (fd < 0)
		return;
	n = recv(fd, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;
	if (n > 0 && !end && n < (ssize_t)sizeof(line))
		return; /* the rest of the line has not arrived */
	if (end) {
		size_t len = (size_t)(end + 1 - line);

		*end = '\0';
		if (parse_call(line, &port) && recv(fd, line, len, MSG_DONTWAIT) == (ssize_t)len &&
		    v->user.call(v->user.to, port, i) == 0)
			return; /* the device has the connection now */
	}
	drop_caller(v, i);
}

static void add_caller(struct vsock *v, int fd)
{
	unsigned i = v->next, tries = VSOCK_CALLERS;

	while (v->callers[i] >= 0 && --tries)
		i = (i + 1) % VSOCK_CALLERS;
	if (!tries)
		i = v->next;
	v->next = (i + 1) % VSOCK_CALLERS;
	drop_caller(v, i);
	v->callers[i] = fd;
	if (vsock_watch(v, EPOLL_CTL_ADD, fd, EPOLLIN, FIRST_CALLER + i) < 0)
		drop_caller(v, i);
}

/* Out of descriptors, callers stay in the backlog until the next connection arrives. */
static void let_in(struct vsock *v)
{
	for (unsigned n = 0; n < BACKLOG; n++) {
		int fd = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		add_caller(v, fd);
	}
	(void)vsock_watch(v, EPOLL_CTL_MOD, v->listener, EPOLLIN,
			  LISTENER); /* reports the backlog again */
}

void vsock_ready(void *to, short revents)
{
	struct epoll_event events[EVENTS];
	struct vsock *v = to;
	int n = epoll_wait(v->set, events, EVENTS, 0);

	(void)revents;
	for (int i = 0; i < n; i++) {
		uint32_t what = events[i].data.u32;

		if (what == LISTENER)
			let_in(v);
		else if (what >= FIRST_CALLER)
			serve_caller(v, what - FIRST_CALLER);
		else
			v->user.event(v->user.to, what);
	}
}

/* --- connections; under the device's lock --- */

/* The descriptor for the port of vsock_give(), or -1 with errno. */
static int take_own(struct vsock *v)
{
	int fd = v->own_fd;

	v->own_fd = -1;
	errno = ECONNREFUSED; /* the guest has it already */
	return fd;
}

static int connect_path(const struct vsock *v, uint32_t port)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, code;

	errno = ECONNREFUSED;
	fd = v->path ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
	if (fd < 0)
		return -1;
	/* vsock_open() checked that the path fits. A full backlog, EAGAIN, is a refusal as well. */
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.*s_%" PRIu32,
		 (int)(sizeof(addr.sun_path) - 1 - PORT_CHARS), v->path, port);
	if (connect(fd, (void *)&addr, sizeof(addr)) == 0)
		return fd;
	code = errno;
	close(fd);
	errno = code;
	return -1;
}

static int do_connect(void *to, unsigned id, uint32_t port)
{
	struct vsock *v = to;
	int fd = v->own_port && port == v->own_port ? take_own(v) : connect_path(v, port);

	if (fd < 0)
		return -errno;
	if (vsock_watch(v, EPOLL_CTL_ADD, fd, EPOLLIN, id) < 0) {
		int code = errno;

		close(fd);
		return -code;
	}
	v->connections[id] = fd;
	return 0;
}

static void do_adopt(void *to, unsigned id, unsigned caller)
{
	struct vsock *v = to;

	v->connections[id] = v->callers[caller];
	v->callers[caller] = -1;
	/* Cannot fail: the descriptor is in the set already, so no memory is needed. */
	(void)vsock_watch(v, EPOLL_CTL_MOD, v->connections[id], EPOLLIN, id);
}

static int do_accepted(void *to, unsigned id, uint32_t port)
{
	const struct vsock *v = to;
	char line[32];
	int len = snprintf(line, sizeof(line), "OK %" PRIu32 "\n", port);

	/* These are the first bytes in this direction, so there is room for them. */
	return send(v->connections[id], line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) == len
		       ? 0
		       : -EPIPE;
}

static ssize_t do_send(void *to, unsigned id, const struct iovec *parts, unsigned n)
{
	const struct vsock *v = to;
	struct msghdr h = { .msg_iov = (struct iovec *)parts, .msg_iovlen = n };
	ssize_t sent;

	do
		sent = sendmsg(v->connections[id], &h, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static ssize_t do_receive(void *to, unsigned id, const struct iovec *parts, unsigned n)
{
	const struct vsock *v = to;
	struct msghdr h = { .msg_iov = (struct iovec *)parts, .msg_iovlen = n };
	ssize_t got;

	do
		got = recvmsg(v->connections[id], &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static void do_shutdown(void *to, unsigned id, bool receive, bool send)
{
	const struct vsock *v = to;

	(void)shutdown(v->connections[id], receive && send ? SHUT_RDWR
					   : receive	   ? SHUT_RD
							   : SHUT_WR);
}

static bool do_hung_up(void *to, unsigned id)
{
	const struct vsock *v = to;
	struct pollfd p = { .fd = v->connections[id] };

	return poll(&p, 1, 0) > 0; /* POLLHUP and POLLERR are reported without being requested */
}

static void do_want_room(void *to, unsigned id, bool want)
{
	const struct vsock *v = to;

	(void)vsock_watch(v, EPOLL_CTL_MOD, v->connections[id], EPOLLIN | (want ? EPOLLOUT : 0),
			  id);
}

static void do_close(void *to, unsigned id)
{
	struct vsock *v = to;

	close(v->connections[id]);
	v->connections[id] = -1;
}

static const struct vsock_port_ops ops = {
	.connect = do_connect,
	.adopt = do_adopt,
	.accepted = do_accepted,
	.send = do_send,
	.receive = do_receive,
	.shutdown = do_shutdown,
	.hung_up = do_hung_up,
	.want_room = do_want_room,
	.close = do_close,
};

struct vsock_port vsock_port_of(struct vsock *v)
{
	return (struct vsock_port){ &ops, v };
}

void vsock_serve(struct vsock *v, const struct vsock_user *user)
{
	v->user = *user;
}

/* --- open, close --- */

static void empty(struct vsock *v)
{
	*v = (struct vsock)VSOCK_EMPTY;
	memset(v->callers, -1, sizeof(v->callers));
	memset(v->connections, -1, sizeof(v->connections));
}

int vsock_give(struct vsock *v, uint32_t port, int fd, struct err *err)
{
	if (!vsock_is_open(v)) {
		empty(v);
		v->set = epoll_create1(EPOLL_CLOEXEC);
	}
	if (v->set < 0) {
		int code = errno;

		close(fd);
		return err_sys(err, code, "cannot make an epoll set");
	}
	v->own_port = port;
	v->own_fd = fd;
	return 0;
}

bool vsock_is_open(const struct vsock *v)
{
	return v->set >= 0;
}

int vsock_open(struct vsock *v, const char *path, struct err *err)
{
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 - PORT_CHARS;
	int ret;

	empty(v);
	if (strlen(path) > most)
		return err_set(
			err, ENAMETOOLONG,
			"socket=%s: the path has at most %zu bytes, so that _PORT may follow", path,
			most);
	ret = unix_socket_listen("socket=", path, &v->listener, err);
	if (ret < 0)
		return ret;
	v->path = path;
	v->set = epoll_create1(EPOLL_CLOEXEC);
	if (v->set < 0 || vsock_watch(v, EPOLL_CTL_ADD, v->listener, EPOLLIN, LISTENER) < 0 ||
	    fcntl(v->listener, F_SETFL, O_NONBLOCK) < 0 || listen(v->listener, BACKLOG) < 0) {
		ret = err_sys(err, errno, "socket=%s cannot be served", path);
		vsock_close(v);
	}
	return ret;
}

void vsock_close(struct vsock *v)
{
	for (unsigned i = 0; v->path && i < VSOCK_CALLERS; i++)
		drop_caller(v, i);
	if (v->own_fd >= 0)
		close(v->own_fd);
	if (v->set >= 0)
		close(v->set);
	if (v->listener >= 0) {
		close(v->listener);
		unlink(v->path);
	}
	*v = (struct vsock)VSOCK_EMPTY;
}
