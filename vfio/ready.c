#include "vfio/ready.h"

#include "vfio/sysfs_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a module's parameter: Y or N, or a number. */
static bool ready_is_on(const char *root, const char *module, const char *parameter)
{
	char dir[64], text[16];

	snprintf(dir, sizeof(dir), "/sys/module/%s/parameters", module);
	return sysfs_read(root, dir, parameter, text, sizeof(text)) > 0 &&
	       (*text == 'Y' || *text == '1');
}

/*
 * Looks for "IR-" in /proc/interrupts, where the kernel prints the interrupt controllers:
 * IR-PCI-MSIX, IR-IO-APIC.
 */
static bool remaps_interrupts(const char *root)
{
	char path[VFIO_PATH_MAX], *line = NULL;
	size_t room = 0;
	bool found = false;
	FILE *file;

	if (sysfs_path(path, root, "/proc", "interrupts") < 0)
		return false;
	file = fopen(path, "re");
	while (file && !found && getline(&line, &room, file) > 0) /* a column for each CPU */
		found = strstr(line, " IR-");
	if (file)
		fclose(file);
	free(line);
	return found;
}

void vfio_host_probe(const char *root, struct vfio_host *h)
{
	*h = (struct vfio_host){
		.remaps_interrupts = remaps_interrupts(root),
		.unsafe_interrupts =
			ready_is_on(root, "vfio_iommu_type1", "allow_unsafe_interrupts") ||
			ready_is_on(root, "iommufd", "allow_unsafe_interrupts"),
		.posts_interrupts = ready_is_on(root, "kvm_amd", "avic") ||
				    ready_is_on(root, "kvm_intel", "enable_apicv"),
	};
	(void)sysfs_read_number(root, "/sys/module/vfio_iommu_type1/parameters", "dma_entry_limit",
				&h->dma_entries);
}

static bool kernel_before(const char *root, unsigned major, unsigned minor)
{
	unsigned is_major = 0, is_minor = 0;
	char release[64];

	if (sysfs_read(root, "/proc/sys/kernel", "osrelease", release, sizeof(release)) > 0)
		(void)sscanf(release, "%u.%u", &is_major, &is_minor);
	return is_major < major || (is_major == major && is_minor < minor);
}

/* --- one device --- */

static int check_node(const char *root, const char *node, struct err *err)
{
	char path[VFIO_PATH_MAX];

	if (sysfs_path(path, root, "/dev", node) < 0)
		return err_sys(err, ENAMETOOLONG, "/dev/%s", node);
	if (access(path, R_OK | W_OK) == 0)
		return 0;
	if (errno == ENOENT)
		return err_set(err, ENOENT,
			       "%s does not exist: load the modules vfio-pci and "
			       "vfio_iommu_type1, or iommufd",
			       path);
	return err_sys(err, errno,
		       "%s may not be opened by this user; give it to the user or a group of the "
		       "user's (chown), or run as root",
		       path);
}

static int check_type1(const char *root, const struct vfio_id *id, struct err *err)
{
	char node[64];
	int ret = check_node(root, "vfio/vfio", err);

	/* A device without an IOMMU gets its group when vfio-pci is bound. */
	if (ret < 0 || !id->has_group)
		return ret;
	snprintf(node, sizeof(node), "vfio/%s%u", id->no_iommu ? "noiommu-" : "", id->group);
	return check_node(root, node, err);
}

static int check_iommufd(const char *root, const struct vfio_id *id, struct err *err)
{
	char node[64];
	int ret;

	if (!*id->cdev)
		return err_set(err, ENODEV,
			       "the device has no character device for iommufd: the host's kernel "
			       "needs CONFIG_VFIO_DEVICE_CDEV; or use --vfio-backend type1");
	ret = check_node(root, "iommu", err);
	if (ret < 0)
		return ret;
	snprintf(node, sizeof(node), "vfio/devices/%s", id->cdev);
	return check_node(root, node, err);
}

int vfio_check_nodes(const char *root, const struct vfio_id *id, enum iommu_backend backend,
		     struct err *err)
{
	if (backend == IOMMU_IOMMUFD)
		return check_iommufd(root, id, err);
	if (backend == IOMMU_AUTO && !id->no_iommu && check_iommufd(root, id, NULL) == 0)
		return 0;
	return check_type1(root, id, err);
}

/*
 * VT-d's driver never attached devices with `direct` ranges (device_rmrr_is_relaxable()); since
 * Linux 6.6 no IOMMU driver does (drivers/iommu/iommu.c, require_direct).
 */
int vfio_check_direct(const char *root, const struct host_facts *facts, struct err *err)
{
	char kind[32];

	if (kernel_before(root, 6, 6) && strcmp(sysfs_iommu_kind(root, kind), "Intel VT-d"))
		return 0;
	for (unsigned i = 0; i < facts->nr_resv; i++)
		if (facts->resv[i].type == HOST_RESV_DIRECT)
			return err_set(
				err, EPERM,
				"the firmware wants [%#" PRIx64 ", %#" PRIx64
				") mapped one to one for it (RMRR or IVMD, `direct`), so "
				"this kernel gives it to no guest: look for a setting of the "
				"firmware, or take another device",
				facts->resv[i].at.base, facts->resv[i].at.end);
	return 0;
}

/* sysfs has the file only if there is a reset method. */
void vfio_reset_methods(const char *root, const struct vfio_id *id, char out[64])
{
	ssize_t n = sysfs_read(root, id->path, "reset_method", out, 64);

	if (n > 0)
		out[strcspn(out, "\n")] = '\0';
	else
		snprintf(out, 64, "%s", kernel_before(root, 5, 15) ? "" : "none");
}
