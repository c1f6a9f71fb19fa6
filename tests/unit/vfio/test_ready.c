/*
 * What `check` reads of a host before anything is opened, on trees that the test makes: memory,
 * interrupts, nodes of devices, memory that firmware wants, resets.
 */
#include "vfio/ready.h"
#include "vmm/host/memory.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[] = "/tmp/straddle-ready-XXXXXX";
static struct err err;

static void shell(const char *words)
{
	char command[2048];

	snprintf(command, sizeof(command), "cd %s && %s", root, words);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static int make_tree(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_tree(void **state)
{
	(void)state;
	shell("rm -rf ../$(basename $PWD)");
	return 0;
}

static void says(const char *words)
{
	if (!strstr(err.text, words) || strchr(err.text, '\n'))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void test_memory(void **state)
{
	struct host_memory m;

	(void)state;
	host_memory_probe(root, &m);
	assert_int_equal(m.available + m.swap + m.huge[0] + m.huge[1] + m.nr_nodes, 0);
	shell("mkdir -p proc && printf 'MemTotal: 99 kB\nMemAvailable: 2048 kB\nSwapFree: 4 kB\n' "
	      ">proc/meminfo");
	shell("mkdir -p sys/kernel/mm/hugepages/hugepages-2048kB sys/kernel/mm/hugepages/"
	      "hugepages-1048576kB && cd sys/kernel/mm/hugepages && "
	      "echo 12 >hugepages-2048kB/free_hugepages && echo 5 >hugepages-2048kB/resv_hugepages "
	      "&& echo 3 >hugepages-1048576kB/free_hugepages && "
	      "echo 4 >hugepages-1048576kB/resv_hugepages");
	shell("for n in 1 0; do d=sys/devices/system/node/node$n/hugepages/hugepages-2048kB; "
	      "mkdir -p $d && echo $((n + 5)) >$d/free_hugepages; done");
	shell("echo 20 >sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages; "
	      "echo 9 >sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages; "
	      "echo 2 >sys/kernel/mm/hugepages/hugepages-2048kB/surplus_hugepages");
	shell("printf 'Node 1 MemTotal: 9 kB\\nNode 1 MemFree: 3 kB\\nNode 1 Inactive(file): 4 "
	      "kB\\n' "
	      ">sys/devices/system/node/node1/meminfo");
	shell("mkdir -p proc/self && printf 'Mems_allowed:\\t2\\nMems_allowed_list:\\t1,3-5\\n' "
	      ">proc/self/status");
	host_memory_probe(root, &m);
	assert_int_equal(m.pool[HOST_PAGES_2M], 20);
	assert_int_equal(m.could_make[HOST_PAGES_2M], 7);
	assert_true(m.has_huge[HOST_PAGES_2M]);
	assert_int_equal(m.nodes[1].available, 7 * KIB);
	assert_int_equal(m.nodes[1].total, 9 * KIB);
	assert_int_equal(m.nodes[0].total, 0);
	assert_false(m.nodes[0].allowed);
	assert_true(m.nodes[1].allowed);
	assert_int_equal(m.available, 2 * MIB);
	assert_int_equal(m.swap, 4 * KIB);
	assert_int_equal(m.huge[HOST_PAGES_2M], 7); /* 5 are promised to somebody */
	assert_int_equal(m.huge[HOST_PAGES_1G], 0);
	assert_int_equal(m.nr_nodes, 2);
	assert_int_equal(m.nodes[0].number, 0);
	assert_int_equal(m.nodes[1].huge[HOST_PAGES_2M], 6);
	assert_int_equal(m.nodes[1].huge[HOST_PAGES_1G], 0);
	assert_int_equal(host_pages(GIB), HOST_PAGES_1G);
	assert_int_equal(host_pages(4 * KIB), -1);
}

static void test_host(void **state)
{
	struct vfio_host h;

	(void)state;
	vfio_host_probe(root, &h);
	assert_false(h.remaps_interrupts || h.unsafe_interrupts || h.posts_interrupts);
	shell("mkdir -p proc sys/module/vfio_iommu_type1/parameters sys/module/kvm_amd/parameters "
	      "&& echo ' 27: 0 0  PCI-MSIX-0000:00:05.0  0-edge nvme0q0' >proc/interrupts && "
	      "echo Y >sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts && "
	      "echo 4096 >sys/module/vfio_iommu_type1/parameters/dma_entry_limit && "
	      "echo N >sys/module/kvm_amd/parameters/avic");
	vfio_host_probe(root, &h);
	assert_false(h.remaps_interrupts);
	assert_true(h.unsafe_interrupts);
	assert_int_equal(h.dma_entries, 4096);
	assert_false(h.posts_interrupts);
	shell("echo ' 27: 0 0  IR-PCI-MSIX-0000:00:05.0  0-edge nvme0q0' >>proc/interrupts && "
	      "echo 1 >sys/module/kvm_amd/parameters/avic");
	vfio_host_probe(root, &h);
	assert_true(h.remaps_interrupts && h.posts_interrupts);
}

static void test_nodes(void **state)
{
	struct vfio_id id = { .name = "0000:41:00.0", .pci = true, .has_group = true, .group = 7 };

	(void)state;
	shell("mkdir -p dev/vfio/devices && touch dev/vfio/vfio");
	assert_int_equal(vfio_check_nodes(root, &id, IOMMU_AUTO, &err), -ENOENT);
	says("dev/vfio/7 does not exist");
	assert_int_equal(vfio_check_nodes(root, &id, IOMMU_IOMMUFD, &err), -ENODEV);
	says("CONFIG_VFIO_DEVICE_CDEV");
	snprintf(id.cdev, sizeof(id.cdev), "vfio3");
	assert_int_equal(vfio_check_nodes(root, &id, IOMMU_IOMMUFD, &err), -ENOENT);
	says("dev/iommu does not exist");
	shell("touch dev/iommu dev/vfio/devices/vfio3");
	assert_int_equal(vfio_check_nodes(root, &id, IOMMU_AUTO, &err), 0);
	assert_int_equal(vfio_check_nodes(root, &id, IOMMU_TYPE1, &err), -ENOENT);
	shell("rm dev/iommu && touch dev/vfio/7");
	assert_int_equal(vfio_check_nodes(root, &id, IOMMU_AUTO, &err), 0);
	id.no_iommu = true;
	assert_int_equal(vfio_check_nodes(root, &id, IOMMU_TYPE1, &err), -ENOENT);
	says("dev/vfio/noiommu-7");
}

static void test_direct(void **state)
{
	struct host_facts facts = {
		.resv = { { { 0, MIB }, HOST_RESV_DIRECT_RELAXABLE, 7 },
			  { { GIB, GIB + MIB }, HOST_RESV_DIRECT, 7 } },
		.nr_resv = 2,
	};

	(void)state;
	shell("mkdir -p proc/sys/kernel sys/class/iommu/ivhd0 && "
	      "echo 6.5.0-14-generic >proc/sys/kernel/osrelease");
	assert_int_equal(vfio_check_direct(root, &facts, &err), 0); /* AMD's driver attached them */
	shell("rmdir sys/class/iommu/ivhd0 && mkdir sys/class/iommu/dmar0");
	assert_int_equal(vfio_check_direct(root, &facts, &err), -EPERM);
	says("[0x40000000, 0x40100000)");
	shell("rmdir sys/class/iommu/dmar0 && mkdir sys/class/iommu/ivhd0 && "
	      "echo 6.12.1 >proc/sys/kernel/osrelease");
	assert_int_equal(vfio_check_direct(root, &facts, &err), -EPERM);
	facts.nr_resv = 1;
	assert_int_equal(vfio_check_direct(root, &facts, &err), 0);
}

static void test_resets(void **state)
{
	struct vfio_id id = { .name = "0000:41:00.0", .path = "/sys/x" };
	char resets[64];

	(void)state;
	shell("mkdir -p proc/sys/kernel sys/x && echo 5.10.0 >proc/sys/kernel/osrelease");
	vfio_reset_methods(root, &id, resets);
	assert_string_equal(resets, "");
	shell("echo 5.15.0 >proc/sys/kernel/osrelease");
	vfio_reset_methods(root, &id, resets);
	assert_string_equal(resets, "none");
	shell("echo flr bus >sys/x/reset_method");
	vfio_reset_methods(root, &id, resets);
	assert_string_equal(resets, "flr bus");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_tree, remove_tree)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_memory), TEST(test_host),   TEST(test_nodes),
		TEST(test_direct), TEST(test_resets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
