/*
 * The plan as JSON: the schema's keys, in its order, and every number.
 */
#include "vmm/plan/json.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct plan plan;
static struct err err;

static json_t *plan_of(const struct config *c)
{
	const struct host_facts amd = { .vendor = HOST_AMD, .family = 0x19, .phys_bits = 48 };
	json_error_t why;
	json_t *json;
	char *text = NULL;

	if (plan_build(&plan, c, &amd, &err) || plan_json(&plan, NULL, &text, &err))
		fail_msg("%s", err.text);
	json = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	if (!json)
		fail_msg("%s", why.text);
	free(text);
	return json;
}

/* The JSON equals the text, order of keys included. Gives `json` up. */
static void expect(json_t *json, const char *text)
{
	char *got = json_dumps(json, JSON_COMPACT);

	assert_string_equal(got, text);
	free(got);
	json_decref(json);
}

/* 512 MiB low, 256 MiB below the hole, 256 MiB above it: every key, every number. */
static void test_straddling(void **state)
{
	struct config c = CONFIG_EMPTY;

	(void)state;
	c.sockets = c.cores = c.threads = 1;
	c.low_memory = 512 * MIB;
	c.high_memory_start = UINT64_C(0xfcf0000000);
	expect(plan_of(&c),
	       "{\"ram_size\":1073741824,\"max_memory\":1073741824,\"page_size\":4096,"
	       "\"cpus\":{\"count\":1,\"sockets\":1,\"dies\":1,\"cores\":1,\"threads\":1,"
	       "\"apic_ids\":[0]},"
	       "\"nodes\":[{\"size\":1073741824,\"cpus\":1,\"cpu_list\":\"0\",\"distances\":[10],"
	       "\"host_node\":null}],"
	       "\"phys_bits\":48,"
	       "\"phys_bits_required\":41,\"iova_policy\":\"auto\",\"forbidden\":["
	       "{\"start\":1086626725888,\"end\":1099511627776,"
	       "\"why\":\"AMD HyperTransport: the IOMMU cannot translate it\"},"
	       "{\"start\":281462091808768,\"end\":281474976710656,"
	       "\"why\":\"AMD CPU: top 12 GiB of 48 address bits\"}],\"regions\":["
	       "{\"start\":0,\"end\":536870912,\"kind\":\"ram\",\"node\":0},"
	       "{\"start\":3221225472,\"end\":3758096384,\"kind\":\"pci32\"},"
	       "{\"start\":3758096384,\"end\":4026531840,\"kind\":\"ecam\"},"
	       "{\"start\":4026531840,\"end\":4273995776,\"kind\":\"pci32\"},"
	       "{\"start\":4273995776,\"end\":4277141504,\"kind\":\"apic\"},"
	       "{\"start\":4278173696,\"end\":4278190080,\"kind\":\"reserved\"},"
	       "{\"start\":4278190080,\"end\":4294967296,\"kind\":\"rom\"},"
	       "{\"start\":1086358290432,\"end\":1086626725888,\"kind\":\"ram\",\"node\":0},"
	       "{\"start\":1086626725888,\"end\":1099511627776,\"kind\":\"reserved\"},"
	       "{\"start\":1099511627776,\"end\":1099780063232,\"kind\":\"ram\",\"node\":0},"
	       "{\"start\":1100585369600,\"end\":1169304846336,\"kind\":\"pci64\"}],\"e820\":["
	       "{\"start\":0,\"end\":654336,\"type\":\"usable\"},"
	       "{\"start\":654336,\"end\":786432,\"type\":\"reserved\"},"
	       "{\"start\":786432,\"end\":1048576,\"type\":\"acpi\"},"
	       "{\"start\":1048576,\"end\":536870912,\"type\":\"usable\"},"
	       "{\"start\":3758096384,\"end\":4026531840,\"type\":\"reserved\"},"
	       "{\"start\":4273995776,\"end\":4277141504,\"type\":\"reserved\"},"
	       "{\"start\":4278173696,\"end\":4294967296,\"type\":\"reserved\"},"
	       "{\"start\":1086358290432,\"end\":1086626725888,\"type\":\"usable\"},"
	       "{\"start\":1086626725888,\"end\":1099511627776,\"type\":\"reserved\"},"
	       "{\"start\":1099511627776,\"end\":1099780063232,\"type\":\"usable\"}],\"srat\":["
	       "{\"start\":0,\"end\":536870912,\"node\":0,\"hotplug\":false},"
	       "{\"start\":1086358290432,\"end\":1086626725888,\"node\":0,\"hotplug\":false},"
	       "{\"start\":1099511627776,\"end\":1099780063232,\"node\":0,\"hotplug\":false}],"
	       "\"dma\":[{\"start\":0,\"end\":536870912},"
	       "{\"start\":1086358290432,\"end\":1086626725888},"
	       "{\"start\":1099511627776,\"end\":1099780063232}],"
	       "\"cmos\":{\"above_16m_64k\":7936,\"above_4g_64k\":0},"
	       "\"pci\":{\"ecam\":{\"start\":3758096384,\"end\":4026531840},"
	       "\"mmio32\":[{\"start\":3221225472,\"end\":3758096384},"
	       "{\"start\":4026531840,\"end\":4273995776}],"
	       "\"mmio64\":[{\"start\":1100585369600,\"end\":1169304846336}]}}");
}

