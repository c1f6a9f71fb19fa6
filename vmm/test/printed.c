#include "vmm/test/printed.h"

#include "vmm/base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void printed_open(struct printed *p, int fd)
{
	*p = (struct printed){ .fd = fd };
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* Without memory nothing is kept, and the case goes on. */
static bool has_room(struct printed *p)
{
	if (!p->head)
		p->head = malloc(PRINTED_HEAD);
	if (!p->tail)
		p->tail = malloc(PRINTED_TAIL);
	return p->head && p->tail;
}

static void keep_byte(struct printed *p, char byte)
{
	if (p->bytes < PRINTED_HEAD)
		p->head[p->bytes] = byte;
	else
		p->tail[(p->bytes - PRINTED_HEAD) % PRINTED_TAIL] = byte;
	p->bytes++;
}

bool printed_read(struct printed *p)
{
	char buf[16384];
	ssize_t n = read(p->fd, buf, sizeof(buf));

	for (ssize_t i = 0; n > 0 && has_room(p) && i < n; i++)
		keep_byte(p, buf[i]);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void printed_drain(struct printed *p)
{
	uint64_t before;

	do
		before = p->bytes;
	while (printed_read(p) && p->bytes > before);
}

/* The byte at `at` of all that came, which was kept. */
static char byte_at(const struct printed *p, uint64_t at)
{
	return at < PRINTED_HEAD ? p->head[at] : p->tail[(at - PRINTED_HEAD) % PRINTED_TAIL];
}

const char *printed_tail(struct printed *p)
{
	uint64_t n = min_u64(p->bytes, PRINTED_SHOW);
	char *newline;

	if (!n)
		return NULL;
	free(p->shown);
	p->shown = malloc(n + 1);
	if (!p->shown)
		return NULL;
	for (uint64_t i = 0; i < n; i++) {
		char byte = byte_at(p, p->bytes - n + i);

		p->shown[i] = byte ? byte : '?';
	}
	p->shown[n] = '\0';
	newline = n < p->bytes ? strchr(p->shown, '\n') : NULL;
	if (newline && newline[1])
		memmove(p->shown, newline + 1, strlen(newline + 1) + 1);
	return p->shown;
}

void printed_write(const struct printed *p, const char *folder)
{
	uint64_t behind = p->bytes > PRINTED_HEAD ? p->bytes - PRINTED_HEAD : 0;
	uint64_t lost = behind > PRINTED_TAIL ? behind - PRINTED_TAIL : 0;
	char path[PATH_MAX + 16];
	FILE *file;

	snprintf(path, sizeof(path), "%s/output.log", folder);
	file = p->bytes ? fopen(path, "we") : NULL;
	if (!file)
		return;
	fwrite(p->head, 1, min_u64(p->bytes, PRINTED_HEAD), file);
	if (lost)
		fprintf(file, "\n[%" PRIu64 " bytes are left out here]\n", lost);
	for (uint64_t at = PRINTED_HEAD + lost; at < p->bytes; at++)
		fputc(byte_at(p, at), file);
	fclose(file);
}

void printed_close(struct printed *p)
{
	if (p->fd >= 0)
		close(p->fd);
	free(p->head);
	free(p->tail);
	free(p->shown);
	*p = (struct printed){ .fd = -1 };
}
