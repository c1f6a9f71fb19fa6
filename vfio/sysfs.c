#include "vfio/sysfs_file.h"

#include <ctype.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* include/linux/ioport.h */
#define RESOURCE_IO	  0x00000100
#define RESOURCE_MEM	  0x00000200
#define RESOURCE_PREFETCH 0x00002000
#define RESOURCE_MEM_64	  0x00100000

#define RESERVED_MAX (256 * 1024)

/* --- names --- */

/* Follows all links of a path; the result is without `root`. */
static int resolve(const char *root, const char *path, char out[VFIO_PATH_MAX])
{
	char whole[VFIO_PATH_MAX], real_root[PATH_MAX] = "", real[PATH_MAX];
	size_t skip;

	if (snprintf(whole, sizeof(whole), "%s%s", root, path) >= (int)sizeof(whole))
		return -ENAMETOOLONG;
	if (!realpath(whole, real) || (*root && !realpath(root, real_root)))
		return -errno;
	skip = strlen(real_root);
	if (strncmp(real, real_root, skip) != 0 || strlen(real + skip) >= VFIO_PATH_MAX)
		return -EINVAL;
	snprintf(out, VFIO_PATH_MAX, "%s", real + skip);
	return 0;
}

/* /sys/class/iommu has an entry for each IOMMU that the kernel drives. */
static bool first_iommu(const char *root, char name[32])
{
	DIR *dir = sysfs_list(root, "/sys/class", "iommu");
	struct dirent *e = sysfs_next(dir);

	snprintf(name, 32, "%.31s", e ? e->d_name : "");
	if (dir)
		closedir(dir);
	return *name;
}

const char *sysfs_iommu_kind(const char *root, char buf[32])
{
	if (!first_iommu(root, buf))
		snprintf(buf, 32, "none");
	else if (!strncmp(buf, "ivhd", 4))
		snprintf(buf, 32, "AMD-Vi");
	else if (!strncmp(buf, "dmar", 4))
		snprintf(buf, 32, "Intel VT-d");
	return buf;
}

/*
 * A device without a group is allowed only in VFIO's no-IOMMU mode, where vfio-pci makes a group
 * for the device when it is bound (drivers/vfio/group.c, vfio_noiommu_group_alloc()).
 */
static int no_group(const char *root, struct vfio_id *id, struct err *err)
{
	char kind[32], enabled[8];

	if (sysfs_read(root, "/sys/module/vfio/parameters", "enable_unsafe_noiommu_mode", enabled,
		       sizeof(enabled)) > 0 &&
	    *enabled == 'Y') {
		id->no_iommu = true;
		return 0;
	}
	if (first_iommu(root, kind))
		return err_set(err, ENODEV,
			       "%s has no IOMMU group: the host's IOMMU does not cover it",
			       id->name);
	return err_set(err, ENODEV,
		       "%s has no IOMMU group, because this host drives no IOMMU: enable AMD-Vi or "
		       "VT-d in the firmware, and on Intel hosts boot with intel_iommu=on",
		       id->name);
}

/*
 * Whether VFIO provides the device. Since Linux 6.1 vfio-dev/ has VFIO's name for each device that
 * any driver has registered with it (drivers/vfio/vfio_main.c, __vfio_register_dev()); before,
 * VFIO's drivers are recognised by their names.
 */
static bool is_vfio(const char *root, const char *device, const char *driver, char name[32])
{
	DIR *list = sysfs_list(root, device, "vfio-dev");
	struct dirent *e = sysfs_next(list);

	snprintf(name, 32, "%.31s", e ? e->d_name : "");
	if (list)
		closedir(list);
	return *name || strstr(driver, "vfio");
}

/* Only a name with a device number has a node, /dev/vfio/devices/NAME (VFIO_DEVICE_CDEV). */
static void find_vfio(const char *root, struct vfio_id *id)
{
	char dir[VFIO_PATH_MAX], text[32];

	id->vfio = is_vfio(root, id->path, id->driver, id->cdev);
	if (snprintf(dir, sizeof(dir), "%s/vfio-dev/%s", id->path, id->cdev) >= (int)sizeof(dir) ||
	    sysfs_read(root, dir, "dev", text, sizeof(text)) <= 0)
		*id->cdev = '\0';
}