static void test_nodes_and_hotplug(void **state)
{
	struct config c = CONFIG_EMPTY;
	json_t *json;

	(void)state;
	c.memory = 2 * GIB;
	c.max_memory = 3 * GIB;
	c.cpus = 6;
	c.sockets = 2;
	c.cores = 3;
	c.threads = 1;
	c.nr_nodes = 2;
	c.nodes[0].size = c.nodes[1].size = GIB;
	c.nodes[1].bound = true;
	c.nodes[1].host = 3;
	c.iova_policy = IOVA_OFF;
	json = plan_of(&c);
	assert_string_equal(json_string_value(json_object_get(json, "iova_policy")), "off");
	assert_int_equal(json_array_size(json_object_get(json, "forbidden")), 1);
	expect(json_incref(json_object_get(json, "nodes")),
	       "[{\"size\":1073741824,\"cpus\":3,\"cpu_list\":\"0-2\",\"distances\":[10,20],\"host_"
	       "node\":null},"
	       "{\"size\":1073741824,\"cpus\":3,\"cpu_list\":\"3-5\",\"distances\":[20,10],\"host_"
	       "node\":3}]");
	expect(json_incref(json_object_get(json, "cpus")),
	       "{\"count\":6,\"sockets\":2,\"dies\":1,\"cores\":3,\"threads\":1,"
	       "\"apic_ids\":[0,1,2,4,5,6]}");
	expect(json_incref(json_object_get(json, "srat")),
	       "[{\"start\":0,\"end\":1073741824,\"node\":0,\"hotplug\":false},"
	       "{\"start\":1073741824,\"end\":2147483648,\"node\":1,\"hotplug\":false},"
	       "{\"start\":4294967296,\"end\":5368709120,\"node\":1,\"hotplug\":true}]");
	expect(json_incref(json_object_get(json, "dma")), "[{\"start\":0,\"end\":2147483648}]");
	expect(json_incref(json_array_get(json_object_get(json, "regions"), 8)),
	       "{\"start\":4294967296,\"end\":5368709120,\"kind\":\"hotplug\",\"node\":1}");
	json_decref(json);
}

/* The key that is there when a kernel was given. */
static void test_boot(void **state)
{
	const struct plan_boot_place places[] = {
		{ { 0x10000, 0x10030 }, "GDT" },
		{ { 0x1000000, 0x1001000 }, "kernel" },
	};
	const struct plan_boot boot = { "linux64", 0x1000200, places, 2 };
	struct config c = CONFIG_EMPTY;
	char *text = NULL;
	json_t *json;

	(void)state;
	c.sockets = c.cores = c.threads = 1;
	json = plan_of(&c);
	assert_null(json_object_get(json, "boot"));
	json_decref(json);
	assert_int_equal(plan_json(&plan, &boot, &text, &err), 0);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	expect(json_incref(json_object_get(json, "boot")),
	       "{\"protocol\":\"linux64\",\"entry\":16777728,\"places\":["
	       "{\"start\":65536,\"end\":65584,\"what\":\"GDT\"},"
	       "{\"start\":16777216,\"end\":16781312,\"what\":\"kernel\"}]}");
	json_decref(json);
}

