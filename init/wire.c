#include "init/wire.h"
#include "init/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

#define WIRE_CONNECT_MS 1000
#define WIRE_RETRY_MS	50
#define WIRE_DONE_MS	30000

/* --- open --- */

void wire_open_fd(struct wire *w, int fd, bool serial)
{
	w->fd = fd;
	w->serial = serial;
	w->window = serial ? WIRE_WINDOW_SERIAL : WIRE_WINDOW_VSOCK;
	w->payload = serial ? 4096 : CHANNEL_PAYLOAD_MAX;
	w->send_at = w->send_len = 0;
	w->got = w->used = 0;
	w->begun = false;
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* struct sockaddr_vm of linux/vm_sockets.h, which musl has not. */
struct vsock_address {
	uint16_t family;
	uint16_t reserved;
	uint32_t port;
	uint32_t cid;
	uint8_t zero[4];
};
#define VSOCK_HOST 2 /* VMADDR_CID_HOST */

/* Connects once, by the deadline. Returns the socket or -errno. */
static int vsock_connect(uint32_t port, uint64_t deadline)
{
	const struct vsock_address to = { .family = AF_VSOCK, .port = port, .cid = VSOCK_HOST };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd p = { fd, POLLOUT, 0 };
	socklen_t len = sizeof(int);
	int code = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const void *)&to, sizeof(to)) == 0)
		return fd;
	code = errno;
	if (code == EINPROGRESS) {
		if (poll(&p, 1, clock_left(deadline)) <= 0)
			code = ETIMEDOUT;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
			code = errno;
	}
	if (!code)
		return fd;
	close(fd);
	return -code;
}

int wire_open_vsock(struct wire *w, uint32_t port, struct err *err)
{
	uint64_t deadline = clock_ms() + WIRE_CONNECT_MS;

	for (;;) {
		int fd = vsock_connect(port, deadline);

		if (fd >= 0) {
			wire_open_fd(w, fd, false);
			return 0;
		}
		if (fd == -ENODEV || fd == -EAFNOSUPPORT || clock_ms() >= deadline)
			return err_sys(err, -fd, "port %u of the host cannot be reached by vsock",
				       port);
		clock_sleep(WIRE_RETRY_MS);
	}
}

/*
 * Eight bits, no echo, no translation, no signals. CLOCAL, because the line has no modem; no
 * CRTSCTS, because the window is the flow control.
 */
static int make_raw(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t) < 0)
		return -errno;
	cfmakeraw(&t);
	t.c_cflag = (t.c_cflag & ~(tcflag_t)(CRTSCTS | CSTOPB | HUPCL)) | CLOCAL | CREAD;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	cfsetispeed(&t, B115200);
	cfsetospeed(&t, B115200);
	if (tcsetattr(fd, TCSANOW, &t) < 0 || tcflush(fd, TCIOFLUSH) < 0)
		return -errno;
	return 0;
}

int wire_open_serial(struct wire *w, const char *name, struct err *err)
{
	char path[64];
	int fd, ret;

	snprintf(path, sizeof(path), "/dev/%s", name);
	/* Without O_NONBLOCK open(2) waits for a carrier, because CLOCAL is not set yet. */
	fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "the serial line %s cannot be opened", path);
	ret = make_raw(fd);
	if (ret < 0) { /* EIO: no UART was found there */
		close(fd);
		return err_sys(err, -ret, "the serial line %s does not work", path);
	}
	wire_open_fd(w, fd, true);
	return 0;
}

/* --- send --- */

/* Moves what waits to the front. */
static void send_compact(struct wire *w)
{
	memmove(w->send, w->send + w->send_at, w->send_len - w->send_at);
	w->send_len -= w->send_at;
	w->send_at = 0;
}

uint8_t *wire_room(struct wire *w)
{
	send_compact(w);
	return w->send + w->send_len + CHANNEL_HEADER;
}

void wire_commit(struct wire *w, enum channel_type type, uint32_t len)
{
	uint8_t *frame = w->send + w->send_len;

	channel_header(frame, type, frame + CHANNEL_HEADER, len);
	w->send_len += CHANNEL_HEADER + len;
}

void wire_queue(struct wire *w, enum channel_type type, const void *payload, uint32_t len)
{
	memcpy(wire_room(w), payload, len);
	wire_commit(w, type, len);
}

int wire_flush(struct wire *w, struct err *err)
{
	while (!wire_idle(w)) {
		ssize_t n = write(w->fd, w->send + w->send_at, w->send_len - w->send_at);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "the channel cannot be written");
		w->send_at += (size_t)n;
	}
	return 0;
}

int wire_drain(struct wire *w, struct err *err)
{
	int ret;

	while ((ret = wire_flush(w, err)) == 0 && !wire_idle(w)) {
		struct pollfd p = { w->fd, POLLOUT, 0 };

		(void)poll(&p, 1, -1);
	}
	if (ret == 0 && w->serial)
		(void)tcdrain(w->fd);
	return ret;
}

/* --- receive --- */

int wire_receive(struct wire *w, struct err *err)
{
	ssize_t n;

	w->got -= w->used;
	memmove(w->received, w->received + w->used, w->got);
	w->used = 0;
	n = read(w->fd, w->received + w->got, sizeof(w->received) - w->got);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(err, EPIPE, "the host has closed the channel");
	w->got += (size_t)n;
	return 0;
}

int wire_next(struct wire *w, struct channel_frame *frame, struct err *err)
{
	size_t used;
	enum channel_result result =
		channel_parse(w->received + w->used, w->got - w->used, w->begun, frame, &used);

	if (result == CHANNEL_BROKEN)
		return err_set(err, EBADMSG, "the channel's bytes are damaged");
	w->used += used;
	if (result == CHANNEL_MORE)
		return 0;
	w->begun = true;
	return 1;
}

/* --- what init says --- */

int wire_hello(struct wire *w, struct err *err)
{
	struct utsname name = { 0 };
	uint8_t hello[8 + sizeof(name.release)];
	size_t len;

	(void)uname(&name);
	len = strlen(name.release);
	channel_put32(hello, CHANNEL_VERSION);
	channel_put32(hello + 4, w->window);
	memcpy(hello + 8, name.release, len);
	wire_queue(w, CHANNEL_HELLO, hello, (uint32_t)(8 + len));
	return wire_drain(w, err);
}

int wire_step(struct wire *w, struct err *err, const char *fmt, ...)
{
	char text[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	wire_queue(w, CHANNEL_STEP, text, (uint32_t)strlen(text));
	return wire_drain(w, err);
}

/* Input that still comes is dropped. */
static int wait_for_done(struct wire *w, struct err *err)
{
	uint64_t deadline = clock_ms() + WIRE_DONE_MS;
	struct channel_frame frame;
	int ret;

	for (;;) {
		struct pollfd p = { w->fd, POLLIN, 0 };

		while ((ret = wire_next(w, &frame, err)) > 0)
			if (frame.type == CHANNEL_DONE)
				return 0;
		if (ret < 0)
			return ret;
		if (!clock_left(deadline))
			return err_set(err, ETIMEDOUT,
				       "the host did not confirm the end within %d s",
				       WIRE_DONE_MS / 1000);
		if (poll(&p, 1, clock_left(deadline)) > 0 && (ret = wire_receive(w, err)) < 0)
			return ret;
	}
}

int wire_last(struct wire *w, enum channel_type type, const void *payload, uint32_t len,
	      struct err *err)
{
	int ret;

	wire_queue(w, type, payload, len);
	ret = wire_drain(w, err);
	return ret < 0 ? ret : wait_for_done(w, err);
}
