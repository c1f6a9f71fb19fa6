/*
 * sysfs as passthrough reads it, on trees that the test makes: functions, virtual functions,
 * mediated devices, groups with bridges, reserved regions; and what bind refuses.
 */
#include "vfio/bind.h"
#include "vfio/sysfs.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/straddle-sysfs-XXXXXX";
static struct err err;
static struct vfio_id id;
static struct host_facts facts;

#define DEVICES "/sys/devices/pci0000:00/"

/* --- making trees --- */

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
	char command[2048];
	va_list ap;
	int len;

	len = snprintf(command, sizeof(command), "cd %s && ", root);
	va_start(ap, format);
	vsnprintf(command + len, sizeof(command) - (size_t)len, format, ap);
	va_end(ap);
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* A function with a group, a driver ("" for none) and the text of its `resource` file. */
static void add_function(const char *bdf, unsigned group, const char *driver, const char *class,
			 const char *resource)
{
	shell("mkdir -p .%s%s sys/bus/pci/devices sys/kernel/iommu_groups/%u/devices "
	      "sys/bus/pci/drivers",
	      DEVICES, bdf, group);
	shell("ln -sfn ../../../devices/pci0000:00/%s sys/bus/pci/devices/%s", bdf, bdf);
	shell("ln -sfn ../../../kernel/iommu_groups/%u .%s%s/iommu_group", group, DEVICES, bdf);
	shell("ln -sfn ../../../../devices/pci0000:00/%s sys/kernel/iommu_groups/%u/devices/%s",
	      bdf, group, bdf);
	shell("ln -sfn ../../../bus/pci .%s%s/subsystem", DEVICES, bdf);
	if (*driver)
		shell("mkdir -p sys/bus/pci/drivers/%s && ln -sfn ../../../bus/pci/drivers/%s "
		      ".%s%s/driver",
		      driver, driver, DEVICES, bdf);
	shell("cd .%s%s && echo 0x1b36 >vendor && echo 0x0010 >device && echo %s >class && "
	      "echo 1 >numa_node && printf '%s' >resource",
	      DEVICES, bdf, class, resource);
}

static const char nvme[] = "0x00000000fe000000 0x00000000fe003fff 0x0000000000140204\\n"
			   "0x0000000000000000 0x0000000000000000 0x0000000000000000\\n"
			   "0x0000010000000000 0x0000011fffffffff 0x000000000014220c\\n"
			   "0x0000000000000000 0x0000000000000000 0x0000000000000000\\n"
			   "0x0000000000003000 0x000000000000303f 0x0000000000040101\\n"
			   "0x0000000000000000 0x0000000000000000 0x0000000000000000\\n"
			   "0x00000000fe100000 0x00000000fe17ffff 0x0000000000046200\\n";

static int make_tree(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	if (!mkdtemp(root))
		return -1;
	memset(&facts, 0, sizeof(facts));
	shell("mkdir -p sys/class/iommu/ivhd0 sys/class/block sys/class/net sys/class/drm "
	      "sys/bus/pci/drivers/vfio-pci proc/self dev/dri");
	add_function("0000:41:00.0", 7, "vfio-pci", "0x010802", nvme);
	shell("printf '0x00000000fee00000 0x00000000feefffff msi\\n0x000000fd00000000 "
	      "0x000000ffffffffff reserved\\n' >sys/kernel/iommu_groups/7/reserved_regions");
	return 0;
}

static int remove_tree(void **state)
{
	(void)state;
	shell("rm -rf %s", root);
	return 0;
}

static void find(const char *name)
{
	if (sysfs_find(root, name, &id, &err) < 0)
		fail_msg("%s", err.text);
}

