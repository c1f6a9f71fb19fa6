/*
 * Recognises the kind of a file by its first bytes, for sentences about files of the wrong kind.
 * PURE.
 */
#ifndef FIRMWARE_KIND_H
#define FIRMWARE_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind_class {
	KIND_KERNEL,  /* a kernel, of x86 or of another machine */
	KIND_ARCHIVE, /* may be an initrd */
	KIND_OTHER,
};

struct kind {
	const char *what; /* "a gzip archive" */
	enum kind_class class;
	/*
	 * The end of a sentence: how to unpack a kernel that may be inside; "" if there can be
	 * none.
	 */
	const char *unpack;
};

/* The kind of `len` bytes at `file`, or NULL if nothing is recognised. */
const struct kind *kind_of(const uint8_t *file, size_t len);

#endif
