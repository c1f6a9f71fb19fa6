/* The AML writer (acpi/aml.h): exact bytes of small cases, and a reader of its own for large ones.
 */
#include "acpi/aml.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PATH   "\\_SB_.PCI0.WIND"
#define PREFIX 0x08, '\\', 0x2f, 3, '_', 'S', 'B', '_', 'P', 'C', 'I', '0', 'W', 'I', 'N', 'D'

#define expect_bytes(list, n, ...)                                        \
	do {                                                              \
		static const uint8_t want[] = { __VA_ARGS__ };            \
		uint8_t got[512];                                         \
		struct bytes_out b = { .data = got, .cap = sizeof(got) }; \
                                                                          \
		aml_name_resources(&b, PATH, list, n);                    \
		assert_int_equal(b.len, sizeof(want));                    \
		assert_memory_equal(got, want, sizeof(want));             \
	} while (0)

static void test_nothing(void **state)
{
	(void)state;
	expect_bytes(NULL, 0, PREFIX, 0x11, 5, 0x0a, 2, 0x79, 0);
}

/* As `iasl` encodes WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 255...)
 */
static void test_buses(void **state)
{
	const struct aml_resource list[] = { { AML_BUSES, { 0, 256 } } };

	(void)state;
	expect_bytes(list, 1, PREFIX, 0x11, 0x15, 0x0a, 0x12, 0x88, 0x0d, 0, 2, 0x0c, 0, 0, 0, 0, 0,
		     0xff, 0, 0, 0, 0, 1, 0x79, 0);
}

static void test_dword_window(void **state)
{
	const struct aml_resource list[] = { { AML_WINDOW, { 0xf0000000, 0xfec00000 } } };

	(void)state;
	expect_bytes(list, 1, PREFIX, 0x11, 0x1f, 0x0a, 0x1c, 0x87, 0x17, 0, 0, 0x0c, 1, 0, 0, 0, 0,
		     0, 0, 0, 0xf0, 0xff, 0xff, 0xbf, 0xfe, 0, 0, 0, 0, 0, 0, 0xc0, 0x0e, 0x79, 0);
}

static void test_qword_reserved(void **state)
{
	const struct aml_resource list[] = { { AML_RESERVED, { 0xfd00000000, 0x10000000000 } } };

	(void)state;
	expect_bytes(list, 1, PREFIX, 0x11, 0x33, 0x0a, 0x30, 0x8a, 0x2b, 0, 0, 0x0d, 1, 0, 0, 0, 0,
		     0, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0,
		     0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0x79, 0);
}

/* As `iasl` encodes such a Device, but for numbers, all of which have four bytes here. */
static void test_host_bridge(void **state)
{
	static const struct aml_resource list[] = { { AML_BUSES, { 2, 4 } } };
	static const struct aml_bridge bridge = {
		.path = "\\_SB_.PC01", .uid = 1, .bus = 2, .node = 3, .list = list, .n = 1
	};
	static const uint8_t want[] = {
		/* clang-format off */
		0x5b, 0x82, 0, 0, '\\', 0x2f, 2, '_', 'S', 'B', '_', 'P', 'C', '0', '1',
		8, '_', 'H', 'I', 'D', 0xc, 0x41, 0xd0, 0x0a, 0x08,
		8, '_', 'C', 'I', 'D', 0xc, 0x41, 0xd0, 0x0a, 0x03,
		8, '_', 'U', 'I', 'D', 0xc, 1, 0, 0, 0,
		8, '_', 'S', 'E', 'G', 0xc, 0, 0, 0, 0,
		8, '_', 'B', 'B', 'N', 0xc, 2, 0, 0, 0,
		8, '_', 'P', 'X', 'M', 0xc, 3, 0, 0, 0,
		8, '_', 'C', 'R', 'S', 0x11, 0x15, 0x0a, 0x12, 0x88, 0x0d, 0, 2, 0x0c, 0,
		0, 0, 2, 0, 3, 0, 0, 0, 2, 0, 0x79, 0,
		0x14, 0x16, '_', 'P', 'R', 'T', 0x08, 0xa4,
		'\\', 0x2f, 3, '_', 'S', 'B', '_', 'P', 'C', 'I', '0', '_', 'P', 'R', 'T',
		0x14, 0x1a, '_', 'O', 'S', 'C', 0x0c, 0xa4,
		'\\', 0x2f, 3, '_', 'S', 'B', '_', 'P', 'C', 'I', '0', '_', 'O', 'S', 'C',
		0x68, 0x69, 0x6a, 0x6b,
		/* clang-format on */
	};
	uint8_t got[512];
	struct bytes_out b = { .data = got, .cap = sizeof(got) };

	(void)state;
	aml_host_bridge(&b, &bridge);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(got, want, 2);
	assert_memory_equal(got + 4, want + 4, sizeof(want) - 4);
	/* 20.2.4: two bytes of length, without what is before them */
	assert_int_equal(((got[2] & 0xf) | got[3] << 4) + 2, sizeof(want));
	assert_int_equal(got[2] >> 6, 1);
}

