/* /straddle/spec: every key, repeated ones in their order, and what is refused. */
#include "init/spec.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PARSE(s, text) spec_parse(s, text, sizeof(text), &(struct err){ "" })

static void test_keys(void **state)
{
	static const char text[] =
		"module=/m/a.ko\0port=4294967295\0arg=sh\0env=A=1\0module=/m/b.ko"
		"\0serial=ttyS1\0root=fs:/dev/root\0dir=/src\0env=B=x=y\0arg=\0"
		"stdin=on\0layer=off\0hostname=case\0arg=-c";
	struct spec s;
	const char *p;

	(void)state;
	assert_int_equal(PARSE(&s, text), 0);
	assert_int_equal(s.port, UINT32_MAX);
	assert_string_equal(s.serial, "ttyS1");
	assert_int_equal(s.root, SPEC_ROOT_FS);
	assert_string_equal(s.root_name, "/dev/root");
	assert_string_equal(s.dir, "/src");
	assert_true(s.no_layer);
	assert_string_equal(s.hostname, "case");
	assert_string_equal(s.command, "sh");
	assert_int_equal(s.nr_args, 3);
	assert_true(s.input);
	assert_string_equal(p = spec_next(&s, "module", NULL), "/m/a.ko");
	assert_string_equal(p = spec_next(&s, "module", p), "/m/b.ko");
	assert_null(spec_next(&s, "module", p));
	assert_string_equal(p = spec_next(&s, "env", NULL), "A=1");
	assert_string_equal(p = spec_next(&s, "env", p), "B=x=y");
	assert_null(spec_next(&s, "env", p));
	assert_string_equal(p = spec_next(&s, "arg", NULL), "sh");
	assert_string_equal(p = spec_next(&s, "arg", p), "");
	assert_string_equal(p = spec_next(&s, "arg", p), "-c");
	assert_null(spec_next(&s, "arg", p));
}

static void test_defaults(void **state)
{
	struct spec s;

	(void)state;
	assert_int_equal(PARSE(&s, "root=none\0arg=@facts"), 0);
	assert_int_equal(s.port, 0);
	assert_null(s.serial);
	assert_int_equal(s.root, SPEC_ROOT_NONE);
	assert_null(s.dir);
	assert_null(s.hostname);
	assert_false(s.input);
	assert_int_equal(PARSE(&s, "arg=x\0root=disk:S1"), 0);
	assert_int_equal(s.root, SPEC_ROOT_DISK);
	assert_string_equal(s.root_name, "S1");
}

/* On the heap without a byte behind it, so that the sanitizer sees a read too far. */
static void check_refused(const char *string, size_t len, const char *shown)
{
	struct err err = { "" };
	char *text = malloc(len);
	struct spec s;

	memcpy(text, string, len);
	assert_true(spec_parse(&s, text, len, &err) < 0);
	assert_non_null(strstr(err.text, shown));
	free(text);
}
#define REFUSED(string, shown) check_refused(string, sizeof(string), shown)

static void test_refused(void **state)
{
	(void)state;
	REFUSED("arg=x\0colour=red", "colour=red");
	REFUSED("arg=x\0ports=1", "ports=1");
	REFUSED("arg=x\0port", "port");
	REFUSED("arg=x\0port=", "port=");
	REFUSED("arg=x\0port=0", "port=0");
	REFUSED("arg=x\0port=4294967296", "port=4294967296");
	REFUSED("arg=x\0port=99999999999999999999999", "port=9");
	REFUSED("arg=x\0port=1x", "port=1x");
	REFUSED("arg=x\0root=fs:", "root=fs:");
	REFUSED("arg=x\0root=nfs:x", "root=nfs:x");
	REFUSED("arg=x\0serial=", "serial=");
	REFUSED("arg=x\0serial=../x", "serial=../x");
	REFUSED("arg=x\0stdin=off", "stdin=off");
	REFUSED("arg=x\0env=A", "env=A");
	REFUSED("arg=x\0env==1", "env==1");
	REFUSED("arg=x\0module=", "module=");
	REFUSED("arg=", "no command");
	REFUSED("root=none", "no command");
	check_refused("arg=x", 5, "does not end");
	check_refused("", 0, "no command");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
