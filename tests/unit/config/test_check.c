/*
 * The rules between options: contradictions are refused by name, and what is left out is computed.
 */
#include "tests/unit/config/config_line.h"

#include <stdio.h>

static void test_cpu_topology(void **state)
{
	static const struct {
		const char *line;
		unsigned cpus, sockets, cores, threads;
	} cases[] = {
		{ "--cpus 1", 1, 1, 1, 1 },
		{ "--cpus 6", 6, 1, 6, 1 },
		{ "--cpus 4096", 4096, 1, 4096, 1 },
		{ "--cpus sockets=2,cores=4,threads=2", 16, 2, 4, 2 },
		{ "--cpus sockets=2", 2, 2, 1, 1 },
		{ "--cpus 8,sockets=2", 8, 2, 4, 1 },
		{ "--cpus 8,threads=2", 8, 1, 4, 2 },
		{ "--cpus 8,cores=4", 8, 2, 4, 1 },
		{ "--cpus 8,cores=2,sockets=2", 8, 2, 2, 2 },
		{ "--cpus threads=2,cores=4,cpus=8", 8, 1, 4, 2 },
		/* Nodes are sockets, however it is said that they are even. */
		{ "--cpus 4 --numa 1G --numa 1G", 4, 2, 2, 1 },
		{ "--cpus 4 --numa 1G,cpus=0-1 --numa 1G,cpus=2-3", 4, 2, 2, 1 },
		{ "--cpus 4 --numa 1G,cpus=0-2 --numa 1G,cpus=3", 4, 1, 4, 1 },
		{ "--cpus 5 --numa 1G --numa 1G", 5, 1, 5, 1 },
		{ "--cpus 4,threads=2 --numa 1G --numa 1G", 4, 2, 1, 2 },
		{ "--cpus 6,threads=2 --numa 1G --numa 1G", 6, 1, 3, 2 },
		{ "--cpus 4,cores=4 --numa 1G --numa 1G", 4, 1, 4, 1 },
		{ "--cpus 4 --numa 1G,cpus=2-3 --numa 1G,cpus=0-1", 4, 2, 2, 1 },
		/* Nodes of memory alone are no sockets, and nodes in pieces are in one. */
		{ "--cpus 4 --numa 1G,cpus=0-1 --numa 1G,cpus=2-3 --numa 1G", 4, 2, 2, 1 },
		{ "--cpus 4 --numa 1G,cpus=0-3 --numa 1G", 4, 1, 4, 1 },
		{ "--cpus 8 --numa 1G,cpus=0-1,4-5 --numa 1G,cpus=2-3,6-7", 8, 1, 8, 1 },
		/* But where gaps between APIC ids alone would cost CPUs, they are in one. */
		{ "--cpus 240 --numa 2G --numa 2G --numa 2G --numa 2G --numa 2G --numa 2G", 240, 1,
		  240, 1 },
		{ "--cpus 320 --numa 2G --numa 2G --numa 2G --numa 2G --numa 2G", 320, 5, 64, 1 },
		{ "--cpus 192 --numa 2G --numa 2G --numa 2G", 192, 3, 64, 1 },
	};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		accept(&c, CMD_PLAN, cases[i].line);
		if (c.cpus != cases[i].cpus || c.sockets != cases[i].sockets ||
		    c.cores != cases[i].cores || c.threads != cases[i].threads)
			fail_msg("%s: %u = %u * %u * %u", cases[i].line, c.cpus, c.sockets, c.cores,
				 c.threads);
		config_free(&c);
	}
	refuse(CMD_PLAN, "--cpus 7,sockets=2",
	       "7 CPUs cannot be dealt out evenly: sockets, cores and threads, as given, multiply "
	       "to 2");
	refuse(CMD_PLAN, "--cpus 8,sockets=2,cores=2,threads=1",
	       "multiply to 4 CPUs, but there shall be 8; leave one of the numbers out");
	refuse(CMD_PLAN, "--cpus sockets=4096,cores=4096,threads=4096",
	       "multiply to 68719476736 CPUs, but there can be at most 4096");
	accept(&c, CMD_PLAN, "--cpus 24,dies=3,threads=2");
	assert_int_equal(c.dies, 3);
	assert_int_equal(c.cores, 12);
	config_free(&c);
	refuse(CMD_PLAN, "--cpus 24,dies=5",
	       "the 24 cores of a socket cannot be dealt out evenly to 5 dies");
	refuse(CMD_PLAN, "--cpus 24,dies=0", "dies");
	refuse(CMD_PLAN, "--cpus 2,sockets=4", "2 CPUs cannot be dealt out evenly");
}

