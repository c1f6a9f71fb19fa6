#include "vmm/test/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_LEAST 4096

uint8_t *buffer_room(struct buffer *b, size_t n)
{
	size_t cap = b->cap < BUFFER_LEAST ? BUFFER_LEAST : b->cap;
	uint8_t *data;

	if (b->error)
		return NULL;
	if (b->data && n <= b->cap - b->len)
		return b->data + b->len;
	while (n > cap - b->len) {
		if (cap > SIZE_MAX / 2) {
			b->error = -ENOMEM;
			return NULL;
		}
		cap *= 2;
	}
	data = realloc(b->data, cap);
	if (!data) {
		b->error = -ENOMEM;
		return NULL;
	}
	b->data = data;
	b->cap = cap;
	return data + b->len;
}

void buffer_put(struct buffer *b, const void *from, size_t n)
{
	uint8_t *to = buffer_room(b, n);

	if (!to || !n)
		return;
	memcpy(to, from, n);
	b->len += n;
}

void buffer_free(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer)BUFFER_EMPTY;
}
