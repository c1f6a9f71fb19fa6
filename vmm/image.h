/*
 * A file that the guest is started from. It stays open, so that a reset reads the same file even if
 * its name means another by then.
 *
 * Host side. The mapping is for parsing; the bytes themselves are read straight into guest RAM.
 */
#ifndef VMM_IMAGE_H
#define VMM_IMAGE_H

#include "vmm/err.h"

#include <stddef.h>
#include <stdint.h>

struct image {
	const char *option; /* "--kernel", for sentences */
	const char *path;   /* borrowed */
	int fd;
	const uint8_t *data; /* the whole file, read-only; NULL if it is empty */
	size_t len;
};

#define IMAGE_EMPTY      \
	{                \
		.fd = -1 \
	}

int image_open(struct image *image, const char *option, const char *path, struct err *err);
/* Reads `len` bytes at `offset` into `to`; a file that has shrunk meanwhile is an error. */
int image_read(const struct image *image, uint64_t offset, void *to, size_t len, struct err *err);
void image_close(struct image *image);

#endif
