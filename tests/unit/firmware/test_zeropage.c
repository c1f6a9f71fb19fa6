/* The zero page and the PVH start info, compared with offsets typed in from their specifications.
 */
#include "firmware/pvh.h"
#include "firmware/setup_header.h"
#include "firmware/zeropage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct e820_entry small_map[] = {
	{ { 0, 0x9fc00 }, E820_USABLE },
	{ { 0xc0000, 0x100000 }, E820_RESERVED },
	{ { 0x100000, 0x40000000 }, E820_USABLE },
	{ { 0xfd00000000, 0x10000000000 }, E820_RESERVED },
};

static void assert_le(const uint8_t *p, size_t at, unsigned n, uint64_t value)
{
	if (load_le(p + at, n) != value)
		fail_msg("at %#zx: %#llx, not %#llx", at, (unsigned long long)load_le(p + at, n),
			 (unsigned long long)value);
}

static void test_bzimage_header(void **state)
{
	uint8_t page[ZEROPAGE_SIZE], header[SETUP_HEADER_MAX];
	struct zeropage z = {
		.header = header,
		.header_len = 0x26c - 0x1f1,
		.cmdline = 0x12000,
		.initrd = 0x123456000,
		.initrd_size = 0x2345678,
		.rsdp = 0xc0000,
		.e820 = small_map,
		.nr_e820 = ARRAY_SIZE(small_map),
		.e820_ext = 0xbad,
	};

	(void)state;
	memset(page, 0xee, sizeof(page));
	memset(header, 0xa5, sizeof(header));
	zeropage_write(page, &z);
	assert_le(page, 0x070, 8, 0xc0000);
	assert_le(page, 0x0c0, 4, 1); /* ext_ramdisk_image */
	assert_le(page, 0x0c4, 4, 0);
	assert_le(page, 0x0c8, 4, 0);
	assert_le(page, 0x1e8, 1, 4);
	assert_le(page, 0x1ef, 1, 0); /* sentinel */
	assert_le(page, 0x1f1, 8, 0xa5a5a5a5a5a5a5a5);
	assert_le(page, 0x210, 1, 0xff);
	assert_le(page, 0x211, 1, 0x01); /* of 0xa5, only LOADED_HIGH */
	assert_le(page, 0x218, 4, 0x23456000);
	assert_le(page, 0x21c, 4, 0x2345678);
	assert_le(page, 0x228, 4, 0x12000);
	assert_le(page, 0x250, 8, 0); /* no setup_data */
	assert_le(page, 0x268, 8, 0xa5a5a5a5);
	assert_le(page, 0x2d0 + 20, 8, 0xc0000);
	assert_le(page, 0x2d0 + 28, 8, 0x40000);
	assert_le(page, 0x2d0 + 36, 4, 2);
	assert_le(page, 0x2d0 + 60, 8, 0xfd00000000);
	assert_le(page, 0x2d0 + 68, 8, 0x300000000);
	assert_le(page, 0x2d0 + 80, 8, 0);
	assert_int_equal(zeropage_ext_size(z.nr_e820), 0);
}

static void test_made_header(void **state)
{
	uint8_t page[ZEROPAGE_SIZE];
	struct zeropage z = { .cmdline = 0x12000 };

	(void)state;
	zeropage_write(page, &z);
	assert_le(page, 0x1fe, 2, 0xaa55);
	assert_memory_equal(page + 0x202, "HdrS", 4);
	assert_le(page, 0x206, 2, 0x20c);
	assert_le(page, 0x210, 1, 0xff);
	assert_le(page, 0x211, 1, 1);
	assert_le(page, 0x218, 8, 0);
	assert_le(page, 0x228, 4, 0x12000);
	assert_le(page, 0x238, 4, 2047);
}

/* 1, 128, 129 and 300 entries: what is in the page and the node together is the whole list. */
static void test_many_e820_entries(void **state)
{
	static struct e820_entry map[300];
	static const size_t counts[] = { 1, 128, 129, 300 };
	uint8_t page[ZEROPAGE_SIZE], ext[16 + 20 * 172];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		map[i] = (struct e820_entry){ { i * 0x10000, i * 0x10000 + 0x1000 + i },
					      E820_USABLE + i % 3 };
	for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
		size_t n = counts[k], held = n < 128 ? n : 128;
		struct zeropage z = { .e820 = map, .nr_e820 = n, .e820_ext = 0x15000 };
		struct bytes_out out = { .data = ext, .cap = sizeof(ext) };

		zeropage_write(page, &z);
		zeropage_ext_write(&out, map, n);
		assert_int_equal(out.len, zeropage_ext_size(n));
		assert_int_equal(out.len, n > 128 ? 16 + (n - 128) * 20 : 0);
		assert_le(page, 0x1e8, 1, held);
		assert_le(page, 0x250, 8, n > 128 ? 0x15000 : 0);
		if (n > 128) {
			assert_le(ext, 0, 8, 0);
			assert_le(ext, 8, 4, 1); /* SETUP_E820_EXT */
			assert_le(ext, 12, 4, (n - 128) * 20);
		}
		for (size_t i = 0; i < n; i++) {
			const uint8_t *e =
				i < 128 ? page + 0x2d0 + i * 20 : ext + 16 + (i - 128) * 20;

			assert_le(e, 0, 8, i * 0x10000);
			assert_le(e, 8, 8, 0x1000 + i);
			assert_le(e, 16, 4, 1 + i % 3);
		}
		/* edd_mbr_sig_buffer before, eddbuf behind the table stay zero */
		assert_le(page, 0x290, 8, 0);
		assert_le(page, 0xcd0, 8, 0);
	}
}

static void test_pvh_start_info(void **state)
{
	uint8_t buf[56 + 32 + 4 * 24];
	struct bytes_out out = { .data = buf, .cap = sizeof(buf) };
	struct pvh_info info = {
		.at = 0x11000,
		.cmdline = 0x12000,
		.initrd = 0x7000000,
		.initrd_size = 0x1234,
		.rsdp = 0xc0000,
		.e820 = small_map,
		.nr_e820 = ARRAY_SIZE(small_map),
	};

	(void)state;
	pvh_write(&out, &info);
	assert_int_equal(out.len, sizeof(buf));
	assert_int_equal(pvh_size(info.nr_e820), sizeof(buf));
	assert_le(buf, 0, 4, 0x336ec578);
	assert_le(buf, 4, 4, 1);
	assert_le(buf, 8, 4, 0);
	assert_le(buf, 12, 4, 1);
	assert_le(buf, 16, 8, 0x11000 + 56);
	assert_le(buf, 24, 8, 0x12000);
	assert_le(buf, 32, 8, 0xc0000);
	assert_le(buf, 40, 8, 0x11000 + 88);
	assert_le(buf, 48, 4, 4);
	assert_le(buf, 56, 8, 0x7000000);
	assert_le(buf, 64, 8, 0x1234);
	assert_le(buf, 88 + 24, 8, 0xc0000);
	assert_le(buf, 88 + 32, 8, 0x40000);
	assert_le(buf, 88 + 40, 8, 2);

	info.initrd_size = 0;
	out.len = 0;
	pvh_write(&out, &info);
	assert_int_equal(out.len, sizeof(buf));
	assert_le(buf, 12, 4, 0);
	assert_le(buf, 16, 8, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bzimage_header),
		cmocka_unit_test(test_made_header),
		cmocka_unit_test(test_many_e820_entries),
		cmocka_unit_test(test_pvh_start_info),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
