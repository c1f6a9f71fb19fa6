#include "vmm/test/console.h"

#include "vmm/host/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 4096

/* --- what is kept --- */

static void begin_line(struct test_console *c)
{
	char stamp[32];
	int n = snprintf(stamp, sizeof(stamp), "%9.3f | ", host_clock_since(c->start));

	ends_put(&c->kept, stamp, (size_t)n);
}

static void keep_lines(struct test_console *c, const char *text, size_t n)
{
	while (n) {
		const char *end = memchr(text, '\n', n);
		size_t len = end ? (size_t)(end - text) + 1 : n;

		if (!c->in_line)
			begin_line(c);
		c->in_line = !end;
		ends_put(&c->kept, text, len);
		text += len;
		n -= len;
	}
}

/* --- reading --- */

static bool console_receive(struct test_console *c)
{
	char data[CHUNK];
	ssize_t n = read(c->fd, data, sizeof(data));

	if (n <= 0)
		return false;
	c->bytes += (uint64_t)n;
	keep_lines(c, data, (size_t)n);
	if (c->copy) {
		fwrite(data, 1, (size_t)n, c->copy);
		fflush(c->copy);
	}
	c->user.printed(c->user.to, (const uint8_t *)data, (size_t)n);
	return true;
}

static void test_console_ready(void *to, short revents)
{
	struct test_console *c = to;

	if (!console_receive(c) && (revents & (POLLHUP | POLLERR)))
		loop_forget(c->loop, c->fd);
}

void test_console_drain(struct test_console *c)
{
	while (c->fd >= 0 && console_receive(c))
		;
}

/* --- writing --- */

void test_console_write(const struct test_console *c, FILE *to)
{
	ends_write(&c->kept, to, "\n... ", " bytes are left out ...\n");
	if (c->in_line)
		fputc('\n', to);
}

const char *test_console_tail(const struct test_console *c, char *buf, size_t size)
{
	(void)ends_copy_last(&c->kept, buf, size);
	return buf;
}

/* --- open and close --- */

int test_console_open(struct test_console *c, struct loop *loop, int fd, FILE *copy,
		      const struct test_console_user *user, struct err *err)
{
	*c = (struct test_console){ .loop = loop, .fd = fd, .copy = copy, .user = *user };
	test_console_start(c);
	if (ends_open(&c->kept, TEST_CONSOLE_HEAD, TEST_CONSOLE_TAIL) < 0)
		return err_sys(err, ENOMEM, "out of memory for the guest's console");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, errno, "the console's socket cannot be made non-blocking");
	return loop_watch(loop, fd, POLLIN, test_console_ready, c, err);
}

void test_console_start(struct test_console *c)
{
	c->start = host_clock_ns();
}

void test_console_close(struct test_console *c)
{
	if (c->loop)
		loop_forget(c->loop, c->fd);
	if (c->fd >= 0)
		close(c->fd);
	ends_close(&c->kept);
	*c = (struct test_console)TEST_CONSOLE_EMPTY;
}
