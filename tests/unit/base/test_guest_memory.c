/*
 * Guest memory and its listeners (vmm/base/guest_memory.h): in which order they are told, and that
 * nothing stays half-done.
 */
#include "vmm/base/guest_memory.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BLOCK(n) ((struct span){ (n)*GIB, (n)*GIB + MIB })

static struct guest_memory memory;
static struct err err;

/* What was heard, by all: "iommu+3 kvm+3 ..." with the block's number. */
static char heard[4096];

static void hear(const char *name, char what, struct span gpa)
{
	size_t len = strlen(heard);

	snprintf(heard + len, sizeof(heard) - len, "%s%s%c%u", len ? " " : "", name, what,
		 (unsigned)(gpa.base / GIB));
}

static void expect_heard(const char *text)
{
	assert_string_equal(heard, text);
	*heard = '\0';
}

/* --- the listeners --- */

struct ear {
	const char *name;
	struct guest_memory_listener listener;
	unsigned knows;	  /* a bit for each block */
	unsigned refuses; /* `add` of these fails */
	unsigned most;	  /* `check` fails of more blocks; 0: of none */
	size_t checked;	  /* blocks, the last time */
};

static unsigned bit_of(struct span gpa)
{
	return 1u << gpa.base / GIB;
}

/* The list is sorted, and is just what the listener has been told of. */
static void check_list(const struct ear *ear, const struct guest_ram *all)
{
	unsigned listed = 0;

	for (size_t i = 0; i < all->n; i++) {
		assert_true(!i || all->blocks[i - 1].gpa.end <= all->blocks[i].gpa.base);
		listed |= bit_of(all->blocks[i].gpa);
	}
	assert_int_equal(listed, ear->knows);
}

static int ear_check(void *to, const struct guest_ram *all, struct err *e)
{
	struct ear *ear = to;

	ear->checked = all->n;
	if (ear->most && all->n > ear->most)
		return err_set(e, E2BIG, "%s takes %u blocks", ear->name, ear->most);
	return 0;
}

static int ear_add(void *to, const struct guest_ram *all, const struct ram_block *block,
		   struct err *e)
{
	struct ear *ear = to;

	hear(ear->name, '+', block->gpa);
	assert_false(ear->knows & bit_of(block->gpa));
	if (ear->refuses & bit_of(block->gpa))
		return err_set(e, EIO, "%s refuses", ear->name);
	assert_ptr_equal(block->hva, (uint8_t *)(uintptr_t)(block->gpa.base + TIB));
	ear->knows |= bit_of(block->gpa);
	check_list(ear, all);
	return 0;
}

static void ear_remove(void *to, const struct guest_ram *all, const struct ram_block *block)
{
	struct ear *ear = to;

	hear(ear->name, '-', block->gpa);
	assert_true(ear->knows & bit_of(block->gpa));
	assert_ptr_equal(block->hva, (uint8_t *)(uintptr_t)(block->gpa.base + TIB));
	ear->knows &= ~bit_of(block->gpa);
	check_list(ear, all);
}

static const struct guest_memory_listener_ops ops[] = {
	{ GUEST_MEMORY_IOMMU, ear_check, ear_add, ear_remove },
	{ GUEST_MEMORY_KVM, NULL, ear_add, ear_remove },
	{ GUEST_MEMORY_VHOST, ear_check, ear_add, ear_remove },
	{ GUEST_MEMORY_VHOST_USER, ear_check, ear_add, ear_remove },
};

enum { IOMMU, KVM, VHOST, USER, EARS };
static struct ear ears[EARS];

static int set_up(void **state)
{
	static const char *const names[EARS] = { "iommu", "kvm", "vhost", "user" };

	(void)state;
	guest_memory_init(&memory);
	memset(ears, 0, sizeof(ears));
	for (unsigned i = 0; i < EARS; i++) {
		ears[i].name = names[i];
		ears[i].listener.ops = &ops[i];
		ears[i].listener.to = &ears[i];
	}
	*heard = '\0';
	memset(&err, 0, sizeof(err));
	return 0;
}

static int add(unsigned n)
{
	const struct ram_block block = {
		.gpa = BLOCK(n),
		.hva = (uint8_t *)(uintptr_t)(n * GIB + TIB),
		.fd = -1,
	};

	return guest_memory_add(&memory, &block, &err);
}

static int join(unsigned i)
{
	return guest_memory_listen(&memory, &ears[i].listener, &err);
}

/* Registered in another order than they are told in. */
static void join_all(void)
{
	assert_int_equal(join(USER), 0);
	assert_int_equal(join(KVM), 0);
	assert_int_equal(join(IOMMU), 0);
	assert_int_equal(join(VHOST), 0);
}

static void expect_blocks(unsigned bits)
{
	unsigned listed = 0;

	for (size_t i = 0; i < memory.all.n; i++)
		listed |= bit_of(memory.all.blocks[i].gpa);
	assert_int_equal(listed, bits);
}

/* --- the list --- */

