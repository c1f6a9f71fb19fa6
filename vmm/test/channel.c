#include "vmm/test/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECEIVE (2 * CHANNEL_FRAME_MAX)
#define IN_MAX	4096u /* bytes of input in one frame */
#define SEND	(2 * CHANNEL_HEADER + IN_MAX)
#define CHUNK	4096u /* PIPE_BUF: after POLLOUT, a write of this much does not block */
#define TICK_MS 100

static void channel_ready(void *to, short revents);
static void channel_in_ready(void *to, short revents);
static void channel_out_ready(void *to, short revents);

/* --- to the guest --- */

static void queue_frame(struct test_channel *c, enum channel_type type, const void *payload,
			uint32_t len)
{
	channel_header(c->send + c->send_len, type, payload, len);
	memcpy(c->send + c->send_len + CHANNEL_HEADER, payload, len);
	c->send_len += CHANNEL_HEADER + len;
}

/* Sends what the channel takes; input is read only while nothing waits to be sent. */
static void send_queued(struct test_channel *c)
{
	ssize_t n = c->send_len ? write(c->fd, c->send, c->send_len) : 0;

	if (n > 0) {
		c->send_len -= (size_t)n;
		memmove(c->send, c->send + n, c->send_len);
		c->moved += (uint64_t)n;
	}
}

static bool wants_input(const struct test_channel *c)
{
	return c->in >= 0 && c->begun && !c->over && !c->send_len && c->in_flight < c->window;
}

/* Watches the descriptors that there is something to do for. */
static void channel_watch(struct test_channel *c)
{
	short events = (short)((c->left ? 0 : POLLIN) | (c->send_len ? POLLOUT : 0));

	loop_want(c->loop, c->fd, c->fd >= 0 ? events : 0, channel_ready, c);
	if (c->in >= 0)
		loop_want(c->loop, c->in, wants_input(c) ? POLLIN : 0, channel_in_ready, c);
	for (unsigned i = 0; i < 2; i++)
		loop_forget(c->loop, c->outs[i]);
	if (c->left)
		loop_want(c->loop, c->outs[c->stream], POLLOUT, channel_out_ready, c);
}

/* Passes on what can be read of standard input now, as much as the window allows. */
static void channel_in_ready(void *to, short revents)
{
	struct test_channel *c = to;
	uint32_t room = c->window - c->in_flight;
	uint8_t data[IN_MAX];
	ssize_t n;

	(void)revents;
	n = read(c->in, data, room < IN_MAX ? room : IN_MAX);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* its end; an error is one, too, because nothing more can be read */
		loop_forget(c->loop, c->in);
		c->in = -1;
		n = 0;
	}
	queue_frame(c, CHANNEL_IN, data, (uint32_t)n);
	c->in_flight += (uint32_t)n;
	send_queued(c);
	channel_watch(c);
}

/* --- the command's output --- */

static bool can_write(int fd)
{
	struct pollfd p = { fd, POLLOUT, 0 };

	return poll(&p, 1, 0) > 0;
}

/* Writes what is left of a stream's bytes while that does not block. False: some are left. */
static bool write_stream(struct test_channel *c)
{
	static const char *const names[] = { "standard output", "standard error" };
	int fd = c->outs[c->stream];

	while (c->left && !*c->out_error.text && can_write(fd)) {
		ssize_t n = write(fd, c->chunk, c->left < CHUNK ? c->left : CHUNK);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			err_sys(&c->out_error, errno,
				"the command's output cannot be written to %s", names[c->stream]);
			break;
		}
		c->chunk += n;
		c->left -= (size_t)n;
	}
	if (*c->out_error.text)
		c->left = 0; /* and all that follows is dropped, so that the command can end */
	return !c->left;
}

/* --- frames --- */

static void channel_is_broken(struct test_channel *c, const char *sentence)
{
	c->over = true;
	c->user.broken(c->user.to, sentence);
}

/* Copies a text payload, without what a terminal would act on. */
static const char *channel_text(const struct channel_frame *f, uint32_t skip, char *buf,
				size_t size)
{
	size_t n = 0;

	for (uint32_t i = skip; i < f->len && n < size - 1; i++)
		buf[n++] =
			(char)(f->payload[i] < ' ' || f->payload[i] == 127 ? '?' : f->payload[i]);
	buf[n] = '\0';
	return buf;
}

static void channel_greet(struct test_channel *c, const struct channel_frame *f)
{
	char release[128];

	if (c->begun || f->len < 8 || channel_get32(f->payload) != CHANNEL_VERSION) {
		channel_is_broken(c, "init speaks another version of the channel's protocol");
		return;
	}
	c->begun = true;
	if (c->offered >= 0) {
		loop_forget(c->loop, c->offered);
		close(c->offered);
		c->offered = -1;
	}
	c->window = channel_get32(f->payload + 4);
	c->user.hello(c->user.to, channel_text(f, 8, release, sizeof(release)));
}

static void take_exit(struct test_channel *c, const struct channel_frame *f)
{
	struct channel_exit e;

	if (!channel_exit_get(&e, f) || e.out != c->counts[0] || e.err != c->counts[1]) {
		channel_is_broken(c, "bytes of the command's output are missing on the channel");
		return;
	}
	c->over = true;
	queue_frame(c, CHANNEL_DONE, "", 0);
	c->user.ended(c->user.to, &e);
}