/*
 * Whether VFIO has a node for the device's group. Before Linux 6.1 this shows that VFIO provides a
 * mediated device, which is alone in its group and whose driver may have any name.
 */
static bool has_group_node(const char *root, const struct vfio_id *id)
{
	char path[VFIO_PATH_MAX];

	return id->has_group &&
	       snprintf(path, sizeof(path), "%s/dev/vfio/%u", root, id->group) <
		       (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

static int find_group(const char *root, struct vfio_id *id, struct err *err)
{
	char number[32], dir[64], name[32];
	unsigned long group;
	char *end;

	sysfs_read_link(root, id->path, "iommu_group", number, sizeof(number));
	if (!*number)
		return no_group(root, id, err);
	group = strtoul(number, &end, 10);
	if (*end || group > UINT_MAX)
		return err_set(err, EINVAL, "%s: its IOMMU group is called %s, which is no number",
			       id->name, number);
	id->group = (unsigned)group;
	id->has_group = true;
	snprintf(dir, sizeof(dir), "/sys/kernel/iommu_groups/%u", id->group);
	if (sysfs_read(root, dir, "name", name, sizeof(name)) > 0)
		id->no_iommu = !strncmp(name, "vfio-noiommu", 12);
	return 0;
}

int sysfs_find(const char *root, const char *name, struct vfio_id *id, struct err *err)
{
	char path[VFIO_PATH_MAX], bdf[VFIO_NAME_MAX], subsystem[32];
	const char *last;
	int ret;

	*id = (struct vfio_id){ .pci = false };
	if (name[0] == '/')
		snprintf(path, sizeof(path), "%s", name);
	else if (host_bdf(name, bdf))
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	else
		return err_set(err, EINVAL,
			       "this is no PCI address such as 0000:41:10.1, and no path of sysfs");
	ret = resolve(root, path, id->path);
	if (ret == -ENOENT)
		return err_set(err, ENODEV, "there is no such device (%s); lspci -D lists them",
			       path);
	if (ret < 0)
		return err_sys(err, -ret, "%s cannot be followed", path);
	last = strrchr(id->path, '/');
	last = last ? last + 1 : id->path;
	if (strlen(last) >= sizeof(id->name))
		return err_set(err, EINVAL, "%s is no device", path);
	snprintf(id->name, sizeof(id->name), "%.*s", VFIO_NAME_MAX - 1, last);
	sysfs_read_link(root, id->path, "subsystem", subsystem, sizeof(subsystem));
	id->pci = !strcmp(subsystem, "pci");
	if (!id->pci && strcmp(subsystem, "mdev"))
		return err_set(err, ENODEV, "%s is neither a PCI function nor a mediated device",
			       path);
	sysfs_read_link(root, id->path, "driver", id->driver, sizeof(id->driver));
	find_vfio(root, id);
	ret = find_group(root, id, err);
	id->vfio |= ret == 0 && !id->pci && has_group_node(root, id);
	return ret;
}

/* --- groups --- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct vfio_member *)a)->name, ((const struct vfio_member *)b)->name);
}

/*
 * Drivers whose devices do not keep a group from VFIO: pci-stub, and those of bridges, which do no
 * DMA of their own (drivers/vfio/vfio_main.c, formerly vfio_group_viable(), now
 * iommu_device_claim_dma_owner()).
 */
static bool driver_is_harmless(const char *driver)
{
	return !*driver || !strcmp(driver, "pci-stub") || !strcmp(driver, "pcieport");
}

/*
 * Whether a device is a PCI to PCI or CardBus bridge, which does no DMA of its own. Decided by the
 * header type and not by the class, which is that of a bridge for an NVSwitch as well.
 */
static bool is_bridge(const char *root, const char *device)
{
	char config[PCI_HEADER_TYPE + 2];

	return sysfs_read(root, device, "config", config, sizeof(config)) > PCI_HEADER_TYPE &&
	       (config[PCI_HEADER_TYPE] & 0x7f);
}

int sysfs_group(const char *root, unsigned group, struct vfio_member *out, unsigned cap,
		unsigned *n, struct err *err)
{
	char dir[64], device[VFIO_PATH_MAX], cdev[32];
	struct dirent *e;
	DIR *list;

	*n = 0;
	snprintf(dir, sizeof(dir), "/sys/kernel/iommu_groups/%u", group);
	list = sysfs_list(root, dir, "devices");
	if (!list)
		return err_sys(err, errno, "IOMMU group %u cannot be listed", group);
	while ((e = sysfs_next(list))) {
		struct vfio_member *m = &out[*n];

		if (*n == cap) {
			closedir(list);
			return err_set(err, E2BIG, "IOMMU group %u has more than %u members", group,
				       cap);
		}
		*m = (struct vfio_member){ .in_use = false };
		snprintf(m->name, sizeof(m->name), "%.*s", VFIO_NAME_MAX - 1, e->d_name);
		snprintf(device, sizeof(device), "%s/devices/%.*s", dir, VFIO_NAME_MAX - 1,
			 e->d_name);
		sysfs_read_link(root, device, "driver", m->driver, sizeof(m->driver));
		m->bridge = is_bridge(root, device);
		m->vfio = is_vfio(root, device, m->driver, cdev);
		m->in_use = !m->vfio && !m->bridge && !driver_is_harmless(m->driver);
		++*n;
	}
	closedir(list);
	qsort(out, *n, sizeof(*out), by_name);
	return 0;
}

static int by_group(const void *a, const void *b)
{
	const struct vfio_bound *x = a, *y = b;

	return x->group != y->group ? (x->group > y->group) - (x->group < y->group)
				    : strcmp(x->name, y->name);
}

unsigned sysfs_bound(const char *root, struct vfio_bound *out, unsigned cap, unsigned *groups)
{
	struct vfio_member members[VFIO_GROUP_MAX];
	unsigned found = 0, n;
	struct dirent *e;
	DIR *list = sysfs_list(root, "/sys/kernel", "iommu_groups");

	*groups = 0;
	while ((e = sysfs_next(list))) {
		unsigned group = (unsigned)strtoul(e->d_name, NULL, 10);

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		++*groups;
		(void)sysfs_group(root, group, members, VFIO_GROUP_MAX, &n, NULL);
		for (unsigned i = 0; i < n; i++) {
			if (!members[i].vfio || ++found > cap)
				continue;
			out[found - 1] = (struct vfio_bound){ .group = group };
			memcpy(out[found - 1].name, members[i].name, sizeof(members[i].name));
			memcpy(out[found - 1].driver, members[i].driver, sizeof(members[i].driver));
		}
	}
	if (list)
		closedir(list);
	qsort(out, found < cap ? found : cap, sizeof(*out), by_group);
	return found;
}

int sysfs_group_viable(const char *root, const struct vfio_id *id, struct err *err)
{
	struct vfio_member members[VFIO_GROUP_MAX];
	char list[512];
	size_t len = 0;
	unsigned n;
	int ret;

	if (!id->vfio)
		return err_set(err, EBUSY,
			       "the device is bound to %s: run `straddle bind %s` as root first",
			       *id->driver ? id->driver : "no driver", id->name);
	ret = sysfs_group(root, id->group, members, VFIO_GROUP_MAX, &n, err);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < n; i++) {
		if (!members[i].in_use)
			continue;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s (%s)",
					len ? ", " : "", members[i].name, members[i].driver);
		if (len >= sizeof(list))
			break;
	}
	if (!len)
		return 0;
	return err_set(err, EBUSY,
		       "IOMMU group %u also holds %s, and the IOMMU cannot tell them apart: run "
		       "`straddle bind` for them, too, or unbind their drivers",
		       id->group, list);
}

