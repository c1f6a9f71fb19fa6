/* @facts of this machine is JSON with every member; what they are, only a known guest can tell. */
#include "init/facts.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <jansson.h>
#include <cmocka.h>

static void test_members(void **state)
{
	static const struct {
		const char *name;
		json_type type;
	} members[] = {
		{ "release", JSON_STRING },	{ "cmdline", JSON_STRING }, { "e820", JSON_ARRAY },
		{ "iomem", JSON_ARRAY },	{ "cpus", JSON_OBJECT },    { "nodes", JSON_ARRAY },
		{ "memory_kib", JSON_INTEGER }, { "pci", JSON_ARRAY },	    { "dmi", JSON_OBJECT },
	};
	char *text;
	size_t len;
	FILE *to = open_memstream(&text, &len);
	json_t *json, *node;
	size_t n;

	(void)state;
	facts_write(to);
	fclose(to);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		assert_int_equal(json_typeof(json_object_get(json, members[i].name)),
				 members[i].type);
	assert_true(json_integer_value(json_object_get(json, "memory_kib")) > 0);
	assert_true(json_array_size(json_object_get(json, "nodes")) > 0);
	json_array_foreach(json_object_get(json, "nodes"), n, node)
	{
		const json_t *distances = json_object_get(node, "distances");

		assert_int_equal(json_array_size(distances),
				 json_array_size(json_object_get(json, "nodes")));
		assert_int_equal(json_integer_value(json_array_get(distances, n)), 10);
	}
	json_decref(json);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_members) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
