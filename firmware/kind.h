/*
 * What a file looks like, by its first bytes: for sentences about files that are not what they
 * should be. PURE.
 */
#ifndef FIRMWARE_KIND_H
#define FIRMWARE_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind_class {
	KIND_KERNEL,  /* boots, here or elsewhere */
	KIND_ARCHIVE, /* may well be an initrd */
	KIND_OTHER,
};

struct kind {
	const char *what; /* "a gzip archive" */
	enum kind_class class;
	/* To end a sentence: how to get a kernel out, if one may be in there; "" if not. */
	const char *unpack;
};

/* The kind of `len` bytes at `file`, or NULL if nothing is recognised. */
const struct kind *kind_of(const uint8_t *file, size_t len);

#endif