/* --- one device --- */

static int probe_bars(const char *root, const struct vfio_id *id, struct host_pci *pci,
		      struct err *err)
{
	char text[4096], *line = text, *rest;
	ssize_t n = sysfs_read(root, id->path, "resource", text, sizeof(text));

	if (n < 0)
		return err_sys(err, (int)-n, "%s/resource cannot be read", id->path);
	for (unsigned i = 0; i <= BARS && *line; i++, line = rest) {
		uint64_t start, end, flags, size;

		rest = line + strcspn(line, "\n");
		rest += *rest == '\n';
		if (sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64, &start, &end, &flags) != 3)
			return err_set(err, EINVAL, "%s/resource: line %u is not three numbers",
				       id->path, i + 1);
		if (!flags || end < start || (!start && !end))
			continue;
		size = end - start + 1;
		if (!is_power_of_two(size))
			return err_set(err, EINVAL,
				       "%s/resource: line %u has %#" PRIx64
				       " bytes, which is no power of two",
				       id->path, i + 1, size);
		if (i == BARS)
			pci->rom_size = size;
		else
			pci->bars[i] = (struct bar_shape){
				.size = size,
				.io = flags & RESOURCE_IO,
				.wide = flags & RESOURCE_MEM_64,
				.prefetch = flags & RESOURCE_PREFETCH,
			};
	}
	return 0;
}