static void says(const char *words)
{
	if (!strstr(err.text, words) || strchr(err.text, '\n'))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

/* --- finding --- */

static void test_names(void **state)
{
	static const char *const names[] = {
		"0000:41:00.0",
		"41:00.0",
		"/sys/bus/pci/devices/0000:41:00.0",
		"/sys/devices/pci0000:00/0000:41:00.0",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		find(names[i]);
		assert_string_equal(id.name, "0000:41:00.0");
		assert_string_equal(id.path, "/sys/devices/pci0000:00/0000:41:00.0");
		assert_string_equal(id.driver, "vfio-pci");
		assert_int_equal(id.group, 7);
		assert_true(id.pci && id.has_group && !id.no_iommu);
		assert_string_equal(id.cdev, "");
	}
	shell("mkdir -p .%s0000:41:00.0/vfio-dev/vfio3", DEVICES);
	find("41:00.0");
	assert_string_equal(id.cdev, ""); /* Linux 6.1 to 6.5: a name without a node */
	shell("echo 510:3 >.%s0000:41:00.0/vfio-dev/vfio3/dev", DEVICES);
	find("41:00.0");
	assert_string_equal(id.cdev, "vfio3");
	add_function("10000:e1:00.0", 30, "nvme", "0x010802", ""); /* a drive behind VMD */
	find("10000:e1:00.0");
	assert_string_equal(id.name, "10000:e1:00.0");
}

/* What the port above can, and whether the function is virtual. */
static void test_port_above(void **state)
{
	static const struct {
		const char *speed, *width;
		unsigned want_speed, want_width;
	} rows[] = {
		{ "2.5 GT/s PCIe", "1", 1, 1 },	   { "32.0 GT/s PCIe", "16", 5, 16 },
		{ "64.0 GT/s PCIe", "8", 6, 8 },   { "Unknown", "16", 0, 0 },
		{ "16.0 GT/s PCIe", "255", 0, 0 }, { "16.0 GT/s PCIe", "0", 0, 0 },
		{ "16.0 GT/s PCIe", "x", 0, 0 },   { "", "", 0, 0 },
	};
	const struct host_pci *pci = &facts.pci[0];

	(void)state;
	find("41:00.0");
	assert_int_equal(sysfs_probe(root, &id, &facts, &err), 0);
	assert_int_equal(pci->link_speed + pci->link_width, 0); /* no port is above it */
	assert_false(pci->is_virtual);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		shell("cd ./%s && echo '%s' >max_link_speed && echo '%s' >max_link_width", DEVICES,
		      rows[i].speed, rows[i].width);
		facts.nr_pci = 0;
		assert_int_equal(sysfs_probe(root, &id, &facts, &err), 0);
		assert_int_equal(pci->link_speed, rows[i].want_speed);
		assert_int_equal(pci->link_width, rows[i].want_width);
	}
	shell("ln -s ../0000:40:00.0 ./%s/0000:41:00.0/physfn", DEVICES);
	facts.nr_pci = 0;
	assert_int_equal(sysfs_probe(root, &id, &facts, &err), 0);
	assert_true(pci->is_virtual);
}

static void test_not_found(void **state)
{
	char kind[32];

	(void)state;
	assert_int_equal(sysfs_find(root, "0000:42:00.0", &id, &err), -ENODEV);
	says("there is no such device");
	assert_int_equal(sysfs_find(root, "nonsense", &id, &err), -EINVAL);
	assert_int_equal(sysfs_find(root, "41:20.0", &id, &err), -EINVAL); /* slot 32 */
	assert_int_equal(sysfs_find(root, "/sys/class/iommu", &id, &err), -ENODEV);
	says("neither a PCI function nor a mediated device");
	shell("rm .%s0000:41:00.0/iommu_group", DEVICES);
	assert_int_equal(sysfs_find(root, "41:00.0", &id, &err), -ENODEV);
	says("does not cover it");
	assert_string_equal(sysfs_iommu_kind(root, kind), "AMD-Vi");
	shell("rmdir sys/class/iommu/ivhd0");
	assert_int_equal(sysfs_find(root, "41:00.0", &id, &err), -ENODEV);
	says("intel_iommu=on");
	assert_string_equal(sysfs_iommu_kind(root, kind), "none");
}

