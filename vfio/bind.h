/*
 * Moves PCI functions to vfio-pci and back, by driver_override. Writes to sysfs.
 *
 * Called by `straddle bind` and `unbind`. `root` as in sysfs.h.
 */
#ifndef VFIO_BIND_H
#define VFIO_BIND_H

#include "vfio/sysfs.h"

/*
 * Binds a function to vfio-pci. Refuses (-EBUSY, a sentence) one that is in use: a mounted or
 * otherwise used disk, a network interface that is up, the boot display; and one whose group has a
 * member that is bound to another driver and not in `ids`. On failure it is bound as before. `was`
 * and `now` receive the names of the drivers; "" is none.
 */
int vfio_bind(const char *root, const struct vfio_id *id, const struct vfio_id *ids, size_t n,
	      char was[64], char now[64], struct err *err);
/*
 * Clears driver_override and lets the kernel choose a driver. If a guest has the device, the kernel
 * waits until the guest has let go of it.
 */
int vfio_unbind(const char *root, const struct vfio_id *id, char was[64], char now[64],
		struct err *err);

#endif
