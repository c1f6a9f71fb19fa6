/*
 * Moves PCI functions to vfio-pci and back, by driver_override. Writes to sysfs, and keeps a
 * driver_override of the host's own in /run/straddle/driver_override/NAME meanwhile.
 *
 * Called by `straddle bind` and `unbind`. `root` as in sysfs.h.
 */
#ifndef VFIO_BIND_H
#define VFIO_BIND_H

#include "vfio/sysfs.h"

/* A function's driver before and after; "" is none. */
struct vfio_move {
	char was[64], now[64];
	char override[64]; /* driver_override before */
};

/*
 * Whether a function may be bound to vfio-pci. -EBUSY and a sentence if it is in use
 * (vfio/in_use.h), or if its group has a member that is bound to another driver and not in `ids`. 0
 * if the function is bound to a VFIO driver already.
 */
int vfio_bind_check(const char *root, const struct vfio_id *id, const struct vfio_id *ids, size_t n,
		    struct err *err);
/* Binds a function that passed vfio_bind_check(). On failure its driver is as before. */
int vfio_bind(const char *root, const struct vfio_id *id, struct vfio_move *move, struct err *err);
/* Undoes a vfio_bind(): restores driver_override and driver. Errors are ignored. */
void vfio_bind_undo(const char *root, const struct vfio_id *id, struct vfio_move *move);
/*
 * Restores driver_override as it was before vfio_bind(), and lets the kernel choose a driver. If a
 * guest has the device, the kernel waits until the guest has released it. -EBUSY and a sentence if
 * the function has virtual functions.
 */
int vfio_unbind(const char *root, const struct vfio_id *id, struct vfio_move *move,
		struct err *err);

#endif
