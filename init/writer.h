/*
 * JSON (RFC 8259), written as it comes.
 *
 * A key is NULL for an element of a list. Numbers are exact up to 2^64, of which some readers keep
 * 53 bits. Text that is not UTF-8 gets U+FFFD in place of its wrong bytes.
 */
#ifndef INIT_WRITER_H
#define INIT_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct writer {
	FILE *to;
	unsigned depth;
	bool more; /* the next element follows another */
};

void writer_open(struct writer *w, const char *key, char bracket);
/* The bracket that closes; behind the outermost one a line ends. */
void writer_close(struct writer *w, char bracket);
/* NULL: null. */
void writer_text(struct writer *w, const char *key, const char *text);
void writer_number(struct writer *w, const char *key, uint64_t number);
/* A number with three decimals. */
void writer_thousandths(struct writer *w, const char *key, uint64_t thousandths);
void writer_flag(struct writer *w, const char *key, bool flag);

#endif
