/*
 * Moves PCI functions to vfio-pci and back, by driver_override. Writes to sysfs.
 *
 * Called by `straddle bind` and `unbind`. `root` as in sysfs.h.
 */
#ifndef VFIO_BIND_H
#define VFIO_BIND_H

#include "vfio/sysfs.h"

/*
 * Binds the function to vfio-pci. Refuses (-EBUSY, a sentence) a function whose group holds
 * something in use that is not in `names`: a mounted disk, a network interface that is up, the boot
 * display. On failure the function is bound to the driver it had. *was receives that driver's name.
 */
int vfio_bind(const char *root, const char *name, const char *const *names, size_t n, char was[64],
	      struct err *err);
/* Clears driver_override and lets the kernel choose a driver. -EBUSY: a guest has the device. */
int vfio_unbind(const char *root, const char *name, char now[64], struct err *err);

#endif