static void test_sorted(void **state)
{
	static const unsigned order[] = { 5, 1, 9, 7, 0, 3 };
	uint64_t len = 16;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		assert_int_equal(add(order[i]), 0);
	assert_int_equal(memory.all.n, ARRAY_SIZE(order));
	for (size_t i = 1; i < memory.all.n; i++)
		assert_true(memory.blocks[i - 1].gpa.end <= memory.blocks[i].gpa.base);
	assert_ptr_equal(guest_ram_part(&memory.all, 7 * GIB + 4, &len),
			 (uint8_t *)(uintptr_t)(TIB + 7 * GIB + 4));
	guest_memory_remove(&memory, BLOCK(7));
	assert_null(guest_ram_part(&memory.all, 7 * GIB + 4, &len));
	expect_blocks(1 << 0 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 9);
	/* What is not there, whole, does not go. */
	guest_memory_remove(&memory, BLOCK(7));
	guest_memory_remove(&memory, (struct span){ 5 * GIB, 5 * GIB + 4 * KIB });
	guest_memory_remove(&memory, (struct span){ 20 * GIB, 21 * GIB });
	assert_int_equal(memory.all.n, 5);
	assert_int_equal(add(7), 0);
	expect_blocks(1 << 0 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 9);
}

static int add_span(uint64_t base, uint64_t end)
{
	const struct ram_block block = { .gpa = { base, end }, .fd = -1 };

	return guest_memory_add(&memory, &block, &err);
}

static void test_overlaps(void **state)
{
	static const struct span over[] = {
		{ 2 * GIB, 2 * GIB + MIB },
		{ 2 * GIB - 4096, 2 * GIB + 4096 },
		{ 2 * GIB + 4096, 2 * GIB + 8192 },
		{ 2 * GIB + MIB - 4096, 3 * GIB },
		{ 0, 3 * GIB },
	};

	(void)state;
	assert_int_equal(add(2), 0);
	assert_int_equal(join(KVM), 0);
	*heard = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(over); i++)
		assert_int_equal(add_span(over[i].base, over[i].end), -EEXIST);
	assert_string_equal(err.text,
			    "guest memory at [0, 0xc0000000) lies over what is there already: "
			    "[0x80000000, 0x80100000)");
	assert_int_equal(add_span(GIB, GIB), -EINVAL);
	assert_string_equal(err.text, "guest memory at 0x40000000 has no bytes");
	expect_heard("");
	assert_int_equal(memory.all.n, 1);
	/* Neighbours may touch. */
	guest_memory_forget(&memory, &ears[KVM].listener);
	assert_int_equal(add_span(2 * GIB - MIB, 2 * GIB), 0);
	assert_int_equal(add_span(2 * GIB + MIB, 3 * GIB), 0);
	assert_int_equal(memory.all.n, 3);
}

static void test_full(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < MEMORY_BLOCKS_MAX; i++)
		assert_int_equal(add_span(i * MIB, i * MIB + 4096), 0);
	assert_int_equal(add_span(TIB, TIB + 4096), -E2BIG);
	assert_string_equal(err.text, "guest memory is in more than 1280 blocks: reserve fewer "
				      "ranges, or use fewer files of --pmem");
	assert_int_equal(memory.all.n, MEMORY_BLOCKS_MAX);
}

/* --- blocks that come and go --- */

static void test_order(void **state)
{
	(void)state;
	join_all();
	expect_heard("");
	assert_int_equal(add(3), 0);
	expect_heard("iommu+3 kvm+3 vhost+3 user+3");
	assert_int_equal(add(1), 0);
	expect_heard("iommu+1 kvm+1 vhost+1 user+1");
	guest_memory_remove(&memory, BLOCK(3));
	expect_heard("user-3 vhost-3 kvm-3 iommu-3");
	guest_memory_remove(&memory, BLOCK(3));
	expect_heard("");
	expect_blocks(1 << 1);
}

/* Two of a rank are told in the order in which they came. */
static void test_same_rank(void **state)
{
	struct ear second = { .name = "second", .listener = { &ops[KVM], &second, NULL, NULL } };

	(void)state;
	join_all();
	assert_int_equal(guest_memory_listen(&memory, &second.listener, &err), 0);
	assert_int_equal(add(0), 0);
	expect_heard("iommu+0 kvm+0 second+0 vhost+0 user+0");
	guest_memory_forget(&memory, &second.listener);
	guest_memory_remove(&memory, BLOCK(0));
	expect_heard("user-0 vhost-0 kvm-0 iommu-0");
}

static void expect_all_know(unsigned bits)
{
	expect_blocks(bits);
	for (unsigned i = 0; i < EARS; i++)
		assert_int_equal(ears[i].knows, bits);
}

