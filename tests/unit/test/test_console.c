/* The console of a case: time stamps, beginning and end, and its last lines. */
#include "vmm/test/console.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static struct loop loop;
static struct test_console console;
static size_t heard;
static int guest;

static void printed(void *to, const uint8_t *data, size_t n)
{
	(void)to;
	(void)data;
	heard += n;
}

static int setup(void **state)
{
	const struct test_console_user user = { printed, NULL };
	struct err err;
	int ends[2];

	(void)state;
	heard = 0;
	if (loop_create(&loop, &err) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return -1;
	guest = ends[1];
	return test_console_open(&console, &loop, ends[0], NULL, &user, &err);
}

static int teardown(void **state)
{
	(void)state;
	test_console_close(&console);
	loop_destroy(&loop);
	return close(guest);
}

static void print(const char *text, size_t n)
{
	assert_int_equal(write(guest, text, n), n);
	test_console_drain(&console);
}

/* All that was kept, without the numbers of the time stamps. */
static char *kept(void)
{
	char *text = NULL, *at;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	test_console_write(&console, file);
	fclose(file);
	for (at = text; *at; at++)
		if (*at >= '0' && *at <= '9')
			*at = 'N';
	return text;
}

static void test_stamps(void **state)
{
	char *text;

	(void)state;
	print("one\ntw", 6);
	print("o\n\n", 3);
	print("three", 5);
	text = kept();
	assert_string_equal(text, "    N.NNN | one\n    N.NNN | two\n    N.NNN | \n    N.NNN | "
				  "three\n");
	free(text);
	assert_int_equal(heard, 14);
	assert_int_equal(console.bytes, 14);
}

static void test_tail(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(test_console_tail(&console, buf, sizeof(buf)), "");
	print("first\nsecond\nthird\n", 19);
	assert_string_equal(strchr(test_console_tail(&console, buf, sizeof(buf)), '|'),
			    "| third\n");
}

/* A guest that prints without end costs the host no more than the beginning and the end. */
static void test_endless(void **state)
{
	static char line[1000];
	char *text, buf[64];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	for (unsigned i = 0; i < 12000; i++)
		print(line, sizeof(line));
	print("the end\n", 8);
	assert_in_range(console.kept.head_len, TEST_CONSOLE_HEAD - 2000, TEST_CONSOLE_HEAD);
	text = kept();
	assert_non_null(strstr(text, "bytes are left out ...\n"));
	assert_in_range(strlen(text), TEST_CONSOLE_HEAD,
			TEST_CONSOLE_HEAD + TEST_CONSOLE_TAIL + 100);
	assert_string_equal(text + strlen(text) - 10, "| the end\n");
	free(text);
	assert_non_null(strstr(test_console_tail(&console, buf, sizeof(buf)), "| the end\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stamps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