static void test_memory_rules(void **state)
{
	struct config c;

	(void)state;
	refuse(CMD_PLAN, "--memory 0", "--memory 0: a guest needs RAM; use at least 2M");
	refuse(CMD_PLAN, "--memory 0 --page-size 1G", "use at least 1G");
	refuse(CMD_RUN, "--kernel k --page-size 2M --balloon 0",
	       "which with --page-size 2M might have none left when the guest wants them again");
	refuse(CMD_RUN, "--kernel k --lock-memory --balloon 0",
	       "--balloon gives memory back that --lock-memory keeps");
	refuse(CMD_RUN, "--kernel k --prefault background --balloon 0",
	       "touch pages that --balloon has just given back");
	refuse(CMD_RUN, "--kernel k --prefault background --vfio 0000:41:00.0,port=off",
	       "--vfio 0000:41:00.0,port=off: a guest finds nothing on a root bus that comes "
	       "after");
	refuse(CMD_RUN, "--kernel k --on-late-failure continue", "add --prefault background");
	refuse(CMD_PLAN, "--memory 3M", "--memory 3M is not a multiple of 2M; use 2M or 4M");
	refuse(CMD_PLAN, "--memory 1M", "--memory 1M is not a multiple of 2M; use 2M");
	refuse(CMD_PLAN, "--memory 2097153",
	       "--memory 2097153 is not a multiple of 2M; use 2M or 4M");
	refuse(CMD_PLAN, "--memory 1.5G --page-size 1G",
	       "--memory 1536M is not a multiple of 1G, the --page-size; use 1G or 2G");
	refuse(CMD_PLAN, "--memory 4097T",
	       "--memory 4097T is too much: x86 CPUs have at most 52 address bits; use at most "
	       "4096T");
	refuse(CMD_PLAN, "--memory 0xffffffffffffffff", "is too much");
	refuse(CMD_PLAN, "--max-memory 0xffffffffffffffff", "is too much");
	refuse(CMD_PLAN, "--memory 2G --max-memory 1G",
	       "--max-memory 1G is less than --memory 2G; it counts all RAM, so use at least 2G");
	refuse(CMD_PLAN, "--max-memory 512M",
	       "--max-memory 512M is less than --memory 1G (the default)");
	refuse(CMD_PLAN, "--max-memory 1025M", "--max-memory 1025M is not a multiple of 2M");
	refuse(CMD_PLAN, "--low-memory 3M", "--low-memory 3M is not a multiple of 2M");
	refuse(CMD_PLAN, "--low-memory 3.75G",
	       "--low-memory 3840M is too much: PCI configuration space begins at 0xe0000000; use "
	       "at most 3584M");
	refuse(CMD_PLAN, "--low-memory 3.5G --page-size 1G", "use at most 3G");
	refuse(CMD_PLAN, "--low-memory 0xffffffffffffffff", "is too much");
	refuse(CMD_PLAN, "--high-memory-start 3G",
	       "--high-memory-start 3G is below 4 GiB, where PCI and the interrupt controllers "
	       "are; use at least 4G");
	refuse(CMD_PLAN, "--high-memory-start 0xfcf0000001", "is not a multiple of 2M; use ");
	refuse(CMD_PLAN, "--high-memory-start 4.5G --page-size 1G",
	       "is not a multiple of 1G, the --page-size; use 4G or 5G");
	refuse(CMD_PLAN, "--high-memory-start 4096T", "is too much");
	refuse(CMD_PLAN, "--layout hole --high-memory-start 8G",
	       "--layout hole chooses where the RAM above 4 GiB lies, and so does "
	       "--high-memory-start; leave one of them out");
	refuse(CMD_RUN, "--kernel k --layout holes", "--layout holes: use lowest or hole");
	refuse(CMD_PLAN, "--pci32-window 2.5G", "--pci32-window 2560M is too much");
	refuse(CMD_PLAN, "--pci32-window 1K", "--pci32-window 1K is not a multiple of 1M; use 1M");
	refuse(CMD_PLAN, "--pci64-window 1000000",
	       "--pci64-window 1000000 is not a multiple of 1M; use 1M");
	refuse(CMD_PLAN, "--pci64-window 5000T", "--pci64-window 5000T is too much");
	refuse(CMD_PLAN, "--reserve 1G-3G --reserve 8G-9G --reserve 2G-0xc0000001",
	       "--reserve 0x40000000-0xc0000000 and --reserve 0x80000000-0xc0000001 overlap; make "
	       "one range of them");

	refuse(CMD_PLAN, "--reserve 1G-2G --reserve 0-0x40000001",
	       "--reserve 0x40000000-0x80000000 and --reserve 0-0x40000001 overlap");

	/* The edges that are allowed. */
	accept(&c, CMD_PLAN, "--memory 4096T --max-memory 4096T --low-memory 3.5G");
	config_free(&c);
	accept(&c, CMD_PLAN, "--layout lowest --high-memory-start 8G");
	assert_int_equal(c.layout, LAYOUT_LOWEST);
	config_free(&c);
	accept(&c, CMD_RUN, "--kernel k --layout hole --low-memory 1G --numa 1G --numa 1G");
	assert_int_equal(c.layout, LAYOUT_HOLE);
	config_free(&c);
	accept(&c, CMD_PLAN, "--memory 2M --reserve 1G-2G --reserve 2G-3G --pci32-window 2G");
	config_free(&c);
	accept(&c, CMD_PLAN, "--memory 1G --max-memory 1G --high-memory-start 4G --page-size 1G");
	config_free(&c);
}

