/* Foreign text in each format: characters that a format gives a meaning, and bytes that are none.
 */
#include "vmm/test/report_text.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* U+FFFD as UTF-8. */
#define BAD "\xef\xbf\xbd"

static void expect(report_put *put, const char *text, const char *want)
{
	char *got = NULL;
	size_t len;
	FILE *out = open_memstream(&got, &len);

	assert_non_null(out);
	report_text(out, text, put);
	fclose(out);
	assert_string_equal(got, want);
	free(got);
}

static void test_utf8(void **state)
{
	static const struct {
		const char *text, *clean;
	} cases[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "\xc2\x80 \xdf\xbf", "\xc2\x80 \xdf\xbf" },
		{ "\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80",
		  "\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80" },
		{ "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf" },
		/* Alone, cut off, too long, surrogates, beyond the end. */
		{ "\x80", BAD },
		{ "a\xff\xfe", "a" BAD BAD },
		{ "\xc3", BAD },
		{ "\xe2\x82", BAD BAD },
		{ "\xe2\x82z", BAD BAD "z" },
		{ "\xf0\x9f\x98", BAD BAD BAD },
		{ "\xc0\x80", BAD BAD },
		{ "\xc1\xbf", BAD BAD },
		{ "\xe0\x9f\xbf", BAD BAD BAD },
		{ "\xf0\x8f\xbf\xbf", BAD BAD BAD BAD },
		{ "\xed\xa0\x80", BAD BAD BAD },
		{ "\xf4\x90\x80\x80", BAD BAD BAD BAD },
		{ "\xf5\x80\x80\x80", BAD BAD BAD BAD },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *clean = report_clean(cases[i].text);

		assert_non_null(clean);
		assert_string_equal(clean, cases[i].clean);
		free(clean);
		expect(report_put_tap, cases[i].text,
		       cases[i].clean[0] == '\xc2' ? " "
						     " \xdf\xbf"
						   : cases[i].clean);
	}
}

static void test_lines(void **state)
{
	(void)state;
	expect(report_put_tap, "a # SKIP \\ b\nok 1\t\x1b[0m\r\n", "a \\# SKIP \\\\ b ok 1  [0m  ");
	expect(report_put_tap, "a\xe2\x80\xa8 b\xef\xbb\xbf", "a  b ");
	expect(report_put_ktap, "CPU#0 # SKIP \\\nnot ok", "CPU 0   SKIP \\ not ok");
}

static void test_quoted(void **state)
{
	(void)state;
	expect(report_put_quoted, "say \"a\\b\"\n\t\r.", "say \\\"a\\\\b\\\"\\n\\t\\r.");
	expect(report_put_quoted, "\x1b\x7f\xc2\x85\xe2\x80\xa9\xef\xbf\xbf\xff",
	       "\\x1b\\x7f\\x85\\u2029\\uffff" BAD);
}

static void test_xml(void **state)
{
	(void)state;
	expect(report_put_xml, "<a b='c' d=\"e\">&\n\t\r]]>",
	       "&lt;a b=&apos;c&apos; d=&quot;e&quot;&gt;&amp;&#10;&#9;&#13;]]&gt;");
	expect(report_put_xml_text, "a\r\nb\tc\x01\x1f\x0b\x7f\xef\xbf\xbe\xc3\xa4\xff",
	       "a\nb\tc" BAD BAD BAD "\x7f" BAD "\xc3\xa4" BAD);
}

/* Lines end with a carriage return on a console. */
static void test_return(void **state)
{
	(void)state;
	expect(report_put_quoted, "line\r", "line");
	expect(report_put_quoted, "\r", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),   cmocka_unit_test(test_lines),
		cmocka_unit_test(test_quoted), cmocka_unit_test(test_xml),
		cmocka_unit_test(test_return),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
