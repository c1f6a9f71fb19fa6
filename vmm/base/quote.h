/*
 * Sizes and words of a user as text, for sentences and tables.
 *
 * PURE. Each returns a text that lives as long as the block it is called in:
 *
 *	err_set(err, EINVAL, "'%s' is unknown here", SHOWN(word));
 */
#ifndef BASE_QUOTE_H
#define BASE_QUOTE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct quoted {
	char text[64];
};

/* A user's text, fit for one line of a terminal: short, printable ASCII. */
const char *quote_text(struct quoted *q, const char *text, size_t len);
#define SHOWN(string)	    quote_text(&(struct quoted){ "" }, string, strlen(string))
#define SHOWN_N(bytes, len) quote_text(&(struct quoted){ "" }, bytes, len)

/* "1536M": in the largest unit that divides the size, as options accept it. */
const char *quote_option_size(struct quoted *q, uint64_t bytes);
#define SHOWN_SIZE(bytes) quote_option_size(&(struct quoted){ "" }, bytes)

/* "1536 MiB": the same for reading. */
const char *quote_size(struct quoted *q, uint64_t bytes);
#define QUOTED_SIZE(bytes) quote_size(&(struct quoted){ "" }, bytes)

/* "62 MiB", rounded up, or "9 KiB" if it is less than 10 MiB. */
const char *quote_about(struct quoted *q, uint64_t bytes);
#define QUOTED_ABOUT(bytes) quote_about(&(struct quoted){ "" }, bytes)

#endif