static int probe_reserved(const char *root, unsigned group, struct host_facts *facts,
			  struct err *err)
{
	char *text = malloc(RESERVED_MAX), dir[64];
	ssize_t n;
	int ret = 0;

	if (!text)
		return err_sys(err, ENOMEM, "out of memory for the reserved regions of group %u",
			       group);
	snprintf(dir, sizeof(dir), "/sys/kernel/iommu_groups/%u", group);
	n = sysfs_read(root, dir, "reserved_regions", text, RESERVED_MAX);
	if (n >= 0)
		ret = sysfs_parse_reserved(text, (size_t)n, group, facts, err);
	else if (n != -ENOENT) /* no-IOMMU groups have no such file */
		ret = err_sys(err, (int)-n, "%s/reserved_regions cannot be read", dir);
	free(text);
	return ret;
}

/*
 * What the port above the device can, by its attributes, which everybody may read. Its
 * configuration space, of which only root may read the capabilities, is not looked at.
 */
static void probe_link(const char *root, const struct vfio_id *id, struct host_pci *pci)
{
	/* include/linux/pci.h, drivers/pci/probe.c: pci_speed_string() */
	static const char *const speeds[] = { "2.5 ", "5.0 ", "8.0 ", "16.0 ", "32.0 ", "64.0 " };
	char parent[VFIO_PATH_MAX], text[32];
	long long width = 0;
	char *last;

	snprintf(parent, sizeof(parent), "%s", id->path);
	last = strrchr(parent, '/');
	if (!last)
		return;
	*last = '\0';
	if (sysfs_read(root, parent, "max_link_speed", text, sizeof(text)) <= 0 ||
	    sysfs_read_number(root, parent, "max_link_width", &width) < 0 || width < 1 ||
	    width > 32)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(speeds); i++) {
		if (strncmp(text, speeds[i], strlen(speeds[i])) != 0)
			continue;
		pci->link_speed = i + 1;
		pci->link_width = (unsigned)width;
	}
}

int sysfs_probe(const char *root, const struct vfio_id *id, struct host_facts *facts,
		struct err *err)
{
	struct host_pci *pci = &facts->pci[facts->nr_pci];
	long long node = -1, vendor = 0, device = 0, class = 0;
	char physfn[VFIO_NAME_MAX] = "";
	bool known = false;
	int ret;

