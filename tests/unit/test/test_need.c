/* What cases take of the host, and what the host has. */
#include "vmm/test/need.h"

#include "vmm/base/units.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct admission_need need;
static struct err err;

static void read_need(const char *line)
{
	struct config c = CONFIG_EMPTY;
	char text[1024], *argv[64], *word, *rest = NULL;
	int argc = 0;

	test_need_free(&need);
	snprintf(text, sizeof(text), "--kernel k %s -- true", line);
	for (word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	if (config_parse(&c, CMD_TEST, argc, argv, &err) < 0 ||
	    config_check(&c, CMD_TEST, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(test_need_of(&c, &need, &err), 0);
	config_free(&c);
}

static void expect_names(const char *names)
{
	char text[1024] = "";

	for (unsigned i = 0; i < need.nr_names; i++) {
		strcat(text, i ? "|" : "");
		strcat(text, need.names[i]);
	}
	assert_string_equal(text, names);
}

static void test_needs(void **state)
{
	(void)state;
	read_need("");
	assert_in_range(need.amounts[ADMISSION_MEMORY], GIB, GIB + 256 * MIB);
	assert_int_equal(need.amounts[ADMISSION_CPUS], 1);
	expect_names("");
	read_need("--memory 1.5T --page-size 1G --cpus 8");
	assert_int_equal(need.amounts[ADMISSION_HUGE_1G], 1536 * GIB);
	assert_in_range(need.amounts[ADMISSION_MEMORY], 1, 256 * MIB);
	assert_int_equal(need.amounts[ADMISSION_CPUS], 8);
	read_need("--memory 4G --page-size 2M");
	assert_int_equal(need.amounts[ADMISSION_HUGE_2M], 4 * GIB);
	/* Folded memory is as small as it is. */
	read_need("--memory 60T --fold 512M");
	assert_in_range(need.amounts[ADMISSION_MEMORY], 512 * MIB, GIB);
	test_need_free(&need);
}

static void test_names(void **state)
{
	(void)state;
	read_need("--vfio 41:00.0 --vfio 0001:41:00.0");
	expect_names("device 0000:41:00.0|device 0001:41:00.0");
	read_need("--disk a --disk b,readonly=on --disk c,private=on --net tap=t0 --vsock cid=7 "
		  "--core x");
	expect_names("file a|tap t0|file x|vsock 7");
	read_need("--fs socket=s,tag=t --disk vhost-user=d --net vhost-user=n "
		  "--vsock cid=7,socket=v");
	expect_names("socket d|socket n|socket s|socket v");
	read_need("--core /tmp"); /* a file for each case */
	expect_names("");
	read_need("--pmem p --pmem q,private=on");
	expect_names("file p");
	read_need("--memory 3G --numa 1G,host=1 --numa 1G,host=4 --numa 1G,host=1");
	expect_names("");
	read_need("--memory 3G --numa 1G,host=1 --numa 1G,host=4 --numa 1G,host=1 --page-size 2M");
	expect_names("huge pages of node 1|huge pages of node 4");
	test_need_free(&need);
}

/* Whatever host this is, one case fits. */
static void test_room(void **state)
{
	uint64_t total[ADMISSION_KINDS];
	struct admission a;

	(void)state;
	test_need_room("", total);
	assert_true(total[ADMISSION_CPUS] >= 1);
	assert_true(total[ADMISSION_MEMORY] > 0);
	read_need("--memory 100T --cpus 200");
	admission_init(&a, total, 1);
	assert_int_equal(admission_ask(&a, &need), ADMISSION_NOW);
	admission_free(&a);
	test_need_free(&need);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
