#include "vmm/backends/vhost_user_message.h"

#include "vmm/base/bytes.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VERSION	   1u
#define REPLY	   4u
#define NEED_REPLY 8u

#define RETRY_MS 100 /* between two looks at a program that accepts nobody now */

uint8_t *wire_payload(struct wire_message *m)
{
	return m->bytes + WIRE_HEADER;
}

struct wire_message wire_request(uint32_t what)
{
	return (struct wire_message){ .request = what };
}

void wire_add(struct wire_message *m, uint64_t value, unsigned size)
{
	store_le(wire_payload(m) + m->size, value, size);
	m->size += size;
}

/* --- waiting --- */

void wire_set_deadline(struct wire *w)
{
	clock_gettime(CLOCK_MONOTONIC, &w->deadline);
	w->deadline.tv_sec += w->timeout;
}

static int ms_left(const struct wire *w)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int)((w->deadline.tv_sec - now.tv_sec) * 1000 +
		     (w->deadline.tv_nsec - now.tv_nsec) / 1000000);
}

/*
 * Until the descriptor (-1: none) is ready, `most` milliseconds have passed, or a signal came.
 * False, with EAGAIN: nothing is waited for any more.
 */
static bool await(const struct wire *w, int fd, short events, int most)
{
	struct pollfd p[] = { { fd, events, 0 }, { w->cancel, POLLIN, 0 } };
	int left = ms_left(w);

	if (left > 0)
		(void)poll(p, 2, left < most ? left : most);
	errno = EAGAIN;
	return left > 0 && !p[1].revents;
}

/*
 * A socket that fails is a program that went; who waits for its hang-up says so, too. One that does
 * not answer is hung up on, which is the same.
 */
static int wire_broken(const struct wire *w, struct err *err)
{
	if (errno == EAGAIN)
		return err_set(err, ENOTCONN, "%s%s: the program at this socket does not answer",
			       w->option, w->path);
	return err_set(err, ENOTCONN, "%s%s: the program at this socket closed the connection",
		       w->option, w->path);
}

/* --- messages --- */

static int send_message(const struct wire *w, struct wire_message *m, uint32_t flags,
			struct err *err)
{
	char control[CMSG_SPACE(sizeof(m->fds))] = { 0 };
	struct iovec part = { m->bytes, WIRE_HEADER + m->size };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	if (m->nr_fds) {
		struct cmsghdr *c;

		h.msg_control = control;
		h.msg_controllen = CMSG_SPACE(m->nr_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(m->nr_fds * sizeof(int));
		memcpy(CMSG_DATA(c), m->fds, m->nr_fds * sizeof(int));
	}
	store_le(m->bytes, m->request, 4);
	store_le(m->bytes + 4, VERSION | flags, 4);
	store_le(m->bytes + 8, m->size, 4);
	do
		n = sendmsg(w->fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && (errno == EAGAIN || errno == EINTR) && await(w, w->fd, POLLOUT, INT_MAX));
	if (n == (ssize_t)part.iov_len)
		return 0;
	errno = n >= 0 ? EPIPE : errno;
	return wire_broken(w, err);
}

/* The first is put into *fd, if it is wanted. The others are closed. */
static void take_fds(const struct cmsghdr *c, int *fd)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int came;

		memcpy(&came, CMSG_DATA(c) + i * sizeof(int), sizeof(came));
		if (fd && *fd < 0)
			*fd = came;
		else
			close(came);
	}
}

/* Some bytes; 0: it closed the connection; or -1 and errno. */
static ssize_t receive_some(const struct wire *w, struct msghdr *h)
{
	ssize_t n;

	do
		n = recvmsg(w->fd, h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && (errno == EAGAIN || errno == EINTR) && await(w, w->fd, POLLIN, INT_MAX));
	return n;
}

