/* JSON as it is written: layout, escapes, and that jansson reads all of it back. */
#include "init/writer.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <cmocka.h>

static char *text;
static size_t len;

static struct writer start(void)
{
	struct writer w = { .to = open_memstream(&text, &len) };

	return w;
}

static void test_layout(void **state)
{
	struct writer w = start();

	(void)state;
	writer_open(&w, NULL, '{');
	writer_number(&w, "n", UINT64_MAX);
	writer_open(&w, "list", '[');
	writer_open(&w, NULL, '{');
	writer_flag(&w, "yes", true);
	writer_open(&w, "pair", '[');
	writer_number(&w, NULL, 1);
	writer_number(&w, NULL, 2);
	writer_close(&w, ']');
	writer_close(&w, '}');
	writer_open(&w, NULL, '{');
	writer_close(&w, '}');
	writer_close(&w, ']');
	writer_open(&w, "none", '[');
	writer_close(&w, ']');
	writer_text(&w, "null", NULL);
	writer_thousandths(&w, "speed", 12034);
	writer_close(&w, '}');
	fclose(w.to);
	assert_string_equal(text, "{\n"
				  "  \"n\": 18446744073709551615,\n"
				  "  \"list\": [\n"
				  "    {\"yes\": true, \"pair\": [1, 2]},\n"
				  "    {}\n"
				  "  ],\n"
				  "  \"none\": [],\n"
				  "  \"null\": null,\n"
				  "  \"speed\": 12.034\n"
				  "}\n");
	free(text);
}

/* Returns what a reader makes of a text. */
static void check_text(const char *written, const char *expected)
{
	struct writer w = start();
	json_t *json;

	writer_open(&w, NULL, '{');
	writer_text(&w, "key \"\\", written);
	writer_close(&w, '}');
	fclose(w.to);
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "key \"\\")), expected);
	json_decref(json);
	free(text);
}

#define WRONG "\xef\xbf\xbd" /* U+FFFD */

static void test_text(void **state)
{
	(void)state;
	check_text("", "");
	check_text("a\"b\\c/d\n\t\x01\x7f", "a\"b\\c/d\n\t\x01\x7f");
	check_text("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	check_text("\xe4", WRONG);	     /* Latin-1 */
	check_text("\xe2\x82", WRONG WRONG); /* the end is missing */
	check_text("\xc0\xaf", WRONG WRONG); /* too long for '/' */
	check_text("\xff\xfe", WRONG WRONG);
	check_text("a\x80z", "a" WRONG "z");
	check_text("\xed\xa0\x80", WRONG WRONG WRONG);		 /* half of a surrogate pair */
	check_text("\xf4\x90\x80\x80", WRONG WRONG WRONG WRONG); /* above U+10FFFF */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