/* A number that 32 bits cannot hold, even if only the length, makes a QWord descriptor. */
static void test_width_at_4g(void **state)
{
	static const struct {
		struct span at;
		uint8_t tag;
	} rows[] = {
		{ { 0xff000000, 4 * GIB }, 0x87 },  { { 0xff000000, 4 * GIB + 1 }, 0x8a },
		{ { 0, 4 * GIB - 1 }, 0x87 },	    { { 0, 4 * GIB }, 0x8a },
		{ { 4 * GIB, 4 * GIB + 1 }, 0x8a },
	};
	uint8_t got[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct aml_resource r = { AML_WINDOW, rows[i].at };
		struct bytes_out b = { .data = got, .cap = sizeof(got) };

		aml_name_resources(&b, PATH, &r, 1);
		assert_int_equal(got[20], rows[i].tag);
	}
}

/* Reads a package length (20.2.4) as the specification words it. Returns its own size in bytes. */
static size_t read_package_length(const uint8_t *p, size_t *length)
{
	size_t more = p[0] >> 6;

	if (!more) {
		*length = p[0] & 0x3f;
		return 1;
	}
	assert_int_equal(p[0] & 0x30, 0);
	*length = p[0] & 0xf;
	for (size_t i = 0; i < more; i++)
		*length |= (size_t)p[1 + i] << (4 + 8 * i);
	return 1 + more;
}

/* All lengths up to where three bytes are needed, and one beyond 64 KiB. */
static void check_count(size_t n)
{
	struct aml_resource *list = calloc(n, sizeof(*list));
	size_t cap = 64 + n * 46, length, size, at = 17;
	uint8_t *got = malloc(cap);
	struct bytes_out b = { .data = got, .cap = cap };

	for (size_t i = 0; i < n; i++)
		list[i] =
			(struct aml_resource){ AML_WINDOW, { TIB + i * GIB, TIB + (i + 1) * GIB } };
	aml_name_resources(&b, PATH, list, n);
	assert_false(bytes_out_full(&b));

	assert_int_equal(got[16], 0x11);
	at += read_package_length(got + at, &length);
	assert_int_equal(17 + length, b.len);
	switch (got[at]) {
	case 0x0a:
		size = load_le(got + at + 1, 1);
		at += 2;
		break;
	case 0x0b:
		size = load_le(got + at + 1, 2);
		at += 3;
		break;
	default:
		assert_int_equal(got[at], 0x0c);
		size = load_le(got + at + 1, 4);
		at += 5;
	}
	assert_int_equal(at + size, b.len);
	assert_int_equal(size, n * 46 + 2);
	for (size_t i = 0; i < n; i++, at += 46)
		assert_int_equal(load_le(got + at + 14, 8), list[i].at.base);
	assert_int_equal(got[at], 0x79);
	free(got);
	free(list);
}

static void test_lengths(void **state)
{
	(void)state;
	for (size_t n = 1; n < 100; n++)
		check_count(n);
	check_count(1424);
	check_count(1425);
}

/* Without room nothing is written, and the size is known. */
static void test_no_room(void **state)
{
	const struct aml_resource list[] = { { AML_BUSES, { 0, 256 } } };
	struct bytes_out b = { .data = NULL, .cap = 0 };

	(void)state;
	aml_name_resources(&b, PATH, list, 1);
	assert_true(bytes_out_full(&b));
	assert_int_equal(b.len, 38);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),	     cmocka_unit_test(test_buses),
		cmocka_unit_test(test_dword_window), cmocka_unit_test(test_qword_reserved),
		cmocka_unit_test(test_host_bridge),  cmocka_unit_test(test_width_at_4g),
		cmocka_unit_test(test_lengths),	     cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