static void test_numa_rules(void **state)
{
	struct config c;

	(void)state;
	accept(&c, CMD_PLAN, "--numa 1G --numa 512M");
	assert_int_equal(c.memory, GIB + 512 * MIB);
	config_free(&c);
	accept(&c, CMD_PLAN, "--memory 3G --cpus 3 --numa 1G,cpus=0 --numa 2G,cpus=1-2");
	config_free(&c);
	refuse(CMD_PLAN, "--memory 4G --numa 1G --numa 2G",
	       "the --numa nodes have 3G together, but --memory is 4G; make them equal, or leave "
	       "--memory out");
	refuse(CMD_PLAN, "--numa 1G --numa 1M", "--numa 1M is not a multiple of 2M; use 2M");
	refuse(CMD_PLAN, "--numa 0xffffffffffe00000 --numa 4M", "is too much");
	refuse(CMD_PLAN, "--numa 4096T --numa 4096T", "--memory 8192T is too much");
	refuse(CMD_PLAN, "--numa 2G --max-memory 1G", "--max-memory 1G is less than --memory 2G;");
	refuse(CMD_PLAN, "--cpus 4 --numa 1G --numa 1G,cpus=0-1",
	       "--numa: CPUs 2 to 3 belong to no node; add them to the cpus= of one");
	refuse(CMD_PLAN, "--cpus 4 --numa 1G,cpus=0 --numa 1G,cpus=2-3",
	       "--numa: CPU 1 belongs to no node; add it to the cpus= of one");
	refuse(CMD_PLAN, "--cpus 4 --numa 1G,cpus=0-1 --numa 1G,cpus=1-3",
	       "CPU 1 is in node 0 already");
	refuse(CMD_PLAN, "--cpus 4 --numa 2G,cpus=0-3 --numa 1G,cpus=4-5",
	       "--numa 1G (node 1) has CPU 4, but there are 4 CPUs, 0 to 3; use more --cpus or");
	refuse(CMD_PLAN, "--cpus 4,threads=2 --numa 1G,cpus=0,2-3 --numa 1G,cpus=1",
	       "--numa: CPUs 0 and 1 are threads of one core, which cannot be in nodes 0 and 1");
	accept(&c, CMD_PLAN, "--cpus 2 --numa 1G,host=3,cpus=0 --numa 1G,cpus=1 --page-size 2M");
	assert_true(c.nodes[0].bound && !c.nodes[1].bound);
	assert_int_equal(c.nodes[0].host, 3);
	assert_true(config_prefaults(&c)); /* huge pages of one node might be gone later */
	config_free(&c);
	accept(&c, CMD_PLAN, "--numa 1G,host=0");
	assert_false(config_prefaults(&c));
	config_free(&c);
	accept(&c, CMD_PLAN, "--numa 1G --page-size 2M");
	assert_false(config_prefaults(&c));
	config_free(&c);
	accept(&c, CMD_RUN,
	       "--kernel k --cpus 6 --cpu-affinity 0-1,4@2-3,9 --cpu-affinity 5,2=7-8");
	assert_int_equal(c.affinity[0].list, 1);
	assert_int_equal(c.affinity[4].list, 1);
	assert_string_equal(c.cpu_lists[0], "2-3,9");
	assert_int_equal(c.affinity[3].list, 0);
	assert_int_equal(c.affinity[5].list, CONFIG_ONE_CPU);
	assert_int_equal(c.affinity[5].cpu, 7);
	assert_int_equal(c.affinity[2].cpu, 8);
	config_free(&c);
	accept(&c, CMD_RUN, "--kernel k --numa 1G,host=0 --cpu-affinity auto");
	assert_true(c.affinity_auto);
	config_free(&c);
	refuse(CMD_RUN, "--kernel k --cpu-affinity auto",
	       "--cpu-affinity auto follows nodes that are bound to the host's, and none is");
	refuse(CMD_RUN, "--kernel k --numa 1G,host=0 --cpu-affinity auto --cpu-affinity 0@0",
	       "--cpu-affinity auto and lists of CPUs exclude each other");
	refuse(CMD_RUN, "--kernel k --cpus 2 --cpu-affinity 0-2@0",
	       "--cpu-affinity has vCPU 2, but there are 2, 0 to 1");
	refuse(CMD_RUN, "--kernel k --numa 1G,host=0 --fold 512M",
	       "--fold has the same memory for all nodes");
	accept(&c, CMD_PLAN, "--cpus 4 --numa 1G --numa 1G,cpus=0-1,2,cpus=3");
	assert_int_equal(config_cpu_node(&c, 3), 1);
	config_free(&c);
	accept(&c, CMD_PLAN,
	       "--numa-distance 0,1,11 --numa 1G --numa 1G --numa-distance 1,0,255 "
	       "--numa-distance 1,1,10");
	assert_int_equal(c.distances[0][1], 11);
	assert_int_equal(c.distances[1][0], 255);
	config_free(&c);
	refuse(CMD_PLAN, "--numa 1G --numa 1G --numa-distance 0,2,20",
	       "--numa-distance 0,2,20 names a node that is not there: --numa makes 2, counted");
	refuse(CMD_PLAN, "--numa-distance 0,1,20", "is not there: --numa makes 0");
	refuse(CMD_PLAN, "--cpus 4 --numa 1G,cpus=0-1",
	       "CPUs 2 to 3 belong to no node; add them to the cpus= of one");
}