	if (facts->nr_pci == PCI_DEVICES_MAX)
		return err_set(err, ENOSPC, "there can be at most %u devices", PCI_DEVICES_MAX);
	for (unsigned i = 0; i < facts->nr_pci; i++)
		known |= facts->pci[i].group == id->group;
	known |= !id->has_group;
	*pci = (struct host_pci){ .group = id->group };
	snprintf(pci->name, sizeof(pci->name), "%s", id->name);
	if (id->pci) {
		(void)sysfs_read_number(root, id->path, "numa_node", &node);
		(void)sysfs_read_number(root, id->path, "vendor", &vendor);
		(void)sysfs_read_number(root, id->path, "device", &device);
		(void)sysfs_read_number(root, id->path, "class", &class);
		sysfs_read_link(root, id->path, "physfn", physfn, sizeof(physfn));
		probe_link(root, id, pci);
		ret = probe_bars(root, id, pci, err);
		if (ret < 0)
			return ret;
	}
	pci->node = (int)node;
	pci->is_virtual = *physfn;
	pci->vendor = (uint16_t)vendor;
	pci->device = (uint16_t)device;
	pci->class = (uint32_t) class & 0xffffff;
	if (!known) {
		ret = probe_reserved(root, id->group, facts, err);
		if (ret < 0)
			return ret;
	}
	pci->index = facts->nr_pci++;
	return 0;
}

/* --- reserved_regions: Documentation/ABI/testing/sysfs-kernel-iommu_groups --- */

/* 0x and hexadecimal digits, at most 64 bits. Returns the first byte after, or NULL. */
static const char *parse_hex(const char *at, const char *end, uint64_t *value)
{
	unsigned digits = 0;

	while (at < end && *at == ' ')
		at++;
	if (end - at < 3 || at[0] != '0' || at[1] != 'x')
		return NULL;
	*value = 0;
	for (at += 2; at < end && isxdigit((unsigned char)*at); at++) {
		if (*value >> 60)
			return NULL;
		*value = *value << 4 | (uint64_t)(isdigit((unsigned char)*at)
							  ? *at - '0'
							  : tolower((unsigned char)*at) - 'a' + 10);
		digits++;
	}
	return digits ? at : NULL;
}

/* An unknown type counts as reserved. */
static enum host_resv_type parse_type(const char *at, const char *end)
{
	enum host_resv_type type;

	while (at < end && *at == ' ')
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\r'))
		end--;
	return host_resv_find(at, (size_t)(end - at), &type) ? type : HOST_RESV_RESERVED;
}

/*
 * Adds a range, unless an earlier group has the same one: most groups of a host do, and the first
 * is named.
 */
static bool sysfs_add_reserved(struct host_facts *facts, struct span at, enum host_resv_type type,
			       unsigned group)
{
	at.end += at.end != UINT64_MAX; /* the last byte; 2^64 cannot be written */
	for (unsigned i = 0; i < facts->nr_resv; i++) {
		const struct host_resv *r = &facts->resv[i];

		if (r->type == type && r->at.base == at.base && r->at.end == at.end)
			return true;
	}
	if (facts->nr_resv == HOST_RESV_MAX)
		return false;
	facts->resv[facts->nr_resv++] = (struct host_resv){ at, type, group };
	return true;
}

int sysfs_parse_reserved(const char *text, size_t len, unsigned group, struct host_facts *facts,
			 struct err *err)
{
	const char *end = text + len, *line = text;

	for (unsigned number = 1; line < end; number++) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		struct span at;
		const char *p;

		stop = stop ? stop : end;
		p = parse_hex(line, stop, &at.base);
		p = p ? parse_hex(p, stop, &at.end) : NULL;
		if (!p && stop != line)
			return err_set(err, EINVAL,
				       "reserved_regions of IOMMU group %u: line %u is not start, "
				       "end and type",
				       group, number);
		if (p && at.end < at.base)
			return err_set(err, EINVAL,
				       "reserved_regions of IOMMU group %u: line %u ends before it "
				       "starts",
				       group, number);
		if (p && !sysfs_add_reserved(facts, at, parse_type(p, stop), group))
			return err_set(
				err, E2BIG,
				"the named devices' IOMMU groups have more than %u different "
				"reserved regions",
				HOST_RESV_MAX);
		line = stop < end ? stop + 1 : end;
	}
	return 0;
}
