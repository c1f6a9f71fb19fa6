/*
 * A file that the guest is started from. It stays open, so that a reset reads the same file even if
 * another file has its name by then.
 *
 * Host side. The mapping is for parsing; the bytes themselves are read straight into guest RAM.
 */
#ifndef HOST_IMAGE_H
#define HOST_IMAGE_H

#include "vmm/base/err.h"

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

/*
 * Opens a regular file, /dev/null as an empty file, or a pipe, whose bytes are copied to a file in
 * memory: 4 GiB at most, and the call returns when the writer closes the pipe. Called before any
 * thread is started. Returns 0, or a negative errno and a sentence; *image is then empty. `path` is
 * borrowed.
 */
int image_open(struct image *image, const char *option, const char *path, struct err *err);
/* Reads `len` bytes at `offset` into `to`; -EIO if the file has shrunk meanwhile. */
int image_read(const struct image *image, uint64_t offset, void *to, size_t len, struct err *err);
void image_close(struct image *image);

#define IMAGES_MAX 16

/*
 * Several files in a row, each but the first at the next multiple of 4 bytes, as Linux wants
 * archives that follow each other in one initrd.
 */
struct images {
	struct image parts[IMAGES_MAX];
	unsigned n;
	uint64_t len; /* bytes from the first byte of the first to the last of the last */
};

#define IMAGES_EMPTY   \
	{              \
		.n = 0 \
	}

/* Opens `n` files, IMAGES_MAX at most; as image_open(). */
int images_open(struct images *images, const char *option, char *const *paths, unsigned n,
		struct err *err);
/* Reads `len` bytes at `offset` of the row into `to`; zeroes lie between two files. */
int images_read(const struct images *images, uint64_t offset, void *to, size_t len,
		struct err *err);
void images_close(struct images *images);

#endif
