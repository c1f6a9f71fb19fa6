#include "vmm/test/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 4096

/* --- what is kept --- */

/* False: no memory, or the beginning is full. */
static bool keep_in_head(struct test_console *c, const char *text, size_t n)
{
	size_t size = c->head_size;
	char *larger;

	if (c->tail_bytes || c->head_len + n > TEST_CONSOLE_HEAD)
		return false;
	while (size < c->head_len + n)
		size = size ? 2 * size : CHUNK;
	larger = size > c->head_size ? realloc(c->head, size) : c->head;
	if (!larger)
		return false;
	c->head = larger;
	c->head_size = size;
	memcpy(c->head + c->head_len, text, n);
	c->head_len += n;
	return true;
}

static void console_keep(struct test_console *c, const char *text, size_t n)
{
	if (keep_in_head(c, text, n))
		return;
	for (size_t i = 0; i < n; i++)
		c->tail[c->tail_bytes++ % TEST_CONSOLE_TAIL] = text[i];
}

static void begin_line(struct test_console *c)
{
	struct timespec now;
	char stamp[32];
	int n;

	clock_gettime(CLOCK_MONOTONIC, &now);
	n = snprintf(stamp, sizeof(stamp), "%9.3f | ",
		     (double)(now.tv_sec - c->start.tv_sec) +
			     (double)(now.tv_nsec - c->start.tv_nsec) / 1e9);
	console_keep(c, stamp, (size_t)n);
}

static void keep_lines(struct test_console *c, const char *text, size_t n)
{
	while (n) {
		const char *end = memchr(text, '\n', n);
		size_t len = end ? (size_t)(end - text) + 1 : n;

		if (!c->in_line)
			begin_line(c);
		c->in_line = !end;
		console_keep(c, text, len);
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

/* The first byte of the end that is still there. */
static uint64_t tail_start(const struct test_console *c)
{
	return c->tail_bytes > TEST_CONSOLE_TAIL ? c->tail_bytes - TEST_CONSOLE_TAIL : 0;
}

void test_console_write(const struct test_console *c, FILE *to)
{
	uint64_t start = tail_start(c);

	if (c->head_len)
		fwrite(c->head, 1, c->head_len, to);
	if (start)
		fprintf(to, "\n... %llu bytes are left out ...\n", (unsigned long long)start);
	for (uint64_t i = start; i < c->tail_bytes; i++)
		fputc(c->tail[i % TEST_CONSOLE_TAIL], to);
	if (c->in_line)
		fputc('\n', to);
}

/* Byte `i` from the end, counting from 1. */
static char from_end(const struct test_console *c, uint64_t i)
{
	return i <= c->tail_bytes ? c->tail[(c->tail_bytes - i) % TEST_CONSOLE_TAIL]
				  : c->head[c->head_len - (size_t)(i - c->tail_bytes)];
}

const char *test_console_tail(const struct test_console *c, char *buf, size_t size)
{
	uint64_t all = tail_start(c) ? TEST_CONSOLE_TAIL : c->head_len + c->tail_bytes;
	size_t n = all < size - 1 ? (size_t)all : size - 1;
	char *line;

	for (size_t i = 0; i < n; i++)
		buf[i] = from_end(c, n - i);
	buf[n] = '\0';
	line = n < all ? memchr(buf, '\n', n) : NULL;
	if (line && line[1])
		memmove(buf, line + 1, strlen(line));
	return buf;
}

/* --- open and close --- */

int test_console_open(struct test_console *c, struct loop *loop, int fd, FILE *copy,
		      const struct test_console_user *user, struct err *err)
{
	*c = (struct test_console){ .loop = loop, .fd = fd, .copy = copy, .user = *user };
	test_console_start(c);
	c->tail = malloc(TEST_CONSOLE_TAIL);
	if (!c->tail)
		return err_sys(err, ENOMEM, "out of memory for the guest's console");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, errno, "the console's socket cannot be made non-blocking");
	return loop_watch(loop, fd, POLLIN, test_console_ready, c, err);
}

void test_console_start(struct test_console *c)
{
	clock_gettime(CLOCK_MONOTONIC, &c->start);
}

void test_console_close(struct test_console *c)
{
	if (c->loop)
		loop_forget(c->loop, c->fd);
	if (c->fd >= 0)
		close(c->fd);
	free(c->head);
	free(c->tail);
	*c = (struct test_console)TEST_CONSOLE_EMPTY;
}