static void test_no_iommu(void **state)
{
	(void)state;
	shell("echo vfio-noiommu >sys/kernel/iommu_groups/7/name");
	find("41:00.0");
	assert_true(id.no_iommu && id.has_group);

	/* Not bound to vfio-pci yet, so there is no group yet. */
	shell("rm .%s0000:41:00.0/iommu_group && mkdir -p sys/module/vfio/parameters && echo Y "
	      ">sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
	      DEVICES);
	find("41:00.0");
	assert_true(id.no_iommu && !id.has_group);
	shell("echo N >sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
	assert_int_equal(sysfs_find(root, "41:00.0", &id, &err), -ENODEV);
}

static void test_mediated(void **state)
{
	static const char uuid[] = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

	(void)state;
	shell("mkdir -p .%s0000:41:00.0/%s sys/bus/mdev sys/kernel/iommu_groups/9", DEVICES, uuid);
	shell("ln -s ../../../../bus/mdev .%s0000:41:00.0/%s/subsystem", DEVICES, uuid);
	shell("ln -s ../../../../kernel/iommu_groups/9 .%s0000:41:00.0/%s/iommu_group", DEVICES,
	      uuid);
	find("/sys/devices/pci0000:00/0000:41:00.0/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001");
	assert_false(id.pci);
	assert_string_equal(id.name, uuid);
	assert_int_equal(id.group, 9);
	assert_false(id.vfio);
	/* Before vfio-dev/: VFIO has a node for its group. */
	shell("mkdir -p dev/vfio && touch dev/vfio/9");
	find("/sys/devices/pci0000:00/0000:41:00.0/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001");
	assert_true(id.vfio);
}

/* A virtual GPU stays bound to its maker's driver, which has given it to VFIO. */
static void test_vgpu(void **state)
{
	struct vfio_bound bound[4];
	unsigned groups;

	(void)state;
	add_function("0000:48:00.4", 31, "nvidia", "0x030200", "");
	find("48:00.4");
	assert_false(id.vfio);
	assert_int_equal(sysfs_group_viable(root, &id, &err), -EBUSY);
	shell("mkdir -p .%s0000:48:00.4/vfio-dev/vfio4", DEVICES);
	find("48:00.4");
	assert_true(id.vfio);
	assert_int_equal(sysfs_group_viable(root, &id, &err), 0);
	assert_int_equal(vfio_bind_check(root, &id, &id, 1, &err), 0); /* has it already */
	assert_int_equal(sysfs_bound(root, bound, 4, &groups), 2);
	assert_string_equal(bound[1].driver, "nvidia");
}

/* --- facts --- */

static void test_probe(void **state)
{
	const struct host_pci *pci = &facts.pci[0];

	(void)state;
	find("41:00.0");
	assert_int_equal(sysfs_probe(root, &id, &facts, &err), 0);
	assert_int_equal(facts.nr_pci, 1);
	assert_string_equal(pci->name, "0000:41:00.0");
	assert_int_equal(pci->vendor, 0x1b36);
	assert_int_equal(pci->device, 0x0010);
	assert_int_equal(pci->class, 0x010802);
	assert_int_equal(pci->node, 1);
	assert_int_equal(pci->bars[0].size, 16 * KIB);
	assert_true(pci->bars[0].wide && !pci->bars[0].prefetch && !pci->bars[0].io);
	assert_int_equal(pci->bars[1].size, 0);
	assert_int_equal(pci->bars[2].size, 128 * GIB);
	assert_true(pci->bars[2].wide && pci->bars[2].prefetch);
	assert_int_equal(pci->bars[4].size, 64);
	assert_true(pci->bars[4].io);
	assert_int_equal(pci->rom_size, 512 * KIB);
	assert_int_equal(facts.nr_resv, 2);
	assert_int_equal(facts.resv[1].at.base, UINT64_C(0xfd00000000));
	assert_int_equal(facts.resv[1].at.end, TIB);
	assert_int_equal(facts.resv[1].type, HOST_RESV_RESERVED);
}

/* Virtual functions of one card: a group each, BARs of their own; the group is read once. */
static void test_virtual_functions(void **state)
{
	(void)state;
	add_function("0000:41:10.0", 20, "vfio-pci", "0x020000",
		     "0x00000000fd000000 0x00000000fd003fff 0x000000000014220c\\n");
	add_function("0000:41:10.1", 21, "vfio-pci", "0x020000",
		     "0x00000000fd004000 0x00000000fd007fff 0x000000000014220c\\n");
	add_function("0000:41:10.2", 21, "vfio-pci", "0x020000", "");
	shell("ln -s ../0000:41:00.0 .%s0000:41:10.1/physfn", DEVICES);
	for (unsigned i = 20; i <= 21; i++)
		shell("printf '0x00000000fee00000 0x00000000feefffff msi\\n' "
		      ">sys/kernel/iommu_groups/%u/reserved_regions",
		      i);
	for (unsigned i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof(name), "41:10.%u", i);
		find(name);
		assert_int_equal(sysfs_group_viable(root, &id, &err), 0);
		assert_int_equal(sysfs_probe(root, &id, &facts, &err), 0);
	}
	assert_int_equal(facts.nr_pci, 3);
	assert_int_equal(facts.pci[1].group, 21);
	assert_int_equal(facts.pci[1].bars[0].size, 16 * KIB);
	assert_int_equal(facts.pci[2].bars[0].size, 0);
	assert_int_equal(facts.nr_resv, 1); /* they reserve the same */
	assert_int_equal(facts.resv[0].group, 20);
}

