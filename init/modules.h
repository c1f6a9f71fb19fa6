/* The kernel modules that the host has put into the initramfs, loaded in its order. */
#ifndef INIT_MODULES_H
#define INIT_MODULES_H

#include "init/spec.h"

#include <stddef.h>

struct modules {
	unsigned loaded, failed;
	char failures[800]; /* "virtiofs.ko: it is not of this kernel, or compressed, ..." */
};

/* A module that is there already counts as loaded. One that fails is no reason to stop. */
void modules_load(struct modules *m, const struct spec *spec);

#endif
