/*
 * The kinds of PCI devices that a guest can have: one line each.
 *
 * PURE. The plan gives every device its kind and its index among those of the kind;
 * machine/virtio/kinds.c has what the machine does with each virtio kind.
 */
#ifndef BASE_DEVICE_KIND_H
#define BASE_DEVICE_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* X(enumerator, name, whether there can be several, so that names have numbers). In the order of
 * slots on bus 0. */
#define DEVICE_KIND_LIST(X)                        \
	X(PASSED_THROUGH, "passed-through", false) \
	X(DISK, "disk", true)                      \
	X(NET, "net", true)                        \
	X(FS, "fs", true)                          \
	X(PMEM, "pmem", true)                      \
	X(CONSOLE, "console", false)               \
	X(RNG, "rng", false)                       \
	X(BALLOON, "balloon", false)               \
	X(VSOCK, "vsock", false)                   \
	X(CLOCK, "clock", false)                   \
	X(WATCHDOG, "watchdog", false)

#define DEVICE_ENUMERATOR(kind, name, numbered) DEVICE_##kind,
enum device_kind { DEVICE_KIND_LIST(DEVICE_ENUMERATOR) DEVICE_KINDS };
#undef DEVICE_ENUMERATOR

/* The number of devices of each kind. */
struct device_counts {
	unsigned of[DEVICE_KINDS];
};

/* The name in plan files and of the option that asks for such a device, such as "disk". */
const char *device_kind_name(enum device_kind kind);
/* Whether the devices of this kind are numbered: disk0, disk1. */
bool device_kind_is_numbered(enum device_kind kind);
/* Finds the kind of that name. False: no kind has it. */
bool device_kind_find(const char *name, enum device_kind *kind);

#endif