static void test_bad_resource(void **state)
{
	(void)state;
	shell("echo 'what is this' >.%s0000:41:00.0/resource", DEVICES);
	find("41:00.0");
	assert_int_equal(sysfs_probe(root, &id, &facts, &err), -EINVAL);
	says("line 1 is not three numbers");
	shell("echo '0x1000 0x3fff 0x200' >.%s0000:41:00.0/resource", DEVICES);
	assert_int_equal(sysfs_probe(root, &id, &facts, &err), -EINVAL);
	says("no power of two");
	assert_int_equal(facts.nr_pci, 0);
}

static void parse(const char *text)
{
	facts.nr_resv = 0;
	if (sysfs_parse_reserved(text, strlen(text), 3, &facts, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_reserved(void **state)
{
	char many[HOST_RESV_MAX * 24 + 64] = "";

	(void)state;
	parse("0x0 0xffffff direct-relaxable\n0x1000000 0x1ffffff direct\n\n0x5000 0x5fff "
	      "new-kind\n");
	assert_int_equal(facts.nr_resv, 3);
	assert_int_equal(facts.resv[0].type, HOST_RESV_DIRECT_RELAXABLE);
	assert_int_equal(facts.resv[0].at.end, 16 * MIB);
	assert_int_equal(facts.resv[1].type, HOST_RESV_DIRECT);
	assert_int_equal(facts.resv[2].type, HOST_RESV_RESERVED); /* not known: not allowed */
	parse("0x1000 0xffffffffffffffff msi");
	assert_int_equal(facts.resv[0].at.end, UINT64_MAX);
	assert_int_equal(sysfs_parse_reserved("0x1000 oops msi", 15, 3, &facts, &err), -EINVAL);
	says("group 3: line 1");
	assert_int_equal(sysfs_parse_reserved("0x2000 0x1000 msi", 17, 3, &facts, &err), -EINVAL);
	says("ends before it starts");
	/* Equal ones count once, whoever has them: 31 groups of one host. */
	facts.nr_resv = 0;
	for (unsigned i = 0; i <= HOST_RESV_MAX; i++)
		assert_int_equal(sysfs_parse_reserved("0x1000 0x1fff msi\n0x2000 0x2fff direct", 39,
						      i, &facts, &err),
				 0);
	assert_int_equal(facts.nr_resv, 2);
	for (unsigned i = 0; i <= HOST_RESV_MAX; i++)
		sprintf(many + strlen(many), "%#x 0x1ffff msi\n", 0x1000 + i);
	facts.nr_resv = 0;
	assert_int_equal(sysfs_parse_reserved(many, strlen(many), 3, &facts, &err), -E2BIG);
	says("more than 128 different reserved regions");
}

/* --- groups --- */

static void test_viable(void **state)
{
	(void)state;
	add_function("0000:40:01.0", 7, "shpchp", "0x060400", "");
	shell("printf '01234567890123\\201' >.%s0000:40:01.0/config", DEVICES);
	add_function("0000:41:00.1", 7, "", "0x040300", "");
	find("41:00.0");
	assert_int_equal(sysfs_group_viable(root, &id, &err), 0);
	/* A switch of NVLink is called a bridge, but is a device with a driver. */
	add_function("0000:41:00.4", 7, "nvidia-nvswitch", "0x068000", "");
	shell("printf '01234567890123\\000' >.%s0000:41:00.4/config", DEVICES);
	assert_int_equal(sysfs_group_viable(root, &id, &err), -EBUSY);
	says("0000:41:00.4 (nvidia-nvswitch)");
	shell("rm sys/kernel/iommu_groups/7/devices/0000:41:00.4");
	add_function("0000:41:00.2", 7, "xhci_hcd", "0x0c0330", "");
	add_function("0000:41:00.3", 7, "snd_hda_intel", "0x040300", "");
	assert_int_equal(sysfs_group_viable(root, &id, &err), -EBUSY);
	says("0000:41:00.2 (xhci_hcd), 0000:41:00.3 (snd_hda_intel)");
	says("IOMMU group 7");
	says("straddle bind");
	find("41:00.2");
	assert_int_equal(sysfs_group_viable(root, &id, &err), -EBUSY);
	says("the device is bound to xhci_hcd: run `straddle bind 0000:41:00.2` as root first");
}

static void test_bound(void **state)
{
	struct vfio_bound bound[2];
	unsigned groups, before;

	(void)state;
	before = sysfs_bound(root, bound, 2, &groups);
	assert_int_equal(before, 1); /* 41:00.0, by the tree that every test starts with */
	assert_string_equal(bound[0].name, "0000:41:00.0");
	assert_string_equal(bound[0].driver, "vfio-pci");
	assert_int_equal(bound[0].group, 7);
	before = groups;
	add_function("0000:46:00.1", 5, "mlx5_vfio_pci", "0x020000", "");
	add_function("0000:46:00.0", 5, "vfio-pci", "0x020000", "");
	add_function("0000:47:00.0", 6, "nvme", "0x010802", "");
	assert_int_equal(sysfs_bound(root, bound, 2, &groups), 3);
	assert_int_equal(groups, before + 2);
	assert_int_equal(sysfs_bound("/nowhere", bound, 2, &groups), 0);
	assert_int_equal(groups, 0);
}

/* --- bind: what it refuses; the kernel's part is the lab's --- */

static struct vfio_move moved;

static int try_bind(const char *name)
{
	int ret;

	find(name);
	ret = vfio_bind_check(root, &id, &id, 1, &err);
	return ret < 0 ? ret : vfio_bind(root, &id, &moved, &err);
}

/* An entry of a class, at its place below sys/devices. */
static void add_entry(const char *class, const char *place, const char *dev)
{
	const char *name = strrchr(place, '/') + 1;

	shell("mkdir -p sys/devices/%s && ln -s ../../devices/%s sys/class/%s/%s", place, place,
	      class, name);
	if (*dev)
		shell("echo %s >sys/devices/%s/dev", dev, place);
}

static void test_bind_refuses(void **state)
{
	(void)state;
	assert_int_equal(try_bind("41:00.0"), 0); /* has it already */
	add_function("0000:42:00.0", 8, "e1000e", "0x020000", "");
	add_entry("net", "pci0000:00/0000:42:00.0/net/eth7", "");
	shell("echo 0x1003 >sys/class/net/eth7/flags");
	assert_int_equal(try_bind("42:00.0"), -EBUSY);
	says("its network interface eth7 is up");
	/* One that is not right below the function: virtio. */
	add_function("0000:42:01.0", 13, "virtio-pci", "0x020000", "");
	add_entry("net", "pci0000:00/0000:42:01.0/virtio0/net/eth8", "");
	shell("echo 0x1003 >sys/class/net/eth8/flags");
	assert_int_equal(try_bind("42:01.0"), -EBUSY);
	says("its network interface eth8 is up");
	add_function("0000:43:00.0", 9, "nvme", "0x010802", "");
	add_entry("block", "pci0000:00/0000:43:00.0/nvme/nvme7n1", "259:6");
	add_entry("block", "pci0000:00/0000:43:00.0/nvme/nvme7n1/nvme7n1p2", "259:8");
	shell("echo '29 1 259:8 / / rw - ext4 /dev/root rw' >proc/self/mountinfo");
	assert_int_equal(try_bind("43:00.0"), -EBUSY);
	says("its disk nvme7n1p2 is mounted");
	/* btrfs has a number of its own. */
	shell("echo '29 1 0:23 /@ / rw shared:1 - btrfs /dev/nvme7n1p2 rw' >proc/self/mountinfo");
	assert_int_equal(try_bind("43:00.0"), -EBUSY);
	says("its disk nvme7n1p2 is mounted");
	shell(": >proc/self/mountinfo; printf 'Filename\n/dev/nvme7n1 partition\n' >proc/swaps");
	assert_int_equal(try_bind("43:00.0"), -EBUSY);
	says("its disk nvme7n1 is used for swapping");
	shell(": >proc/swaps; mkdir -p sys/class/block/nvme7n1p2/holders/dm-3");
	assert_int_equal(try_bind("43:00.0"), -EBUSY);
	says("its disk nvme7n1p2 is part of another block device, dm-3");
	add_function("0000:44:00.0", 10, "nouveau", "0x030000", "");
	shell("echo 1 >.%s0000:44:00.0/boot_vga", DEVICES);
	assert_int_equal(try_bind("44:00.0"), -EBUSY);
	says("the boot display");
	add_function("0000:44:00.1", 11, "a", "0x040300", "");
	add_function("0000:44:00.2", 11, "b", "0x040300", "");
	assert_int_equal(try_bind("44:00.1"), -EBUSY);
	says("shares IOMMU group 11 with 0000:44:00.2, which is bound to b");
	add_function("0000:44:00.3", 14, "pcieport", "0x060400", "");
	assert_int_equal(try_bind("44:00.3"), -EINVAL);
	says("is a bridge");
	add_function("0000:46:00.0", 15, "mlx5_core", "0x020000", "");
	shell("echo 4 >.%s0000:46:00.0/sriov_numvfs", DEVICES);
	assert_int_equal(try_bind("46:00.0"), -EBUSY);
	says("it has 4 virtual functions");
	shell("rmdir sys/bus/pci/drivers/vfio-pci");
	add_function("0000:45:00.0", 12, "c", "0x040300", "");
	assert_int_equal(try_bind("45:00.0"), -ENODEV);
	says("modprobe vfio-pci");
}

/* The function that a disk's name says nothing of: native NVMe multipath. */
static void test_bind_multipath(void **state)
{
	(void)state;
	add_function("0000:43:00.0", 9, "nvme", "0x010802", "");
	add_entry("block", "pci0000:00/0000:43:00.0/nvme/nvme0/nvme3c0n1", "");
	add_entry("block", "virtual/nvme-subsystem/nvme-subsys3/nvme3n1", "259:6");
	add_entry("block", "virtual/nvme-subsystem/nvme-subsys3/nvme3n1/nvme3n1p1", "259:7");
	add_entry("block", "virtual/nvme-subsystem/nvme-subsys3/nvme3n11", "259:9");
	shell("echo '29 1 259:7 / / rw - ext4 /dev/root rw' >proc/self/mountinfo");
	assert_int_equal(try_bind("43:00.0"), -EBUSY);
	says("its disk nvme3n1p1 is mounted");
	shell("echo '29 1 259:9 / / rw - ext4 /dev/root rw' >proc/self/mountinfo");
	assert_true(try_bind("43:00.0") < 0); /* another namespace's disk: not looked at */
	says("/dev/nvme3n1");
	says("cannot be told");
}

/*
 * The kernel is asked, and what cannot be asked is not taken. /dev/null plays the disk here;
 * tests/fault/test_bind.c has the kernel say no.
 */
static void test_bind_asks(void **state)
{
	(void)state;
	add_function("0000:43:00.0", 9, "nvme", "0x010802", "");
	add_entry("block", "pci0000:00/0000:43:00.0/nvme/nvme7n1", "259:6");
	assert_int_equal(try_bind("43:00.0"), -ENOENT);
	says("whether 0000:43:00.0 is in use cannot be told");
	shell("ln -s /dev/null dev/nvme7n1");
	assert_int_equal(try_bind("43:00.0"), -ENODEV);
	says("dev/nvme7n1 is not the node 259:6");
	shell("echo 1:3 >sys/class/block/nvme7n1/dev");
	find("43:00.0");
	assert_int_equal(vfio_bind_check(root, &id, &id, 1, &err), 0);
}

/* Graphics devices: whoever has a node open. /dev/null plays the node. */
static void test_bind_clients(void **state)
{
	(void)state;
	add_function("0000:44:00.0", 10, "amdgpu", "0x030000", "");
	add_entry("drm", "pci0000:00/0000:44:00.0/drm/card1", "1:3");
	add_entry("drm", "pci0000:00/0000:44:00.0/drm/card1/card1-DP-1", "");
	find("44:00.0");
	assert_int_equal(vfio_bind_check(root, &id, &id, 1, &err), 0);
	shell("mkdir -p proc/1234/fd && ln -s /dev/zero proc/1234/fd/3 && "
	      "printf 'X\\033org\n' >proc/1234/comm");
	assert_int_equal(vfio_bind_check(root, &id, &id, 1, &err), 0);
	shell("ln -s /dev/null proc/1234/fd/4");
	assert_int_equal(vfio_bind_check(root, &id, &id, 1, &err), -EBUSY);
	says("X?org (process 1234) has /dev/dri/card1 open");
}

/* Trees do not change drivers: what was written is what is looked at. */
static void test_bind_override(void **state)
{
	(void)state;
	add_function("0000:45:00.0", 12, "snd_hda_intel", "0x040300", "");
	shell("touch sys/bus/pci/drivers_probe sys/bus/pci/drivers/snd_hda_intel/unbind && "
	      "echo my-own-driver >.%s0000:45:00.0/driver_override",
	      DEVICES);
	assert_int_equal(try_bind("45:00.0"), -EIO); /* the driver stays, in a tree */
	says("does not bind to vfio-pci");
	shell("grep -q ^my-own-driver .%s0000:45:00.0/driver_override", DEVICES);
	shell("test ! -e run/straddle/driver_override/0000:45:00.0");
	/* While vfio-pci has it, the name is kept. */
	shell("echo my-own-driver >.%s0000:45:00.0/driver_override && rm .%s0000:45:00.0/driver",
	      DEVICES, DEVICES);
	shell("mkdir -p run/straddle/driver_override && "
	      "echo my-own-driver >run/straddle/driver_override/0000:45:00.0 && "
	      "echo vfio-pci >.%s0000:45:00.0/driver_override",
	      DEVICES);
	find("45:00.0");
	assert_int_equal(vfio_unbind(root, &id, &moved, &err), 0);
	shell("grep -q ^my-own-driver .%s0000:45:00.0/driver_override", DEVICES);
	shell("test ! -e run/straddle/driver_override/0000:45:00.0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_tree, remove_tree)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),	 TEST(test_not_found),	  TEST(test_no_iommu),
		TEST(test_mediated),	 TEST(test_probe),	  TEST(test_virtual_functions),
		TEST(test_bad_resource), TEST(test_reserved),	  TEST(test_viable),
		TEST(test_bind_refuses), TEST(test_bound),	  TEST(test_bind_multipath),
		TEST(test_bind_asks),	 TEST(test_bind_clients), TEST(test_bind_override),
		TEST(test_vgpu),	 TEST(test_port_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