/* The keys that only plans with devices have. */
static void test_devices(void **state)
{
	struct host_facts host = { .vendor = HOST_INTEL, .family = 6, .phys_bits = 46 };
	struct config c = CONFIG_EMPTY;
	json_t *json, *pci;
	char *text;

	(void)state;
	c.sockets = c.cores = c.threads = 1;
	c.nr_vfio = host.nr_pci = 2;
	c.vfio[1].root_bus = true;
	strcpy(host.pci[0].name, "0000:41:00.0");
	host.pci[0].bars[0] = (struct bar_shape){ GIB, .wide = true, .prefetch = true };
	host.pci[0].bars[2] = (struct bar_shape){ 256, .io = true };
	host.pci[0].rom_size = 64 * KIB;
	host.pci[1].index = 1;
	strcpy(host.pci[1].name, "0000:42:00.0");
	host.pci[1].bars[1] = (struct bar_shape){ .size = 4 * KIB };
	assert_int_equal(plan_build(&plan, &c, &host, &err), 0);
	assert_int_equal(plan_json(&plan, NULL, &text, &err), 0);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	pci = json_object_get(json, "pci");
	expect(json_incref(json_object_get(pci, "ports")),
	       "[{\"slot\":1,\"function\":0,\"bus\":1,\"io\":{\"start\":4096,\"end\":8192},"
	       "\"mem32\":{\"start\":3221225472,\"end\":3222274048},"
	       "\"prefetch\":{\"start\":4294967296,\"end\":5368709120}}]");
	expect(json_incref(json_object_get(pci, "devices")),
	       "[{\"name\":\"0000:41:00.0\",\"type\":\"passed-through\",\"bus\":1,\"slot\":0,"
	       "\"function\":0,\"port\":0,\"node\":0,\"gsi\":17,\"bars\":["
	       "{\"bar\":0,\"size\":1073741824,\"start\":4294967296,\"end\":5368709120,\"kind\":"
	       "\"memory\",\"width\":"
	       "64,"
	       "\"prefetch\":true},"
	       "{\"bar\":2,\"size\":256,\"start\":4096,\"end\":4352,\"kind\":\"io\",\"width\":32,"
	       "\"prefetch\":false},"
	       "{\"bar\":6,\"size\":65536,\"start\":3221225472,\"end\":3221291008,\"kind\":\"rom\","
	       "\"width\":32,"
	       "\"prefetch\":false}]},"
	       "{\"name\":\"0000:42:00.0\",\"type\":\"passed-through\",\"bus\":0,\"slot\":2,"
	       "\"function\":0,\"port\":null,\"node\":0,\"gsi\":18,\"bars\":["
	       "{\"bar\":1,\"size\":4096,\"start\":3222274048,\"end\":3222278144,\"kind\":"
	       "\"memory\",\"width\":"
	       "32,"
	       "\"prefetch\":false}]}]");
	json_decref(json);

	/* Ports that are unassigned. */
	plan.pci[0].bars[2].at = 0;
	assert_int_equal(plan_json(&plan, NULL, &text, &err), 0);
	assert_non_null(strstr(text, "\"size\": 256,\n            \"start\": null,\n"
				     "            \"end\": null,"));
	free(text);
}

/* Host bridges are listed when there are several. */
static void test_bridges(void **state)
{
	struct host_facts host = { .vendor = HOST_INTEL, .family = 6, .phys_bits = 46 };
	struct config c = CONFIG_EMPTY;
	json_t *json, *pci;
	char *text;

	(void)state;
	c.memory = 2 * GIB;
	c.cpus = c.cores = c.nr_nodes = 2;
	c.sockets = c.threads = 1;
	c.nodes[0].size = c.nodes[1].size = GIB;
	c.nr_vfio = host.nr_pci = 1;
	c.vfio[0].has_node = true;
	c.vfio[0].node = 1;
	strcpy(host.pci[0].name, "0000:41:00.0");
	host.pci[0].bars[0] = (struct bar_shape){ GIB, .wide = true, .prefetch = true };
	assert_int_equal(plan_build(&plan, &c, &host, &err), 0);
	assert_int_equal(plan_json(&plan, NULL, &text, &err), 0);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(strstr(text, "\"kind\": \"pci64\",\n      \"bridge\": 1"));
	free(text);
	pci = json_object_get(json, "pci");
	assert_int_equal(json_integer_value(json_object_get(
				 json_array_get(json_object_get(pci, "devices"), 0), "node")),
			 1);
	expect(json_incref(json_object_get(pci, "bridges")),
	       "[{\"node\":0,\"bus\":0,\"buses\":1},{\"node\":1,\"bus\":1,\"buses\":2}]");
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_straddling), cmocka_unit_test(test_nodes_and_hotplug),
		cmocka_unit_test(test_boot),	   cmocka_unit_test(test_devices),
		cmocka_unit_test(test_bridges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
