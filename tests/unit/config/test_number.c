/*
 * config_parse_size: exact for everything it takes, a sentence for everything else.
 */
#include "vmm/config/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void test_accepted(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "010", 10 },
		{ "4096", 4096 },
		{ "0K", 0 },
		{ "1K", KIB },
		{ "512M", 512 * MIB },
		{ "512m", 512 * MIB },
		{ "512MB", 512 * MIB },
		{ "512MiB", 512 * MIB },
		{ "512mib", 512 * MIB },
		{ "0.5G", 512 * MIB },
		{ "1.5T", 1536 * GIB },
		{ "1.50T", 1536 * GIB },
		{ "1.0T", TIB },
		{ "5.000", 5 },
		{ "1023.75G", 1023 * GIB + 768 * MIB },
		{ "0.0009765625K", 1 }, /* 1/1024 */
		{ "0.0009765625000000000000000000000000000000000000000000000K", 1 },
		/* 2^-40 of a TiB, and 1 - 2^-40: all forty digits count */
		{ "0.0000000000009094947017729282379150390625T", 1 },
		{ "0.9999999999990905052982270717620849609375T", TIB - 1 },
		{ "0x0", 0 },
		{ "0x10000000", 256 * MIB },
		{ "0XfcF0000000", 0xfcf0000000 },
		{ "0xffffffffffffffff", UINT64_MAX },
		{ "0x0000000000000000000000001", 1 },
		{ "18446744073709551615", UINT64_MAX },
		{ "16777215T", UINT64_C(16777215) << 40 },
		{ "16777215.9999999999990905052982270717620849609375T", UINT64_MAX },
		{ "18014398509481983.9990234375K", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = { "" };
		uint64_t bytes = 0x5a5a;

		if (config_parse_size(cases[i].text, &bytes, &err) != 0)
			fail_msg("%s: %s", cases[i].text, err.text);
		if (bytes != cases[i].bytes)
			fail_msg("%s is %" PRIu64, cases[i].text, bytes);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{ "", "a size is missing" },
		{ "-1", "negative" },
		{ "-0x10", "negative" },
		{ "+1", "'+1' is not a size" },
		{ " 1", "' 1' is not a size" },
		{ "1 ", "' ' is not a size suffix" },
		{ "12Q", "'Q' is not a size suffix; use K, M, G or T" },
		{ "12B", "'B' is not a size suffix" },
		{ "12 M", "' M' is not a size suffix" },
		{ "12Mx", "'Mx' is not a size suffix" },
		{ "12MiBs", "'MiBs' is not a size suffix" },
		{ "12Mi", "'Mi' is not a size suffix" },
		{ "12P", "'P' is not a size suffix" },
		{ "12\x7f", "'?' is not a size suffix" },
		{ "12\xebG", "'?G' is not a size suffix" },
		{ "\x1b[31m1G", "'?[31m1G' is not a size" },
		{ "M", "'M' is not a size" },
		{ ".5G", "'.5G' is not a size" },
		{ "1.G", "'1.G' is not a size" },
		{ "1,5G", "',5G' is not a size suffix" },
		{ "1.5.5G", "'.5G' is not a size suffix" },
		{ "1e9", "'e9' is not a size suffix" },
		{ "0x", "'0x' is not a size" },
		{ "0xg", "'0xg' is not a size" },
		{ "0x1G", "'G' is not hexadecimal" },
		{ "0x10.8", "'.8' is not hexadecimal" },
		{ "1.5", "not a whole number of bytes; did you forget" },
		{ "1.0001K", "not a whole number of bytes; use a smaller unit" },
		{ "1.9999M", "not a whole number of bytes" },	     /* and less than 2 MiB */
		{ "0.00048828125K", "not a whole number of bytes" }, /* half a byte */
		{ "0.00000000000045474735088646411895751953125T", "not a whole number" },
		{ "18446744073709551616", "2^64 bytes or more" },
		{ "0x10000000000000000", "2^64 bytes or more" },
		{ "16777216T", "2^64 bytes or more" },
		{ "16777216.5T", "2^64 bytes or more" },
		{ "99999999999999999999999999999999K", "2^64 bytes or more" },
		{ "184467440737095516160", "2^64 bytes or more" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = { "" };
		uint64_t bytes = 0x5a5a;

		if (config_parse_size(cases[i].text, &bytes, &err) != -EINVAL)
			fail_msg("'%s' is taken for %" PRIu64, cases[i].text, bytes);
		if (!strstr(err.text, cases[i].sentence))
			fail_msg("'%s': %s", cases[i].text, err.text);
		assert_int_equal(bytes, 0x5a5a);
	}
}

