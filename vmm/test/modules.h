/*
 * Puts the modules that a guest's kernel needs into its initramfs, unpacked.
 */
#ifndef TEST_MODULES_H
#define TEST_MODULES_H

#include "vmm/test/cpio.h"
#include "vmm/test/module_index.h"

struct module_wanted {
	const char *name; /* "virtio_blk"; '-' and '_' are the same */
	enum module_where where;
};

/* "straddle/modules/NNN-NAME.ko" */
#define MODULES_PATH_SIZE (sizeof("/straddle/modules/NNN-.ko") + MODULE_NAME_MAX)

struct modules {
	unsigned n;
	char (*paths)[MODULES_PATH_SIZE]; /* in the guest, absolute; the first is loaded first */
	/* False: the folder has no modules.builtin, so MODULE_NOWHERE may mean MODULE_IN_KERNEL. */
	bool knows_built_in;
};

#define MODULES_EMPTY   \
	{               \
		.n = 0, \
	}

/*
 * Appends the modules of `folder` (/lib/modules/RELEASE) to the archive that are `wanted`, and
 * those that they need, and tells for each wanted one where the kernel has it. A kernel that does
 * not have one is no error. Returns 0, or a negative errno and a sentence; *m is then empty, and
 * the archive of no use.
 */
int modules_pack(struct modules *m, struct cpio *archive, const char *folder,
		 struct module_wanted *wanted, unsigned nr_wanted, struct err *err);
void modules_free(struct modules *m);

#endif
