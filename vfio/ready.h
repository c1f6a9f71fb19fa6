/*
 * What can be known of VFIO on this host before anything is opened: for `check`. `root` as in
 * sysfs.h.
 */
#ifndef VFIO_READY_H
#define VFIO_READY_H

#include "vfio/iommu.h"

struct vfio_host {
	bool remaps_interrupts; /* the IOMMU does; else VFIO refuses devices, unless ... */
	bool unsafe_interrupts; /* ... a module parameter allows them to send any interrupt */
	long long dma_entries;	/* mappings that a container of type1 may have; 0: not known */
	bool posts_interrupts;	/* KVM may deliver them without an exit: AVIC, APICv */
};

void vfio_host_probe(const char *root, struct vfio_host *h);
/*
 * Whether the nodes of a device are there for this user: its group's for type1, its own for
 * iommufd, either for auto. -errno and a sentence.
 */
int vfio_check_nodes(const char *root, const struct vfio_id *id, enum iommu_backend backend,
		     struct err *err);
/*
 * -EPERM and a sentence if the kernel will not attach a device whose group reserves what is in
 * `facts`: memory that the firmware wants mapped one to one.
 */
int vfio_check_direct(const char *root, const struct host_facts *facts, struct err *err);
/* "flr bus"; "none", or "" on kernels that do not say (before 5.15). */
void vfio_reset_methods(const char *root, const struct vfio_id *id, char out[64]);

#endif
