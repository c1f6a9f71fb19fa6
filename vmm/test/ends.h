/*
 * The beginning and the end of text that may have no end: a guest that prints for ever must not
 * fill the host's memory.
 */
#ifndef TEST_ENDS_H
#define TEST_ENDS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct ends {
	char *head; /* grows up to head_max bytes */
	char *tail; /* a ring of tail_max bytes, for what follows */
	size_t head_max, tail_max, head_len, head_size;
	uint64_t tail_bytes; /* that went there, so far */
};

/* Makes room for the end at once, and for the beginning as it comes. -ENOMEM. */
int ends_open(struct ends *e, size_t head_max, size_t tail_max);
/* Takes more text. Where memory is lacking the beginning is shorter. */
void ends_put(struct ends *e, const char *text, size_t n);
/* Writes what was kept; where bytes are left out, `before`, their number and `behind`. */
void ends_write(const struct ends *e, FILE *to, const char *before, const char *behind);
/*
 * Copies the last bytes, at most size - 1 and whole lines if there is one, and terminates them.
 * Returns their number.
 */
size_t ends_copy_last(const struct ends *e, char *buf, size_t size);
/* Allowed on a zeroed struct, which this leaves. */
void ends_close(struct ends *e);

#endif