static void take_frame(struct test_channel *c, const struct channel_frame *f)
{
	char text[1024];
	uint32_t taken;

	if (!c->begun && f->type != CHANNEL_HELLO) {
		channel_is_broken(c, "init did not greet on the channel");
		return;
	}
	switch (f->type) {
	case CHANNEL_HELLO:
		channel_greet(c, f);
		return;
	case CHANNEL_STEP:
		c->user.step(c->user.to, channel_text(f, 0, text, sizeof(text)));
		return;
	case CHANNEL_STARTED:
		c->user.started(c->user.to);
		return;
	case CHANNEL_OUT:
	case CHANNEL_ERR:
		c->stream = f->type == CHANNEL_ERR;
		c->counts[c->stream] += f->len;
		c->chunk = f->payload;
		c->left = f->len;
		return;
	case CHANNEL_TAKEN:
		taken = f->len == 4 ? channel_get32(f->payload) : UINT32_MAX;
		if (taken > c->in_flight)
			channel_is_broken(c, "init took more input than there was");
		else
			c->in_flight -= taken;
		return;
	case CHANNEL_EXIT:
		take_exit(c, f);
		return;
	case CHANNEL_FAULT:
		c->over = true;
		queue_frame(c, CHANNEL_DONE, "", 0);
		c->user.fault(c->user.to, channel_text(f, 0, text, sizeof(text)));
		return;
	case CHANNEL_IN:
	case CHANNEL_DONE:
		break;
	}
	channel_is_broken(c, "init sent a frame of an unknown type");
}

static void drop_used(struct test_channel *c)
{
	c->len -= c->used;
	memmove(c->data, c->data + c->used, c->len);
	c->used = 0;
}

/* Handles the frames that have come, up to one whose bytes cannot be written yet. */
static void take_frames(struct test_channel *c)
{
	size_t at = 0;

	if (!write_stream(c))
		return;
	drop_used(c);
	while (!c->over) {
		struct channel_frame frame;
		enum channel_result result;
		size_t used;

		result = channel_parse(c->data + at, c->len - at, c->begun, &frame, &used);
		if (result == CHANNEL_BROKEN)
			channel_is_broken(c, "the channel's bytes are damaged");
		if (result == CHANNEL_BROKEN)
			break;
		at += used;
		if (result == CHANNEL_MORE)
			break;
		take_frame(c, &frame);
		if (!write_stream(c))
			break;
	}
	c->used = at;
	if (!c->left)
		drop_used(c);
}

/* Reads once. False: nothing has come, or there is no room for it yet. */
static bool receive(struct test_channel *c)
{
	ssize_t n = c->left ? 0 : read(c->fd, c->data + c->len, RECEIVE - c->len);

	if (n <= 0)
		return false;
	c->moved += (uint64_t)n;
	c->len = c->over ? 0 : c->len + (size_t)n; /* what follows the last frame means nothing */
	return true;
}

static void channel_ready(void *to, short revents)
{
	struct test_channel *c = to;

	(void)revents;
	receive(c);
	take_frames(c);
	send_queued(c);
	channel_watch(c);
}

static void channel_out_ready(void *to, short revents)
{
	struct test_channel *c = to;

	(void)revents;
	take_frames(c);
	send_queued(c);
	channel_watch(c);
}

/* --- open and close --- */

int test_channel_open(struct test_channel *c, struct loop *loop, int fd, int in, int out, int error,
		      const struct test_channel_user *user, struct err *err)
{
	*c = (struct test_channel){ .loop = loop,
				    .fd = fd,
				    .offered = -1,
				    .in = in,
				    .outs = { out, error },
				    .user = *user };
	c->data = malloc(RECEIVE);
	c->send = malloc(SEND);
	if (!c->data || !c->send)
		return err_sys(err, ENOMEM, "out of memory for the channel");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, errno, "the channel's socket cannot be made non-blocking");
	return loop_watch(loop, fd, POLLIN, channel_ready, c, err);
}

/* The guest speaks on the offered line, which becomes the channel. */
static void offered_ready(void *to, short revents)
{
	struct test_channel *c = to;

	(void)revents;
	loop_forget(c->loop, c->offered);
	loop_forget(c->loop, c->fd);
	close(c->fd);
	c->fd = c->offered;
	c->offered = -1;
	c->len = 0; /* noise of the first line */
	channel_ready(c, POLLIN);
}

int test_channel_offer(struct test_channel *c, int fd, struct err *err)
{
	c->offered = fd;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, errno, "the channel's socket cannot be made non-blocking");
	return loop_watch(c->loop, fd, POLLIN, offered_ready, c, err);
}

void test_channel_drain(struct test_channel *c, bool (*waits)(void *to))
{
	if (c->fd < 0)
		return;
	do {
		take_frames(c);
		while (c->left && waits(c->user.to)) {
			struct pollfd p = { c->outs[c->stream], POLLOUT, 0 };

			(void)poll(&p, 1, TICK_MS);
			take_frames(c);
		}
	} while (receive(c));
	take_frames(c);
}

void test_channel_close(struct test_channel *c)
{
	if (c->loop) {
		loop_forget(c->loop, c->fd);
		loop_forget(c->loop, c->offered);
		loop_forget(c->loop, c->in);
		loop_forget(c->loop, c->outs[0]);
		loop_forget(c->loop, c->outs[1]);
	}
	if (c->fd >= 0)
		close(c->fd);
	if (c->offered >= 0)
		close(c->offered);
	free(c->data);
	free(c->send);
	*c = (struct test_channel)TEST_CHANNEL_EMPTY;
}
