/*
 * The initramfs of straddle's init, which is unpacked behind the user's own: init itself, what it
 * is to do (init/spec.h), and the kernel's modules that this needs.
 */
#ifndef TEST_INITRAMFS_H
#define TEST_INITRAMFS_H

#include "vmm/config/config.h"

struct test_initramfs {
	int fd;	       /* of the archive, a file in memory; -1: none */
	char path[32]; /* its name, for --initrd */
};

#define TEST_INITRAMFS_EMPTY \
	{                    \
		.fd = -1     \
	}

/*
 * Makes the archive. `root` is init's word for the root (test_root_spec()), `read_only`: without a
 * writable layer; `input`: the command gets standard input. -EINVAL: a folder of modules that
 * cannot be read.
 */
int test_initramfs_make(struct test_initramfs *i, const struct config *config, const char *root,
			bool read_only, bool input, struct err *err);
void test_initramfs_close(struct test_initramfs *i);

#endif
