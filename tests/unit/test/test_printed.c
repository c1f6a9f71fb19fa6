/* What a case prints: nothing is lost of little, and of much its beginning and its end are kept. */
#include "vmm/test/printed.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct printed printed;
static int writer;

static int setup(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	printed_open(&printed, ends[0]);
	writer = ends[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(writer);
	printed_close(&printed);
	return 0;
}

static void print(const char *text, size_t n)
{
	assert_int_equal(write(writer, text, n), n);
	printed_drain(&printed);
}

/* The text of output.log, or NULL; to be freed. */
static char *written(size_t *n)
{
	char folder[] = "/tmp/straddle-printed-XXXXXX", path[64];
	char *text = NULL;
	FILE *file;

	assert_non_null(mkdtemp(folder));
	printed_write(&printed, folder);
	snprintf(path, sizeof(path), "%s/output.log", folder);
	file = fopen(path, "r");
	if (file) {
		text = malloc(2 * PRINTED_HEAD);
		*n = fread(text, 1, 2 * PRINTED_HEAD, file);
		fclose(file);
		unlink(path);
	}
	rmdir(folder);
	return text;
}

static void test_nothing(void **state)
{
	size_t n;

	(void)state;
	assert_true(printed_read(&printed));
	assert_null(printed_tail(&printed));
	assert_null(written(&n));
}

static void test_little(void **state)
{
	char *text;
	size_t n = 0;

	(void)state;
	print("a\0b\n", 4);
	print("c", 1);
	assert_string_equal(printed_tail(&printed), "a?b\nc");
	text = written(&n);
	assert_int_equal(n, 5);
	assert_memory_equal(text, "a\0b\nc", 5);
	free(text);
}

static void test_much(void **state)
{
	const size_t lines = (PRINTED_HEAD + 3 * PRINTED_TAIL) / 8;
	char line[16], *text, *gap;
	size_t n = 0, lost;

	(void)state;
	for (size_t i = 0; i < lines; i++) {
		snprintf(line, sizeof(line), "%07zu\n", i);
		print(line, 8);
	}
	snprintf(line, sizeof(line), "%07zu\n", lines - 1);
	text = (char *)printed_tail(&printed);
	assert_string_equal(text + strlen(text) - 8, line);
	assert_int_equal(strlen(text) % 8, 0); /* whole lines */
	text = written(&n);
	text[n] = '\0';
	assert_memory_equal(text + n - 8, line, 8);
	gap = strstr(text, "\n[");
	assert_non_null(gap);
	assert_int_equal(gap - text, PRINTED_HEAD);
	lost = strtoul(gap + 2, NULL, 10);
	assert_int_equal(PRINTED_HEAD + lost + PRINTED_TAIL, 8 * lines);
	gap = strchr(gap + 1, '\n') + 1;
	assert_int_equal(strtoul(gap, NULL, 10), (PRINTED_HEAD + lost) / 8);
	free(text);
}

static void test_end(void **state)
{
	(void)state;
	assert_int_equal(write(writer, "x", 1), 1);
	close(writer);
	writer = -1;
	assert_true(printed_read(&printed));
	assert_false(printed_read(&printed));
	assert_string_equal(printed_tail(&printed), "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_little, setup, teardown),
		cmocka_unit_test_setup_teardown(test_much, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
