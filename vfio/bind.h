/*
 * Moves PCI functions to vfio-pci and back, by driver_override. Writes to sysfs, and notes a
 * driver_override of the host's own in /run/straddle/driver_override/NAME meanwhile.
 *
 * Called by `straddle bind` and `unbind`. `root` as in sysfs.h.
 */
#ifndef VFIO_BIND_H
#define VFIO_BIND_H

#include "vfio/sysfs.h"

/* What a function had before and has now: names of drivers; "" is none. */
struct vfio_move {
	char was[64], now[64];
	char override[64]; /* the driver_override that it had */
};

/*
 * Whether a function may be bound to vfio-pci. Refuses (-EBUSY, a sentence) one that is in use
 * (vfio/in_use.h), and one whose group has a member that is bound to another driver and not in
 * `ids`. 0 for one that a VFIO driver has already.
 */
int vfio_bind_check(const char *root, const struct vfio_id *id, const struct vfio_id *ids, size_t n,
		    struct err *err);
/* Binds a function that may be. On failure it is as before. */
int vfio_bind(const char *root, const struct vfio_id *id, struct vfio_move *move, struct err *err);
/* Takes a vfio_bind back, as well as it can be: driver_override and driver are as before. */
void vfio_bind_undo(const char *root, const struct vfio_id *id, struct vfio_move *move);
/*
 * Gives driver_override back what it had before vfio_bind, and lets the kernel choose a driver. If
 * a guest has the device, the kernel waits until the guest has let go of it. -EBUSY and a sentence
 * for one that has virtual functions.
 */
int vfio_unbind(const char *root, const struct vfio_id *id, struct vfio_move *move,
		struct err *err);

#endif
