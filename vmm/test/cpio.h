/*
 * Writes a cpio archive as Linux takes it for an initramfs: newc, format "070701"
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * Everything belongs to root and has no time, so that equal contents make equal archives. Linux
 * makes no directory of its own accord: one is added before what lies in it. A directory that is
 * there already, because an earlier archive has it, gets the new mode and keeps its contents.
 */
#ifndef TEST_CPIO_H
#define TEST_CPIO_H

#include "vmm/base/err.h"
#include "vmm/test/buffer.h"

struct cpio {
	struct buffer out; /* the archive; what is in it after an error is of no use */
	uint32_t inode;	   /* of the last entry */
};

#define CPIO_EMPTY                   \
	{                            \
		.out = BUFFER_EMPTY, \
	}

/* Paths begin without a slash: "dev/console". Permissions are those of chmod(2). */
void cpio_directory(struct cpio *c, const char *path, unsigned permissions);
void cpio_file(struct cpio *c, const char *path, unsigned permissions, const void *data,
	       size_t len);
void cpio_character_device(struct cpio *c, const char *path, unsigned permissions,
			   unsigned major_number, unsigned minor_number);

/*
 * Ends the archive, at a multiple of 4 bytes, so that another may follow. Returns 0, or a negative
 * errno and a sentence if any entry since the start did not fit.
 */
int cpio_end(struct cpio *c, struct err *err);
void cpio_free(struct cpio *c);

#endif
