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

static bool is_device(const struct vfio_pci *dev, const struct vfio_pci_dependent_device *d)
{
	char name[VFIO_NAME_MAX];

	/* The kernel's struct has only 16 bits of the domain. */
	snprintf(name, sizeof(name), "%04x:%02x:%02x.%x", d->segment, d->bus, d->devfn >> 3,
		 d->devfn & 7);
	return !strcmp(dev->name, name) ||
	       (strlen(dev->name) > strlen(name) &&
		!strcmp(dev->name + strlen(dev->name) - strlen(name), name));
}

static bool is_affected(const struct vfio_pci *dev, const struct vfio_pci_hot_reset_info *info)
{
	for (uint32_t i = 0; i < info->count; i++)
		if (is_device(dev, &info->devices[i]))
			return true;
	return false;
}

/*
 * Lists the functions that a reset of the bus affects. The caller frees the list; NULL: the bus
 * cannot be reset.
 */
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
 * Lists the descriptors of the groups, which prove to the kernel that this process owns them; the
 * kernel accepts at most as many as the reset has devices (vfio_pci_ioctl_pci_hot_reset_groups()).
 * With iommufd none are needed.
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

/*
 * Whether the kernel allows the reset: this process must own all functions that it affects, passed
 * through or not. With groups their descriptors prove that; with iommufd the kernel sets a flag
 * (Linux 6.6, vfio_pci_ioctl_get_pci_hot_reset_info()).
 */
static bool vfio_reset_is_ours(const struct iommu *io, const struct vfio_pci_hot_reset_info *info)
{
	if (info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID)
		return info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	for (uint32_t i = 0; i < info->count; i++)
		if (!io || iommu_group_file(io, info->devices[i].group_id) < 0)
			return false;
	return true;
}

/* Resets devs[i], and marks in done[] all of `devs` that the reset affected. */
static int reset_one(struct vfio_pci *const *devs, size_t n, size_t i, const struct iommu *io,
		     bool *done)
{
	struct vfio_pci_hot_reset_info *info;
	struct vfio_pci *dev = devs[i];
	int ret = -ENOTTY;

	if (dev->flags & VFIO_DEVICE_FLAGS_RESET)
		ret = ioctl(dev->fd, VFIO_DEVICE_RESET) < 0 ? -errno : 0;
	if (ret == 0)
		return 0;
	info = dependents(dev);
	if (info && vfio_reset_is_ours(io, info)) {
		ret = reset_bus(dev, io, info);
		for (size_t j = 0; ret == 0 && j < n; j++)
			done[j] |= is_affected(devs[j], info);
	}
	free(info);
	return ret;
}

static void cannot_reset(const struct vfio_pci *dev, int ret, struct err *err)
{
	err_set(err, -ret,
		"%s cannot be reset (%s), alone or with its bus: it goes on in the state it is in",
		dev->name, ret == -ENOTTY ? "it has no function reset" : strerror(-ret));
}

int vfio_pci_reset_all(struct vfio_pci *const *devs, size_t n, const struct iommu *io,
		       struct err *err)
{
	bool done[PCI_DEVICES_MAX] = { false };

	for (size_t i = 0; i < n; i++) {
		int ret = done[i] ? 0 : reset_one(devs, n, i, io, done);

		if (ret < 0)
			cannot_reset(devs[i], ret, err);
	}
	return 0;
}

/*
 * Whether a reset of the bus would affect another device of the machine that the guest sees
 * elsewhere and does not expect to be reset. Functions behind the same port are reset together.
 */
static bool would_reset_others(const struct vfio_pci *dev, const struct vfio_pci_place *place)
{
	struct vfio_pci_hot_reset_info *info = dependents(dev);
	bool others = false;

	for (unsigned i = 0; info && i < place->nr_all; i++) {
		const struct vfio_pci *other = __atomic_load_n(&place->all[i], __ATOMIC_ACQUIRE);

		others |= other && other != dev && is_affected(other, info) &&
			  (place->root_bus || other->place.root_bus ||
			   other->place.bus != place->bus);
	}
	free(info);
	return others;
}

void vfio_pci_reset_alone(struct vfio_pci *dev, struct err *err)
{
	bool done[1] = { false };
	int ret = -EBUSY;

	if (dev->io) /* groups may be released meanwhile */
		pthread_mutex_lock(&dev->io->lock);
	if (dev->flags & VFIO_DEVICE_FLAGS_RESET || !would_reset_others(dev, &dev->place))
		ret = reset_one(&dev, 1, 0, dev->io, done);
	if (dev->io)
		pthread_mutex_unlock(&dev->io->lock);
	if (ret < 0)
		cannot_reset(dev, ret, err);
}
