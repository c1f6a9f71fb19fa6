#include "vmm/test/ends.h"

#include "vmm/base/span.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 4096

int ends_open(struct ends *e, size_t head_max, size_t tail_max)
{
	*e = (struct ends){ .head_max = head_max, .tail_max = tail_max };
	e->tail = malloc(tail_max);
	return e->tail ? 0 : -ENOMEM;
}

/* Whether the beginning has room for so much now. */
static bool grow_head(struct ends *e, size_t len)
{
	size_t size = e->head_size ? e->head_size : FIRST_SIZE;
	char *larger;

	if (len <= e->head_size)
		return true;
	while (size < len)
		size *= 2;
	larger = realloc(e->head, size);
	if (!larger)
		return false;
	e->head = larger;
	e->head_size = size;
	return true;
}

void ends_put(struct ends *e, const char *text, size_t n)
{
	size_t fits = e->tail_bytes ? 0 : min_u64(n, e->head_max - e->head_len);

	if (fits && grow_head(e, e->head_len + fits)) {
		memcpy(e->head + e->head_len, text, fits);
		e->head_len += fits;
	} else {
		fits = 0;
	}
	for (size_t i = fits; i < n; i++)
		e->tail[e->tail_bytes++ % e->tail_max] = text[i];
}

/* Bytes behind the beginning that were overwritten. */
static uint64_t lost(const struct ends *e)
{
	return e->tail_bytes > e->tail_max ? e->tail_bytes - e->tail_max : 0;
}

/* A byte by its place in the whole text; it was kept. */
static char byte_at(const struct ends *e, uint64_t at)
{
	return at < e->head_len ? e->head[at] : e->tail[(at - e->head_len) % e->tail_max];
}

void ends_write(const struct ends *e, FILE *to, const char *before, const char *behind)
{
	uint64_t gap = lost(e);

	if (e->head_len)
		fwrite(e->head, 1, e->head_len, to);
	if (gap)
		fprintf(to, "%s%" PRIu64 "%s", before, gap, behind);
	for (uint64_t at = e->head_len + gap; at < e->head_len + e->tail_bytes; at++)
		fputc(byte_at(e, at), to);
}

size_t ends_copy_last(const struct ends *e, char *buf, size_t size)
{
	uint64_t end = e->head_len + e->tail_bytes, whole = lost(e) ? e->tail_max : end;
	size_t n = min_u64(whole, size - 1);
	char *line;

	for (size_t i = 0; i < n; i++)
		buf[i] = byte_at(e, end - n + i);
	buf[n] = '\0';
	line = n < whole ? memchr(buf, '\n', n) : NULL;
	if (!line || line + 1 == buf + n)
		return n;
	n -= (size_t)(line + 1 - buf);
	memmove(buf, line + 1, n + 1);
	return n;
}

void ends_close(struct ends *e)
{
	free(e->head);
	free(e->tail);
	*e = (struct ends){ .head = NULL };
}