static void test_refused(void **state)
{
	static const char *const told[EARS] = {
		"iommu+2",
		"iommu+2 kvm+2 iommu-2",
		"iommu+2 kvm+2 vhost+2 kvm-2 iommu-2",
		"iommu+2 kvm+2 vhost+2 user+2 vhost-2 kvm-2 iommu-2",
	};

	(void)state;
	join_all();
	assert_int_equal(add(1), 0);
	assert_int_equal(add(3), 0);
	for (unsigned i = 0; i < EARS; i++) {
		char sentence[32];

		*heard = '\0';
		ears[i].refuses = 1 << 2;
		assert_int_equal(add(2), -EIO);
		snprintf(sentence, sizeof(sentence), "%s refuses", ears[i].name);
		assert_string_equal(err.text, sentence);
		expect_heard(told[i]);
		expect_all_know(1 << 1 | 1 << 3);
		ears[i].refuses = 0;
	}
	assert_int_equal(add(2), 0);
	expect_all_know(1 << 1 | 1 << 2 | 1 << 3);
}

/* Whoever cannot be told says so before anybody is. */
static void test_checked(void **state)
{
	(void)state;
	join_all();
	assert_int_equal(add(1), 0);
	*heard = '\0';
	ears[USER].most = 1;
	assert_int_equal(add(2), -E2BIG);
	assert_string_equal(err.text, "user takes 1 blocks");
	assert_int_equal(ears[USER].checked, 2); /* with the one that would be */
	assert_int_equal(ears[IOMMU].checked, 2);
	expect_heard("");
	expect_all_know(1 << 1);
}

/* --- listeners that come and go --- */

static void test_late(void **state)
{
	(void)state;
	assert_int_equal(add(4), 0);
	assert_int_equal(add(1), 0);
	assert_int_equal(add(2), 0);
	assert_int_equal(join(VHOST), 0);
	expect_heard("vhost+1 vhost+2 vhost+4");
	assert_int_equal(ears[VHOST].checked, 3);
	assert_int_equal(join(IOMMU), 0);
	expect_heard("iommu+1 iommu+2 iommu+4");
	assert_int_equal(add(3), 0);
	expect_heard("iommu+3 vhost+3");
	guest_memory_unlisten(&memory, &ears[IOMMU].listener);
	expect_heard("iommu-4 iommu-3 iommu-2 iommu-1");
	assert_int_equal(ears[IOMMU].knows, 0);
	/* It does not listen any more. */
	guest_memory_unlisten(&memory, &ears[IOMMU].listener);
	guest_memory_remove(&memory, BLOCK(2));
	expect_heard("vhost-2");
	/* In two halves, of which the first one can be taken back. */
	assert_int_equal(guest_memory_tell(&memory, &ears[IOMMU].listener, &err), 0);
	expect_heard("iommu+1 iommu+3 iommu+4");
	assert_ptr_equal(memory.first, &ears[VHOST].listener);
	guest_memory_untell(&memory, &ears[IOMMU].listener);
	expect_heard("iommu-4 iommu-3 iommu-1");
	assert_int_equal(guest_memory_tell(&memory, &ears[IOMMU].listener, &err), 0);
	guest_memory_join(&memory, &ears[IOMMU].listener);
	expect_heard("iommu+1 iommu+3 iommu+4");
	assert_ptr_equal(memory.first, &ears[IOMMU].listener);
	guest_memory_forget(&memory, &ears[IOMMU].listener);
	/* What it knows ends with it. */
	guest_memory_forget(&memory, &ears[VHOST].listener);
	guest_memory_forget(&memory, &ears[VHOST].listener);
	assert_int_equal(add(5), 0);
	expect_heard("");
	assert_null(memory.first);
	assert_null(memory.last);
}

static void test_late_refused(void **state)
{
	static const char *const told[] = {
		"kvm+1",
		"kvm+1 kvm+2 kvm-1",
		"kvm+1 kvm+2 kvm+4 kvm-2 kvm-1",
	};
	static const unsigned blocks[] = { 1, 2, 4 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++)
		assert_int_equal(add(blocks[i]), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
		ears[KVM].refuses = 1u << blocks[i];
		assert_int_equal(join(KVM), -EIO);
		expect_heard(told[i]);
		assert_int_equal(ears[KVM].knows, 0);
		assert_null(memory.first);
	}
	ears[KVM].refuses = 0;
	assert_int_equal(join(KVM), 0);
	/* One that cannot be told of all is told of none. */
	*heard = '\0';
	ears[IOMMU].most = 2;
	assert_int_equal(join(IOMMU), -E2BIG);
	expect_heard("");
	guest_memory_remove(&memory, BLOCK(4));
	expect_heard("kvm-4");
	assert_int_equal(join(IOMMU), 0);
	expect_heard("iommu+1 iommu+2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sorted, set_up),
		cmocka_unit_test_setup(test_overlaps, set_up),
		cmocka_unit_test_setup(test_full, set_up),
		cmocka_unit_test_setup(test_order, set_up),
		cmocka_unit_test_setup(test_same_rank, set_up),
		cmocka_unit_test_setup(test_refused, set_up),
		cmocka_unit_test_setup(test_checked, set_up),
		cmocka_unit_test_setup(test_late, set_up),
		cmocka_unit_test_setup(test_late_refused, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