static int wire_receive(const struct wire *w, uint8_t *to, size_t n, int *fd, struct err *err)
{
	while (n) {
		char control[CMSG_SPACE(sizeof(int))];
		struct iovec part = { to, n };
		struct msghdr h = { .msg_iov = &part,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control) };
		ssize_t got = receive_some(w, &h);
		struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&h) : NULL;

		if (got <= 0) {
			errno = got ? errno : EPIPE;
			return wire_broken(w, err);
		}
		if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			take_fds(c, fd);
		to += got;
		n -= (size_t)got;
	}
	return 0;
}

static int wire_exchange(const struct wire *w, struct wire_message *m, size_t size, uint32_t flags,
			 int *fd, struct err *err)
{
	int ret = send_message(w, m, flags, err);

	if (ret < 0)
		return ret;
	ret = wire_receive(w, m->bytes, WIRE_HEADER, fd, err);
	if (ret < 0)
		return ret;
	if (load_le(m->bytes, 4) != m->request || !(load_le(m->bytes + 4, 4) & REPLY) ||
	    load_le(m->bytes + 8, 4) != size)
		return err_set(
			err, EPROTO,
			"%s%s: the program at this socket gave no valid answer to request %u",
			w->option, w->path, m->request);
	return wire_receive(w, wire_payload(m), size, fd, err);
}

int wire_ask(const struct wire *w, struct wire_message *m, size_t size, int *fd, struct err *err)
{
	return wire_exchange(w, m, size, 0, fd, err);
}

int wire_ask_number(const struct wire *w, uint32_t what, uint64_t *number, struct err *err)
{
	struct wire_message m = wire_request(what);
	int ret = wire_exchange(w, &m, 8, 0, NULL, err);

	if (ret < 0)
		return ret;
	*number = load_le(wire_payload(&m), 8);
	return 0;
}

int wire_tell(const struct wire *w, struct wire_message *m, struct err *err)
{
	int ret;

	if (!(w->protocol & WIRE_REPLY_ACK))
		return send_message(w, m, 0, err);
	ret = wire_exchange(w, m, 8, NEED_REPLY, NULL, err);
	if (ret < 0)
		return ret;
	if (load_le(wire_payload(m), 8) != 0)
		return err_set(err, EIO, "%s%s: the program at this socket refuses request %u",
			       w->option, w->path, m->request);
	return 0;
}

int wire_tell_number(const struct wire *w, uint32_t what, uint64_t number, struct err *err)
{
	struct wire_message m = wire_request(what);

	wire_add(&m, number, 8);
	return wire_tell(w, &m, err);
}

/* --- connecting --- */

/* Its queue of those who want to be accepted may be full: that is what EAGAIN says. */
static int connect_to(const struct wire *w, const struct sockaddr_un *addr)
{
	int ret;

	do
		ret = connect(w->fd, (const void *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	while (ret == -EAGAIN && await(w, -1, 0, RETRY_MS));
	return ret;
}

int wire_connect(struct wire *w, time_t timeout, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int ret;

	if (strlen(w->path) >= sizeof(addr.sun_path))
		return err_set(err, EINVAL, "%s%s: a socket's path has at most %zu bytes",
			       w->option, w->path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, w->path);
	w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (w->fd < 0)
		return err_sys(err, errno, "%s%s: cannot make a socket to connect from", w->option,
			       w->path);
	w->protocol = 0;
	w->timeout = timeout;
	wire_set_deadline(w);
	ret = connect_to(w, &addr);
	if (ret == 0)
		return 0;
	wire_close(w);
	if (ret == -EAGAIN) {
		errno = EAGAIN;
		return wire_broken(w, err);
	}
	if (ret == -ECONNREFUSED || ret == -ENOENT)
		return err_set(err, -ret,
			       "%s%s: nobody serves this socket; start its program first",
			       w->option, w->path);
	return err_sys(err, -ret, "%s%s: cannot connect to this socket", w->option, w->path);
}

void wire_shut(const struct wire *w)
{
	if (w->fd >= 0)
		shutdown(w->fd, SHUT_RDWR);
}

void wire_close(struct wire *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}
