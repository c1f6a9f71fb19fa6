/*
 * Whether the host uses a PCI function, so that taking it from its driver would lose data, cut the
 * host off, or hang. The kernel is asked where it can answer: a disk that somebody claims cannot be
 * opened exclusively, whoever that is. Changes nothing.
 */
#ifndef VFIO_IN_USE_H
#define VFIO_IN_USE_H

#include "vfio/sysfs.h"

/*
 * -EBUSY and a sentence that names what is in use and by whom: disks and partitions (also behind
 * the heads of NVMe multipath), network interfaces that are up, the boot display, a graphics device
 * or accelerator that a program has open, virtual functions. Another error if that cannot be told.
 */
int vfio_check_unused(const char *root, const struct vfio_id *id, struct err *err);
/* -EBUSY if it has virtual functions: without its driver they go, whoever has them. */
int vfio_check_no_functions(const char *root, const struct vfio_id *id, struct err *err);

#endif
