/*
 * File systems: those that every guest has, and the root that the host wants.
 */
#ifndef INIT_ROOT_H
#define INIT_ROOT_H

#include "init/spec.h"
#include "init/wire.h"

/* Mounts /dev, /proc, /sys and the like in the initramfs, and makes /dev/console stdio. */
void root_early(const char *serial);
/* Makes the root of the spec, in which the command will run; tells what it lacks by CHANNEL_STEP.
 */
int root_make(const struct spec *spec, struct wire *w, struct err *err);

/* The file systems that a disk may hold as root. */
enum root_disk {
	ROOT_DISK_EXT,
	ROOT_DISK_XFS,
	ROOT_DISK_BTRFS,
	ROOT_DISK_SQUASHFS,
	ROOT_DISK_EROFS,
	ROOT_DISK_VFAT,
	ROOT_DISK_PARTITIONS, /* none: a partition table */
	ROOT_DISK_UNKNOWN,
};

#define ROOT_DISK_HEAD (68u << 10) /* the bytes of a disk that tell */

/* PURE. By the magic numbers of the first `len` bytes. */
enum root_disk root_disk_kind(const uint8_t *head, size_t len);

#endif
