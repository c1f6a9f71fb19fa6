/*
 * What the host wants of this guest: /straddle/spec of the initramfs, which vmm/test writes.
 *
 * PURE. The file is a sequence of strings KEY=VALUE, each with its NUL, in any order:
 *
 *   module=PATH      a kernel module to load; repeated, in the order of loading
 *   port=N           the host listens for the channel on this vsock port; without it only on serial
 *   serial=ttyS1     the serial line of the channel, a name in /dev
 *   root=none        the initramfs stays the root
 *   root=fs:TAG      the root is a virtio file system
 *   root=disk:SERIAL the root is the disk with this serial number
 *   layer=off        the root stays read-only; else a memory file system lies over it
 *   dir=PATH         the command's working directory
 *   env=NAME=VALUE   repeated
 *   arg=WORD         repeated; the first is the command, and a built-in one begins with '@'
 *   stdin=on         the command gets standard input; else it is /dev/null
 *   hostname=NAME
 */
#ifndef INIT_SPEC_H
#define INIT_SPEC_H

#include "vmm/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum spec_root {
	SPEC_ROOT_NONE,
	SPEC_ROOT_FS,
	SPEC_ROOT_DISK,
};

/* Strings point into the text that was parsed. */
struct spec {
	const char *text;
	size_t len;
	uint32_t port;	    /* 0: none */
	const char *serial; /* NULL: none */
	enum spec_root root;
	const char *root_name; /* the tag or the serial number */
	bool no_layer;
	const char *dir;      /* NULL: / */
	const char *hostname; /* NULL: the kernel's */
	const char *command;  /* the first arg */
	unsigned nr_args;
	bool input;
};

/* `text` is borrowed for as long as the result is used. */
int spec_parse(struct spec *s, const char *text, size_t len, struct err *err);

/*
 * The value of the next string with this key ("module", "env", "arg") behind `previous`, which is
 * NULL at first. NULL: there are no more.
 */
const char *spec_next(const struct spec *s, const char *key, const char *previous);

#endif
