/*
 * Whether the host uses a PCI function, so that unbinding its driver would lose data, disconnect
 * the host, or hang. Where possible the kernel answers: a disk that has any claim cannot be opened
 * exclusively. Changes nothing.
 */
#ifndef VFIO_IN_USE_H
#define VFIO_IN_USE_H

#include "vfio/sysfs.h"

/*
 * -EBUSY and a sentence that names what is in use and by whom: disks and partitions (also behind
 * the heads of NVMe multipath), network interfaces that are up, the boot display, a graphics device
 * or accelerator that a program has open, virtual functions. Another error if that cannot be found
 * out.
 */
int vfio_check_unused(const char *root, const struct vfio_id *id, struct err *err);
/*
 * -EBUSY and a sentence if the function has virtual functions, which vanish without its driver,
 * even if guests have them.
 */
int vfio_check_no_functions(const char *root, const struct vfio_id *id, struct err *err);

#endif
