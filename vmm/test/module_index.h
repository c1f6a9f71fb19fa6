/*
 * Finds in the texts that depmod writes which modules a kernel needs for a module, and in which
 * order they load.
 *
 * PURE. The texts are modules.dep, modules.builtin, modules.softdep and modules.alias of one folder
 * (kmod, tools/depmod.c). They are untrusted: a path that leaves the folder is refused, and
 * so is a line that makes no sense. In names of modules '-' and '_' are the same.
 */
#ifndef TEST_MODULE_INDEX_H
#define TEST_MODULE_INDEX_H

#include "vmm/base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Characters of a name: Linux' MODULE_NAME_LEN is 64 - sizeof(long), with a NUL. */
#define MODULE_NAME_MAX 55
/* Characters of a path from the folder on. */
#define MODULE_PATH_MAX 1023
/* Modules of one list; a graphics driver takes some 50. */
#define MODULES_MAX 256

/* The files of struct module_index. */
enum module_text {
	MODULE_TEXT_DEP,
	MODULE_TEXT_BUILTIN,
	MODULE_TEXT_SOFTDEP,
	MODULE_TEXT_ALIAS,
	MODULE_TEXTS,
};

struct module_index {
	const char *folder; /* as the user named it, without a slash at its end */
	struct {
		const char *data;
		size_t len; /* 0: there is no such file */
	} texts[MODULE_TEXTS];
};

enum module_where {
	MODULE_NOWHERE,	  /* the kernel does not have it */
	MODULE_IN_KERNEL, /* built in */
	MODULE_IN_FILE,
};

/* One module to load. Texts are borrowed from the index, and end by their lengths. */
struct module_file {
	const char *path; /* from the folder on: "kernel/fs/ext4/ext4.ko" */
	size_t path_len;
	const char *name; /* "ext4" */
	size_t name_len;
};

struct module_list {
	struct module_file files[MODULES_MAX]; /* the first is loaded first */
	unsigned n;
	/* Modules whose needs are being added; `soft`: the one before it can do without. */
	struct {
		struct module_file file;
		bool soft;
	} open[MODULES_MAX];
	unsigned nr_open;
};

/* "modules.dep" */
const char *module_text_name(enum module_text t);

/* Looks for what a torn or damaged text has in any of its lines: -EINVAL and a sentence. */
int module_index_check(const struct module_index *x, struct err *err);

/*
 * Appends module `name`, a module's own name or an alias without wildcards, to the list, behind
 * what it needs, as far as it is not there yet. What the kernel has built in, or does not have at
 * all, adds nothing; *where says which. Returns 0, or -EINVAL, -ELOOP or -E2BIG and a sentence; the
 * list is then of no use.
 *
 * modprobe(8) does the same: modules before a module are those of its `pre:` soft dependencies, all
 * that an alias stands for, and may be missing. One that needs the module itself is left out.
 */
int module_list_add(struct module_list *list, const struct module_index *x, const char *name,
		    enum module_where *where, struct err *err);

#endif
