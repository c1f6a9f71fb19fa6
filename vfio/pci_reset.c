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

/* The descriptors prove that all groups are ours; devices of iommufd prove it themselves. */
static int reset_bus(const struct vfio_pci *dev, const struct iommu *io)
{
	int files[IOMMU_GROUPS_MAX];
	size_t n = io ? io->ops->kvm_files(io, files, ARRAY_SIZE(files)) : 0;
	struct vfio_pci_hot_reset *reset = calloc(1, sizeof(*reset) + sizeof(files));
	int ret = 0;

	if (!reset)
		return -ENOMEM;
	reset->argsz = (uint32_t)(sizeof(*reset) + n * sizeof(reset->group_fds[0]));
	reset->count = (uint32_t)n;
	memcpy(reset->group_fds, files, n * sizeof(reset->group_fds[0]));
	if (ioctl(dev->fd, VFIO_DEVICE_PCI_HOT_RESET, reset) < 0)
		ret = -errno;
	free(reset);
	return ret;
}

static bool can_reset_bus(struct vfio_pci *const *devs, size_t n, const struct vfio_pci *dev)
{
	struct vfio_pci_hot_reset_info *info = dependents(dev);
	bool ours = info;

	for (uint32_t i = 0; ours && i < info->count; i++)
		ours = is_named(devs, n, &info->devices[i]);
	free(info);
	return ours;
}

int vfio_pci_reset_all(struct vfio_pci *const *devs, size_t n, const struct iommu *io,
		       struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct vfio_pci *dev = devs[i];
		int ret = -ENOTTY;

		if (dev->flags & VFIO_DEVICE_FLAGS_RESET)
			ret = ioctl(dev->fd, VFIO_DEVICE_RESET) < 0 ? -errno : 0;
		if (ret < 0 && can_reset_bus(devs, n, dev))
			ret = reset_bus(dev, io);
		if (ret < 0)
			err_set(err, -ret,
				"%s cannot be reset (%s), alone or with its bus: it goes on in the "
				"state it is in",
				dev->name,
				ret == -ENOTTY ? "it has no function reset" : strerror(-ret));
	}
	return 0;
}
