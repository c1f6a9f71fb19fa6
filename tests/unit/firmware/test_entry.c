/* The boot CPU's state, its GDT and its page tables. */
#include "firmware/entry.h"
#include "tests/boot_check.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_linux64_state(void **state)
{
	uint8_t gdt[ENTRY_GDT_SIZE];
	struct entry_cpu cpu;

	(void)state;
	entry_linux64(&cpu, 0x1000200, 0x11000, 0x10000, 0x13000);
	assert_int_equal(cpu.rip, 0x1000200);
	assert_int_equal(cpu.rsi, 0x11000);
	assert_int_equal(cpu.rflags, 2);
	assert_int_equal(cpu.cr0, 0x80000011);
	assert_int_equal(cpu.cr3, 0x13000);
	assert_int_equal(cpu.cr4, 0x20);
	assert_int_equal(cpu.efer, 0x500);
	assert_int_equal(cpu.code.selector, 0x10);
	assert_int_equal(cpu.data.selector, 0x18);

	entry_gdt(&cpu, gdt);
	assert_int_equal(load_le(gdt + 0x00, 8), 0);
	assert_int_equal(load_le(gdt + 0x10, 8), 0x00af9b000000ffff);
	assert_int_equal(load_le(gdt + 0x18, 8), 0x00cf93000000ffff);
	assert_int_equal(load_le(gdt + 0x20, 8), 0x00008b0000000067);
	assert_int_equal(load_le(gdt + 0x28, 8), 0);
}

static void test_pvh_state(void **state)
{
	uint8_t gdt[ENTRY_GDT_SIZE];
	struct entry_cpu cpu;

	(void)state;
	entry_pvh(&cpu, 0x100040, 0x11000, 0x10000);
	assert_int_equal(cpu.rip, 0x100040);
	assert_int_equal(cpu.rbx, 0x11000);
	assert_int_equal(cpu.rflags, 2);
	assert_int_equal(cpu.cr0, 0x11);
	assert_int_equal(cpu.cr3 | cpu.cr4 | cpu.efer, 0);

	entry_gdt(&cpu, gdt);
	assert_int_equal(load_le(gdt + 0x10, 8), 0x00cf9b000000ffff);
	assert_int_equal(load_le(gdt + 0x18, 8), 0x00cf93000000ffff);
	assert_int_equal(load_le(gdt + 0x20, 8), 0x00008b0000000067);
}

/* "32-bit BOOT PROTOCOL": as PVH, but for the register that tells. */
static void test_linux32_state(void **state)
{
	struct entry_cpu linux32, pvh;

	(void)state;
	entry_linux32(&linux32, 0x1000000, 0x11000, 0x10000);
	entry_pvh(&pvh, 0x1000000, 0x11000, 0x10000);
	assert_int_equal(linux32.rsi, 0x11000);
	assert_int_equal(linux32.rbx, 0);
	pvh.rsi = pvh.rbx;
	pvh.rbx = 0;
	assert_memory_equal(&linux32, &pvh, sizeof(pvh));
}

#define GPA 0x13000

/* Every 2 MiB of the first 4 GiB, and not one more. */
static void test_tables_low(void **state)
{
	static uint8_t buf[ENTRY_TABLES_MAX];
	const struct span inside = { 16 * MIB, 4 * GIB };
	size_t used;

	(void)state;
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(entry_tables(buf, sizeof(buf), GPA, &inside, 1, &used, NULL), 0);
	assert_int_equal(used, 6 * ENTRY_PAGE);
	for (uint64_t at = 0; at < 4 * GIB; at += 2 * MIB)
		assert_int_equal(boot_check_walk(buf, GPA, at + 0x1234), at + 0x1234);
	assert_true(boot_check_walk(buf, GPA, 4 * GIB) == UINT64_MAX);
	assert_true(boot_check_walk(buf, GPA, 512 * GIB) == UINT64_MAX);
}

/* A kernel across the GiB and 512 GiB borders, and one at the very end. */
static void test_tables_high(void **state)
{
	static uint8_t buf[ENTRY_TABLES_MAX];
	const struct span extra[] = {
		{ 512 * GIB - MIB, 512 * GIB + MIB },
		{ 5 * GIB, 5 * GIB + 1 },
		{ 5 * GIB, 6 * GIB },
		{ ENTRY_ADDRESS_MAX - 1, ENTRY_ADDRESS_MAX },
	};
	size_t used;

	(void)state;
	assert_int_equal(entry_tables(buf, sizeof(buf), GPA, extra, 4, &used, NULL), 0);
	/* PML4, PDPTs of 0, 1 and 255, page directories of 4 + 5 + 511 + 512 + the last */
	assert_int_equal(used, (1 + 3 + 8) * ENTRY_PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(extra); i++) {
		assert_true(boot_check_walk(buf, GPA, extra[i].base) == extra[i].base);
		assert_true(boot_check_walk(buf, GPA, extra[i].end - 1) == extra[i].end - 1);
	}
	assert_true(boot_check_walk(buf, GPA, 4 * GIB) == UINT64_MAX);
	assert_true(boot_check_walk(buf, GPA, 6 * GIB) == UINT64_MAX);
}

static void test_tables_refused(void **state)
{
	static uint8_t buf[ENTRY_TABLES_MAX];
	struct span extra[ELF_SEGMENTS_MAX];
	struct err err;
	size_t used;

	(void)state;
	extra[0] = (struct span){ ENTRY_ADDRESS_MAX, ENTRY_ADDRESS_MAX + 1 };
	assert_int_equal(entry_tables(buf, sizeof(buf), GPA, extra, 1, &used, &err), -ERANGE);
	assert_non_null(strstr(err.text, "0x800000000001"));
	for (uint64_t i = 0; i < ELF_SEGMENTS_MAX; i++)
		extra[i] = (struct span){ i * TIB, i * TIB + 1 };
	assert_int_equal(entry_tables(buf, sizeof(buf), GPA, extra, ELF_SEGMENTS_MAX, &used, &err),
			 -ERANGE);
	assert_non_null(strstr(err.text, "scattered"));
	assert_int_equal(entry_tables(buf, 5 * ENTRY_PAGE, GPA, NULL, 0, &used, &err), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linux64_state), cmocka_unit_test(test_pvh_state),
		cmocka_unit_test(test_linux32_state), cmocka_unit_test(test_tables_low),
		cmocka_unit_test(test_tables_high),   cmocka_unit_test(test_tables_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
