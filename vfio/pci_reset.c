/*
 * Resets of passed-through functions: each by itself where it can, else together with its bus.
 */
#include "vfio/pci_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define DEPENDENT_MAX 256

static bool is_named(struct vfio_pci *const *devs, size_t n,
		     const struct vfio_pci_dependent_device *d)
{
	char name[VFIO_NAME_MAX];

	snprintf(name, sizeof(name), "%04x:%02x:%02x.%x", d->segment, d->bus, d->devfn >> 3,
		 d->devfn & 7);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(devs[i]->name, name))
			return true;
	return false;
}

/* What a reset of the bus would reset, too. The caller frees it; NULL: there is no such reset. */
static struct vfio_pci_hot_reset_info *dependents(const struct vfio_pci *dev)
{
	size_t size = sizeof(struct vfio_pci_hot_reset_info) +
		      DEPENDENT_MAX * sizeof(struct vfio_pci_dependent_device);
	struct vfio_pci_hot_reset_info *info = calloc(1, size);

	if (!info)
		return NULL;
	info->argsz = (uint32_t)size;
	if (ioctl(dev->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info) < 0 ||
	    info->count > DEPENDENT_MAX) {
		free(info);
		return NULL;
	}
	return info;
}

/*
 * The descriptors prove that the groups are ours; the kernel takes no more of them than the reset
 * has devices (vfio_pci_ioctl_pci_hot_reset_groups()). Devices of iommufd prove it themselves.
 */
static size_t groups_of(const struct iommu *io, const struct vfio_pci_hot_reset_info *info,
			int32_t files[IOMMU_GROUPS_MAX])
{
	int all[IOMMU_GROUPS_MAX];
	size_t n = 0;

	if (!io || !io->ops->kvm_files(io, all, ARRAY_SIZE(all)))
		return 0;
	for (unsigned g = 0; g < io->nr_groups; g++) {
		bool touched = false;

		for (uint32_t i = 0; i < info->count; i++)
			touched |= info->devices[i].group_id == io->groups[g].number;
		if (touched)
			files[n++] = io->groups[g].fd;
	}
	return n;
}

static int reset_bus(const struct vfio_pci *dev, const struct iommu *io,
		     const struct vfio_pci_hot_reset_info *info)
{
	struct vfio_pci_hot_reset *reset =
		calloc(1, sizeof(*reset) + IOMMU_GROUPS_MAX * sizeof(reset->group_fds[0]));
	int ret = 0;

	if (!reset)
		return -ENOMEM;
	reset->count = (uint32_t)groups_of(io, info, reset->group_fds);
	reset->argsz = (uint32_t)(sizeof(*reset) + reset->count * sizeof(reset->group_fds[0]));
	if (ioctl(dev->fd, VFIO_DEVICE_PCI_HOT_RESET, reset) < 0)
		ret = -errno;
	free(reset);
	return ret;
}

/* -ENOTTY: there is no such reset, or it would reset what is not among `devs`. */
static int try_bus(struct vfio_pci *const *devs, size_t n, const struct vfio_pci *dev,
		   const struct iommu *io)
{
	struct vfio_pci_hot_reset_info *info = dependents(dev);
	bool ours = info;
	int ret = -ENOTTY;

	for (uint32_t i = 0; ours && i < info->count; i++)
		ours = is_named(devs, n, &info->devices[i]);
	if (ours)
		ret = reset_bus(dev, io, info);
	free(info);
	return ret;
}

int vfio_pci_reset_all(struct vfio_pci *const *devs, size_t n, const struct iommu *io,
		       struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct vfio_pci *dev = devs[i];
		int ret = -ENOTTY;

		if (dev->flags & VFIO_DEVICE_FLAGS_RESET)
			ret = ioctl(dev->fd, VFIO_DEVICE_RESET) < 0 ? -errno : 0;
		if (ret < 0) {
			int bus = try_bus(devs, n, dev, io);

			ret = bus == -ENOTTY ? ret : bus;
		}
		if (ret < 0)
			err_set(err, -ret,
				"%s cannot be reset (%s), alone or with its bus: it goes on in the "
				"state it is in",
				dev->name,
				ret == -ENOTTY ? "it has no function reset" : strerror(-ret));
	}
	return 0;
}