/* Two sockets of two nodes of 96 CPUs each, two threads a core, and memory alone as the fifth. */
static struct host_nodes host_of_five(void)
{
	struct host_nodes host = { .n = 5, .threads = 2 };

	for (unsigned i = 0; i < 5; i++) {
		host.nodes[i] = (struct host_node){ i + 1, 256 * GIB, 96, 1, (int)i / 2 };
		for (unsigned j = 0; j < 5; j++)
			host.distances[i][j] = i / 2 == j / 2 ? 12 : 32;
	}
	host.nodes[4] = (struct host_node){ 7, TIB, 0, 0, -1 };
	return host;
}

static int copied(struct config *c, const char *text, const struct host_nodes *host,
		  struct err *err)
{
	char words[128], *rest = words, *argv[16];
	int argc = 0, ret;

	snprintf(words, sizeof(words), "%s", text);
	while (rest)
		argv[argc++] = strsep(&rest, " ");
	*c = (struct config)CONFIG_EMPTY;
	assert_int_equal(config_parse(c, CMD_PLAN, argc, argv, err), 0);
	assert_true(c->numa_host);
	ret = config_copy_nodes(c, host, err);
	return ret < 0 ? ret : config_check(c, CMD_PLAN, err);
}

static void test_numa_host(void **state)
{
	struct host_nodes host = host_of_five();
	struct err err = { "" };
	struct config c;

	(void)state;
	if (copied(&c, "--numa host --memory 16G --cpus 96", &host, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(c.nr_nodes, 5);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(c.nodes[i].size, 2 * GIB);
		assert_true(c.nodes[i].bound);
		assert_int_equal(c.nodes[i].host, i + 1);
		assert_int_equal(config_cpu_node(&c, 24 * i), i);
		assert_int_equal(config_cpu_node(&c, 24 * i + 23), i);
	}
	assert_int_equal(c.nodes[4].size, 8 * GIB);
	assert_int_equal(c.nodes[4].host, 7);
	assert_int_equal(c.distances[0][1], 12);
	assert_int_equal(c.distances[1][2], 32);
	assert_int_equal(c.sockets, 2);
	assert_int_equal(c.cores, 24);
	assert_int_equal(c.threads, 2);
	config_free(&c);

	/* What is given stays; what does not fit is left to the rules for any nodes. */
	assert_int_equal(
		copied(&c, "--numa host --memory 16G --cpus 8,threads=1 --numa-distance 0,1,99",
		       &host, &err),
		0);
	assert_int_equal(c.threads, 1);
	assert_int_equal(c.distances[0][1], 99);
	config_free(&c);
	assert_int_equal(copied(&c, "--numa host --memory 16G --cpus 3", &host, &err), 0);
	assert_int_equal(c.threads, 1);
	assert_int_equal(c.sockets * c.cores, 3);
	config_free(&c);
	assert_int_equal(copied(&c, "--numa host --memory 16G", &host, &err), 0);
	assert_int_equal(config_cpu_node(&c, 0), 0);
	config_free(&c);
	host.nodes[1].sockets = 2;
	assert_int_equal(
		copied(&c, "--numa host --memory 1000G --cpus 96 --page-size 1G", &host, &err), 0);
	assert_int_equal(c.sockets, 4); /* each node is one */
	assert_int_equal(c.memory, 1000 * GIB);
	assert_int_equal(c.nodes[1].size % GIB, 0);
	config_free(&c);

	assert_int_equal(copied(&c, "--numa host --memory 8M", &host, &err), -EINVAL);
	if (!strstr(err.text, "of --memory 8M nothing would be on node 2 of the host"))
		fail_msg("%s", err.text);
	config_free(&c);
	host.n = 0;
	assert_int_equal(copied(&c, "--numa host", &host, &err), -EINVAL);
	if (!strstr(err.text, "knows no nodes"))
		fail_msg("%s", err.text);
	config_free(&c);
	refuse(CMD_PLAN, "--numa host --numa 1G", "--numa host makes all nodes");
	refuse(CMD_PLAN, "--numa 1G --numa host", "--numa host makes all nodes");
	refuse(CMD_PLAN, "--numa host --host vendor=amd", "--numa host copies this host");
}

static void test_exclusions(void **state)
{
	static const char *const fixed[] = {
		"--memory 1G",	       "--max-memory 2G",
		"--low-memory 1G",     "--page-size 2M",
		"--pci32-window 256M", "--pci64-window 1G",
		"--numa 1G",	       "--cpus 1",
		"--phys-bits 40",      "--iova-policy off",
		"--reserve 1G-2G",     "--high-memory-start 4G",
		"--layout hole",
	};
	char line[128], sentence[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		snprintf(line, sizeof(line), "--kernel k %s --plan f", fixed[i]);
		snprintf(sentence, sizeof(sentence), "--plan and %.*s exclude each other",
			 (int)strcspn(fixed[i], " "), fixed[i]);
		refuse(CMD_RUN, line, sentence);
	}
	refuse(CMD_RUN, "", "there is nothing to boot; add --kernel FILE");
	refuse(CMD_RUN, "--plan p", "there is nothing to boot");
	refuse(CMD_RUN, "--initrd rd", "--initrd rd needs a kernel to give it to");
	refuse(CMD_PLAN, "--initrd rd", "--initrd rd needs a kernel");
	refuse(CMD_PLAN, "--append x", "--append needs a kernel");
	refuse(CMD_PLAN, "--json --dtb f", "--json and --dtb exclude each other");
}

static void test_devices(void **state)
{
	struct config c;

	(void)state;
	refuse(CMD_RUN, "--kernel k --vfio 41:00.0 --vfio 42:00.0 --vfio 0000:41:00.0",
	       "--vfio 0000:41:00.0 is given twice; keep one");
	refuse(CMD_RUN, "--kernel k --vfio 41:00.0 --vfio 42:00.0,noiommu=on",
	       "--vfio 42:00.0: noiommu=on is for all devices or none");
	refuse(CMD_RUN, "--kernel k --plan p --vfio 41:00.0,port=off",
	       "--vfio 41:00.0: the plan file says where the device is; leave port=off out");
	refuse(CMD_RUN, "--kernel k --vfio-backend type1", "--vfio-backend is for devices; add");
	refuse(CMD_PLAN, "--probe", "--probe asks about devices; add --vfio DEVICE");
	refuse(CMD_PLAN, "--probe --vfio 41:00.0 --host vendor=amd --host-pci 41:00.0",
	       "--probe and --host exclude each other");
	accept(&c, CMD_RUN, "--kernel k --plan p --vfio 41:00.0");
	config_free(&c);
}

static void test_fold(void **state)
{
	struct config c;

	(void)state;
	refuse(CMD_PLAN, "--fold 3M", "--fold 3M is not a power of two of at least 2M");
	refuse(CMD_PLAN, "--fold 1M", "--fold 1M is not a power of two of at least 2M");
	refuse(CMD_PLAN, "--fold 512M --page-size 1G", "of at least 1G; use another");
	accept(&c, CMD_PLAN, "--fold 512M --page-size 2M --memory 1T");
	assert_int_equal(c.fold, 512 * MIB);
	config_free(&c);
}

static void test_debug_exit_ports(void **state)
{
	static const unsigned good[] = { 0,	0x1c,  0x22,  0x65,  0x72,  0x80,  0xf4,  0x3f4,
					 0x400, 0x501, 0x506, 0x5fc, 0x608, 0xcf4, 0xd00, 0xfffc };
	static const unsigned bad[] = { 0x1d,  0x21,  0x5d,  0x60,  0x64,  0x6d,  0x71,
					0xa1,  0x3f5, 0x3f8, 0x3ff, 0x4d1, 0x502, 0x505,
					0x5fd, 0x607, 0xcf5, 0xcf9, 0xcff, 0xfffd };
	char line[64];
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(line, sizeof(line), "--debug-exit %#x", good[i]);
		accept(&c, CMD_PLAN, line);
		assert_int_equal(c.debug_exit_port, good[i]);
		config_free(&c);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "--debug-exit %u", bad[i]);
		refuse(CMD_PLAN, line, "use another, such as 0xf4");
	}
	refuse(CMD_PLAN, "--debug-exit 0x3f6",
	       "--debug-exit 0x3f6 needs ports 0x3f6 to 0x3f9, but 0x3f8 is the serial line's");
	refuse(CMD_PLAN, "--debug-exit 0xcfc",
	       "--debug-exit 0xcfc needs ports 0xcfc to 0xcff, but 0xcfc is the PCI configuration "
	       "mechanism's");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpu_topology), cmocka_unit_test(test_memory_rules),
		cmocka_unit_test(test_numa_rules),   cmocka_unit_test(test_numa_host),
		cmocka_unit_test(test_exclusions),   cmocka_unit_test(test_debug_exit_ports),
		cmocka_unit_test(test_devices),	     cmocka_unit_test(test_fold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
