/*
 * Bytes in memory that grow as they are written.
 *
 * A buffer that cannot grow takes nothing more and remembers why, so its user checks `error` once,
 * at the end.
 */
#ifndef TEST_BUFFER_H
#define TEST_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *data;
	size_t len, cap;
	int error; /* 0 or a negative errno */
};

#define BUFFER_EMPTY      \
	{                 \
		.len = 0, \
	}

/*
 * Makes room for `n` more bytes and returns where they begin; the caller adds to `len` what it has
 * written there. NULL: there is no room, and `error` says why.
 */
uint8_t *buffer_room(struct buffer *b, size_t n);
void buffer_put(struct buffer *b, const void *from, size_t n);
void buffer_free(struct buffer *b);

#endif