/* Ends of what must stay free are rounded up. */
static void test_rounded_up(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "1.1T", UINT64_C(1153434) * MIB }, /* 1153433.6 MiB */
		{ "0.3G", 308 * MIB },		     /* 307.2 MiB */
		{ "0.1M", 2 * MIB },
		{ "0.5G", 512 * MIB }, /* exact */
		{ "0x13333333", 0x13333333 },
		{ "1025", 1025 },
	};
	uint64_t bytes;
	struct err err;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(config_parse_size_up(cases[i].text, &bytes, &err), 0);
		assert_int_equal(bytes, cases[i].bytes);
	}
	assert_int_equal(config_parse_size_up("1.5", &bytes, &err), -EINVAL);
	assert_int_equal(config_parse_size_up("16777215.9999999999999T", &bytes, &err), -EINVAL);
}

/* What is not whole bytes is rounded down to 2 MiB. */
static void test_rounded(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "1.1T", UINT64_C(1153432) * MIB }, /* 1153433.6 MiB */
		{ "0.1G", 102 * MIB },		     /* 102.4 MiB */
		{ "2.3M", 2 * MIB },
		{ "4.00000000000000000000000000000000000000000000001M", 4 * MIB },
		{ "3.99999999999999999999999999999999999999999999999M", 2 * MIB },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = { "" };
		uint64_t bytes = 0;

		if (config_parse_size(cases[i].text, &bytes, &err) != 0)
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

/* Every multiple of 1/1024 up to a few units, written out as a decimal, is what it should be. */
static void test_every_kib_of_a_mib(void **state)
{
	(void)state;
	for (unsigned kib = 0; kib < 3 * 1024; kib++) {
		/* 1/1024 is 0.0009765625 */
		uint64_t decimals = UINT64_C(9765625) * (kib % 1024);
		struct err err = { "" };
		char text[64];
		uint64_t bytes;

		snprintf(text, sizeof(text), "%u.%010" PRIu64 "M", kib / 1024, decimals);
		if (config_parse_size(text, &bytes, &err) != 0 || bytes != kib * KIB)
			fail_msg("%s: %s", text, err.text);
	}
}

/* A sentence stays short and printable whatever the value is. */
static void test_long_value(void **state)
{
	static char text[70000];
	struct err err = { "" };
	uint64_t bytes;

	(void)state;
	memset(text, '\n', sizeof(text) - 1);
	assert_int_equal(config_parse_size(text, &bytes, &err), -EINVAL);
	assert_null(strchr(err.text, '\n'));
	assert_non_null(strstr(err.text, "?...' is not a size"));
	memset(text, '9', sizeof(text) - 1);
	assert_int_equal(config_parse_size(text, &bytes, &err), -EINVAL);
	memset(text, '0', sizeof(text) - 1);
	memcpy(text, "7.", 2);
	assert_int_equal(config_parse_size(text, &bytes, &err), 0);
	assert_int_equal(bytes, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_rounded),
		cmocka_unit_test(test_rounded_up),
		cmocka_unit_test(test_every_kib_of_a_mib),
		cmocka_unit_test(test_long_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
