/*
 * What sysfs and procfs say of VFIO on this host, before anything is opened: for `check`. `root` as
 * in sysfs.h.
 */
#ifndef VFIO_READY_H
#define VFIO_READY_H

#include "vfio/iommu.h"

struct vfio_host {
	bool remaps_interrupts; /* the IOMMU remaps interrupts; else VFIO refuses devices, unless
				   unsafe_interrupts */
	bool unsafe_interrupts; /* a module parameter allows devices to send any interrupt */
	long long dma_entries;	/* mappings that a container of type1 may have; 0: not known */
	bool posts_interrupts;	/* KVM may deliver them without an exit: AVIC, APICv */
};

void vfio_host_probe(const char *root, struct vfio_host *h);
/*
 * Whether this user may open the node of a device: its group's for type1, its own for iommufd,
 * either for auto. -errno and a sentence.
 */
int vfio_check_nodes(const char *root, const struct vfio_id *id, enum iommu_backend backend,
		     struct err *err);
/*
 * -EPERM and a sentence if the kernel does not attach a device whose group has the reserved ranges
 * of `facts`: one of them is memory that the firmware wants mapped one to one.
 */
int vfio_check_direct(const char *root, const struct host_facts *facts, struct err *err);
/*
 * Writes the reset methods: "flr bus", "none", or "" on kernels before 5.15, which do not list
 * them.
 */
void vfio_reset_methods(const char *root, const struct vfio_id *id, char out[64]);

#endif
