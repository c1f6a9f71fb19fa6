/*
 * Virtqueues against a driver of this file's own: both layouts, chains and indirect tables, more
 * buffers than the ring has entries, notifications by flag and by index, and every way in which a
 * driver can break a queue.
 */
#include "devices/virtqueue.h"
#include "vmm/base/bytes.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define NEXT	 1
#define WRITE	 2
#define INDIRECT 4
#define AVAIL	 0x80
#define USED	 0x8000

/* Two blocks that are neighbours to the guest, and one above 1 TiB. */
#define LOW	 UINT64_C(0x10000)
#define MIDDLE	 UINT64_C(0x20000)
#define MIDDLE_E UINT64_C(0x30000)
#define HIGH	 UINT64_C(0x10000000000)
#define BLOCK	 0x10000

static uint8_t memory[3][BLOCK] __attribute__((aligned(4096)));
static const struct ram_block blocks[] = {
	{ { LOW, MIDDLE }, memory[1], -1, 0 },
	{ { MIDDLE, MIDDLE_E }, memory[0], -1, 0 }, /* not where the one before ends */
	{ { HIGH, HIGH + BLOCK }, memory[2], -1, 0 },
};
static const struct guest_ram ram = { blocks, ARRAY_SIZE(blocks) };

#define DESC   (HIGH + 0x0000)
#define DRIVER (HIGH + 0x8000)
#define DEVICE (HIGH + 0xc000)
#define TABLE  (LOW + 0x0000) /* indirect */
#define DATA   (LOW + 0x8000)

static struct virtqueue q;
static struct virtqueue_buffer b;

/* --- the driver --- */

static struct {
	uint16_t avail; /* split: index; packed: place in the ring */
	bool wrap;
	uint16_t seen, seen_place;
	bool seen_wrap;
} driver;

static uint8_t *at(uint64_t gpa)
{
	return guest_ram_at(&ram, gpa, 1);
}

static uint64_t get(uint64_t gpa, unsigned n)
{
	return load_le(at(gpa), n);
}

static void put(uint64_t gpa, uint64_t value, unsigned n)
{
	store_le(at(gpa), value, n);
}

struct part {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags; /* WRITE, INDIRECT */
};

static void put_split(uint64_t table, unsigned i, const struct part *p, uint16_t flags,
		      uint16_t next)
{
	put(table + 16 * i, p->gpa, 8);
	put(table + 16 * i + 8, p->len, 4);
	put(table + 16 * i + 12, p->flags | flags, 2);
	put(table + 16 * i + 14, next, 2);
}

static void put_packed(uint64_t table, unsigned i, const struct part *p, uint16_t flags,
		       uint16_t id)
{
	put(table + 16 * i, p->gpa, 8);
	put(table + 16 * i + 8, p->len, 4);
	put(table + 16 * i + 12, id, 2);
	put(table + 16 * i + 14, p->flags | flags, 2);
}

/* Split: the chain takes the entries from `id` on. Packed: the next ones of the ring. */
static void offer(uint16_t id, const struct part *parts, unsigned n)
{
	unsigned size = q.state.size;

	for (unsigned i = 0; i < n; i++) {
		uint16_t more = i + 1 < n ? NEXT : 0;

		if (q.packed) {
			put_packed(DESC, driver.avail, &parts[i],
				   more | (driver.wrap ? AVAIL : USED), id);
			if (++driver.avail == size) {
				driver.avail = 0;
				driver.wrap = !driver.wrap;
			}
		} else {
			put_split(DESC, (id + i) % size, &parts[i], more,
				  (uint16_t)((id + i + 1) % size));
		}
	}
	if (q.packed)
		return;
	put(DRIVER + 4 + 2 * (driver.avail % size), id, 2);
	put(DRIVER + 2, ++driver.avail, 2);
}

/* The next used buffer: its id, with the length in *written; -1: none. `n`: entries it took. */
static int collect(unsigned n, uint32_t *written)
{
	if (q.packed) {
		uint64_t entry = DESC + 16 * driver.seen_place;
		uint16_t flags = (uint16_t)get(entry + 14, 2);

		if (!!(flags & AVAIL) != driver.seen_wrap || !!(flags & USED) != driver.seen_wrap)
			return -1;
		*written = (uint32_t)get(entry + 8, 4);
		driver.seen_place = (uint16_t)(driver.seen_place + n);
		if (driver.seen_place >= q.state.size) {
			driver.seen_place = (uint16_t)(driver.seen_place - q.state.size);
			driver.seen_wrap = !driver.seen_wrap;
		}
		return (int)get(entry + 12, 2);
	}
	if (driver.seen == get(DEVICE + 2, 2))
		return -1;
	*written = (uint32_t)get(DEVICE + 4 + 8 * (driver.seen % q.state.size) + 4, 4);
	return (int)get(DEVICE + 4 + 8 * (driver.seen++ % q.state.size), 4);
}

static void begin(bool packed, unsigned size, bool event_idx)
{
	memset(memory, 0, sizeof(memory));
	memset(&driver, 0, sizeof(driver));
	driver.wrap = driver.seen_wrap = true;
	q = (struct virtqueue){
		.ram = &ram,
		.state.size = size,
		.state.desc = DESC,
		.state.driver = DRIVER,
		.state.device = DEVICE,
		.packed = packed,
		.event_idx = event_idx,
		.indirect = true,
	};
	assert_true(virtqueue_start(&q));
}

static void breaks(const char *why)
{
	assert_false(virtqueue_pop(&q, &b));
	assert_true(q.state.broken);
	assert_non_null(strstr(q.why, why));
	assert_false(virtqueue_pop(&q, &b));
}

/* --- buffers --- */

static void test_parts(void **state)
{
	const struct part chain[] = {
		{ DATA, 100, 0 },
		{ MIDDLE - 8, 24, 0 }, /* over the end of a block */
		{ HIGH + 0x7000, 50, WRITE },
	};
	char text[16] = "";

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		begin(packed, 8, false);
		assert_false(virtqueue_pop(&q, &b));
		memcpy(at(MIDDLE - 8), "straddle", 8);
		memcpy(at(MIDDLE), "guests", 6);
		offer(5, chain, 3);
		assert_true(virtqueue_pop(&q, &b));
		assert_int_equal(b.id, 5);
		assert_int_equal(b.nr_out, 3);
		assert_int_equal(b.nr_in, 1);
		assert_int_equal(b.out_len, 124);
		assert_int_equal(b.in_len, 50);
		assert_ptr_equal(b.parts[0].iov_base, at(DATA));
		assert_int_equal(virtqueue_read(b.parts, b.nr_out, 100, text, 14), 14);
		assert_string_equal(text, "straddleguests");
		assert_int_equal(virtqueue_read(b.parts, b.nr_out, 120, text, 14), 4);
		assert_int_equal(virtqueue_write(b.parts + 3, 1, 48, "xyz", 3), 2);
		assert_memory_equal(at(HIGH + 0x7000 + 48), "xy", 2);
		assert_false(virtqueue_pop(&q, &b));
	}
}

static void test_indirect(void **state)
{
	const struct part table = { TABLE, 48, INDIRECT };
	const struct part parts[] = { { DATA, 10, 0 },
				      { DATA + 64, 20, WRITE },
				      { DATA + 128, 30, WRITE } };
	uint32_t written;

	(void)state;
	begin(false, 4, false);
	put_split(TABLE, 0, &parts[0], NEXT, 2); /* not in the table's order */
	put_split(TABLE, 2, &parts[1], NEXT, 1);
	put_split(TABLE, 1, &parts[2], 0, 0);
	offer(3, &table, 1);
	assert_true(virtqueue_pop(&q, &b));
	assert_int_equal(b.nr_out, 1);
	assert_int_equal(b.nr_in, 2);
	assert_ptr_equal(b.parts[1].iov_base, at(DATA + 64));
	virtqueue_push(&q, b.id, b.entries, 33);
	assert_int_equal(collect(1, &written), 3);
	assert_int_equal(written, 33);

	begin(true, 4, false);
	for (unsigned i = 0; i < 3; i++)
		put_packed(TABLE, i, &parts[i], 0, 0);
	offer(3, &table, 1);
	assert_true(virtqueue_pop(&q, &b));
	assert_int_equal(b.entries, 1);
	assert_int_equal(b.in_len, 50);
}

/* Chains of all lengths, many times around the ring, given back out of order. */
static void many(bool packed, unsigned size)
{
	struct {
		unsigned id, n;
		uint32_t written;
		bool used;
	} held[8], *h;
	unsigned nr_held = 0, taken = 0, next_id = 0;

	begin(packed, size, false);
	srandom(size);
	for (unsigned round = 0; round < 2000; round++) {
		unsigned n = 1 + (unsigned)random() % 3;

		if (nr_held < ARRAY_SIZE(held) && taken + n <= size && random() % 3) {
			struct part parts[3];
			unsigned id = packed ? nr_held : next_id;

			for (unsigned i = 0; i < n; i++)
				parts[i] = (struct part){ DATA + 64 * i, 1 + round % 60, WRITE };
			offer((uint16_t)id, parts, n);
			assert_true(virtqueue_pop(&q, &b));
			assert_int_equal(b.id, id);
			assert_int_equal(b.nr_in, n);
			assert_int_equal(b.in_len, n * (1 + round % 60));
			held[nr_held].id = b.id;
			held[nr_held++].n = b.entries;
			next_id = (next_id + n) % size;
			taken += n;
		} else if (nr_held) {
			uint32_t written;

			/* All that is held, from the last to the first. */
			while (nr_held) {
				h = &held[--nr_held];
				virtqueue_push(&q, (uint16_t)h->id, (uint16_t)h->n, round + 1);
				assert_int_equal(collect(h->n, &written), h->id);
				assert_int_equal(written, round + 1);
			}
			taken = 0;
		}
		assert_false(virtqueue_pop(&q, &b));
		assert_false(q.state.broken);
	}
}

static void test_many(void **state)
{
	(void)state;
	many(false, 16);
	many(false, 64);
	many(true, 16);
	many(true, 13); /* packed rings need be no power of two */
}

/* --- notifications --- */

static void use_one(uint16_t id)
{
	const struct part part = { DATA, 8, WRITE };

	offer(id, &part, 1);
	assert_true(virtqueue_pop(&q, &b));
	virtqueue_push(&q, b.id, b.entries, 8);
}

/* A look at a queue from outside sees each buffer that is returned, and nothing else. */
static void test_returned(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		uint16_t was;

		begin(packed, 8, false);
		was = virtqueue_returned(&q);
		for (unsigned i = 0; i < 40; i++) {
			const struct part part = { DATA, 8, WRITE };

			offer((uint16_t)(i % 8), &part, 1);
			assert_true(virtqueue_pop(&q, &b));
			assert_int_equal(virtqueue_returned(&q), was);
			virtqueue_push(&q, b.id, b.entries, 8);
			assert_int_not_equal(virtqueue_returned(&q), was);
			was = virtqueue_returned(&q);
		}
		virtqueue_stop(&q);
		assert_int_equal(virtqueue_returned(&q), 0);
	}
}

static void test_interrupt_flags(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		begin(packed, 8, false);
		assert_false(virtqueue_should_interrupt(&q)); /* nothing was used */
		use_one(0);
		assert_true(virtqueue_should_interrupt(&q));
		assert_false(virtqueue_should_interrupt(&q));
		put(packed ? DRIVER + 2 : DRIVER, 1, 2); /* not wanted */
		use_one(1);
		assert_false(virtqueue_should_interrupt(&q));
	}
}

/* The driver says at which entry it wants to hear: exactly then, also where the numbers wrap. */
static void test_interrupt_index(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		begin(packed, 8, true);
		for (unsigned i = 0; i < 70000; i++) {
			unsigned wanted = i / 3 * 3 + 2; /* every third */

			if (packed) {
				put(DRIVER, wanted % 8 | (wanted / 8 % 2 ? 0 : 0x8000), 2);
				put(DRIVER + 2, 2, 2);
			} else {
				put(DRIVER + 4 + 2 * 8, wanted & 0xffff, 2);
			}
			use_one((uint16_t)(i % 8));
			assert_int_equal(virtqueue_should_interrupt(&q), i == wanted);
		}
	}
	/* Several at once, with the wanted one among them. */
	begin(false, 8, true);
	put(DRIVER + 4 + 2 * 8, 1, 2);
	for (uint16_t i = 0; i < 4; i++)
		use_one(i);
	assert_true(virtqueue_should_interrupt(&q));
}

static void test_kicks(void **state)
{
	(void)state;
	begin(false, 8, false);
	virtqueue_want_kicks(&q, false);
	assert_int_equal(get(DEVICE, 2), 1);
	virtqueue_want_kicks(&q, true);
	assert_int_equal(get(DEVICE, 2), 0);
	begin(false, 8, true);
	use_one(0);
	virtqueue_want_kicks(&q, true);
	assert_int_equal(get(DEVICE + 4 + 8 * 8, 2), 1); /* the next one */
	begin(true, 8, false);
	virtqueue_want_kicks(&q, false);
	assert_int_equal(get(DEVICE + 2, 2), 1);
	virtqueue_want_kicks(&q, true);
	assert_int_equal(get(DEVICE + 2, 2), 0);
	begin(true, 8, true);
	use_one(0);
	virtqueue_want_kicks(&q, true);
	assert_int_equal(get(DEVICE, 2), 0x8001);
	assert_int_equal(get(DEVICE + 2, 2), 2);
}

/* A driver that starts anew, from the first entry of new rings. */
static void test_restart(void **state)
{
	uint32_t written;

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		const struct part part = { DATA, 8, WRITE };

		begin(packed, 8, false);
		for (uint16_t i = 0; i < 11; i++) /* the wrap counters are turned */
			use_one(i % 8);
		virtqueue_stop(&q);
		assert_false(virtqueue_pop(&q, &b));
		virtqueue_push(&q, 0, 1, 8); /* late: into nothing */
		memset(at(DESC), 0, BLOCK);
		memset(&driver, 0, sizeof(driver));
		driver.wrap = driver.seen_wrap = true;
		assert_true(virtqueue_start(&q));
		assert_false(virtqueue_should_interrupt(&q));
		offer(3, &part, 1);
		assert_true(virtqueue_pop(&q, &b));
		assert_int_equal(b.id, 3);
		virtqueue_push(&q, b.id, b.entries, 5);
		assert_int_equal(collect(1, &written), 3);
		assert_int_equal(written, 5);
	}
}

/* All entries at once, and the sixteen bits of the indices run over. */
static void test_full(void **state)
{
	const struct part part = { DATA, 8, WRITE };
	uint32_t written;

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		begin(packed, 8, false);
		for (unsigned round = 0; round < 70000 / 8; round++) {
			for (uint16_t i = 0; i < 8; i++)
				offer(i, &part, 1);
			for (uint16_t i = 0; i < 8; i++) {
				assert_true(virtqueue_pop(&q, &b));
				assert_int_equal(b.id, i);
				virtqueue_push(&q, b.id, b.entries, i);
			}
			assert_false(virtqueue_pop(&q, &b));
			for (uint16_t i = 0; i < 8; i++) {
				assert_int_equal(collect(1, &written), i);
				assert_int_equal(written, i);
			}
			assert_int_equal(collect(1, &written), -1);
			assert_false(q.state.broken);
		}
	}
}

/* A packed chain takes several places: the one that the driver waits for may be in its middle. */
static void test_interrupt_in_chain(void **state)
{
	const struct part chain[] = { { DATA, 8, WRITE }, { DATA, 8, WRITE }, { DATA, 8, WRITE } };

	(void)state;
	for (unsigned wanted = 0; wanted < 6; wanted++) {
		begin(true, 8, true);
		put(DRIVER, wanted | 0x8000, 2);
		put(DRIVER + 2, 2, 2);
		for (uint16_t i = 0; i < 2; i++) {
			offer(i, chain, 3);
			assert_true(virtqueue_pop(&q, &b));
			assert_int_equal(b.entries, 3);
			virtqueue_push(&q, b.id, b.entries, 24);
			assert_int_equal(virtqueue_should_interrupt(&q), wanted / 3 == i);
		}
	}
	/* The flag means "at an entry" only if that was agreed on. */
	begin(true, 8, false);
	put(DRIVER, 5 | 0x8000, 2);
	put(DRIVER + 2, 2, 2);
	use_one(0);
	assert_true(virtqueue_should_interrupt(&q));
}

/* Where the next kick is wanted, once the ring has been gone round. */
static void test_kick_wrap(void **state)
{
	(void)state;
	begin(true, 8, true);
	for (uint16_t i = 0; i < 9; i++)
		use_one(i % 8);
	virtqueue_want_kicks(&q, true);
	assert_int_equal(get(DEVICE, 2), 1); /* place 1, second time round */
	begin(false, 8, true);
	for (uint16_t i = 0; i < 9; i++)
		use_one(i % 8);
	virtqueue_want_kicks(&q, true);
	assert_int_equal(get(DEVICE + 4 + 8 * 8, 2), 9);
}

/* Virtio 1.2 section 2.8.4: the device's entry says whether it wrote. */
static void test_packed_used(void **state)
{
	const struct part out = { DATA, 8, 0 }, in = { DATA, 8, WRITE };

	(void)state;
	begin(true, 8, false);
	offer(0, &out, 1);
	offer(1, &in, 1);
	for (uint16_t i = 0; i < 2; i++) {
		assert_true(virtqueue_pop(&q, &b));
		virtqueue_push(&q, b.id, b.entries, i * 8u);
		assert_int_equal(get(DESC + 16 * i + 14, 2) & WRITE, i ? WRITE : 0);
	}
}

/* Section 2.8.7: in an indirect table neither NEXT nor the id mean anything. */
static void test_packed_table(void **state)
{
	const struct part table = { TABLE, 32, INDIRECT },
			  parts[] = { { DATA, 8, 0 }, { DATA, 8, 0 } };

	(void)state;
	begin(true, 8, false);
	put_packed(TABLE, 0, &parts[0], NEXT, 77);
	put_packed(TABLE, 1, &parts[1], NEXT, 99);
	offer(6, &table, 1);
	assert_true(virtqueue_pop(&q, &b));
	assert_int_equal(b.id, 6);
	assert_int_equal(b.nr_out, 2);
}

/* --- drivers that break the rules --- */

static bool start_with(bool packed, unsigned size, uint64_t desc, uint64_t avail, uint64_t used)
{
	q = (struct virtqueue){ .ram = &ram,
				.state.size = size,
				.state.desc = desc,
				.state.driver = avail,
				.state.device = used,
				.packed = packed };
	return virtqueue_start(&q);
}

static void test_bad_areas(void **state)
{
	(void)state;
	assert_false(start_with(false, 0, DESC, DRIVER, DEVICE));
	assert_false(start_with(false, 12, DESC, DRIVER, DEVICE));
	assert_false(start_with(true, 2048, DESC, DRIVER, DEVICE));
	assert_non_null(strstr(q.why, "impossible size"));
	assert_false(start_with(false, 8, DESC + 8, DRIVER, DEVICE));
	assert_false(start_with(false, 8, DESC, DRIVER + 1, DEVICE));
	assert_false(start_with(true, 8, DESC, DRIVER + 2, DEVICE));
	assert_false(start_with(false, 8, DESC, DRIVER, DEVICE + 2));
	assert_non_null(strstr(q.why, "not aligned"));
	assert_false(start_with(false, 8, HIGH + BLOCK - 64, DRIVER, DEVICE));
	assert_false(start_with(false, 8, DESC, UINT64_MAX - 1, DEVICE));
	assert_false(start_with(false, 8, DESC, DRIVER, MIDDLE_E));
	assert_false(start_with(false, 8, MIDDLE - 16, DRIVER, DEVICE)); /* over two blocks */
	/* The last word of each split area, for the event index, is theirs, too. */
	assert_true(start_with(false, 8, DESC, HIGH + BLOCK - 22, DEVICE));
	assert_false(start_with(false, 8, DESC, HIGH + BLOCK - 20, DEVICE));
	assert_true(start_with(false, 8, DESC, DRIVER, HIGH + BLOCK - 72));
	assert_false(start_with(false, 8, DESC, DRIVER, HIGH + BLOCK - 68));
	assert_non_null(strstr(q.why, "not in RAM"));
	assert_false(virtqueue_pop(&q, &b));
	assert_true(start_with(true, 12, DESC, DRIVER, DEVICE));
}

static void test_broken_both(void **state)
{
	const struct part out_after_in[] = { { DATA, 8, WRITE }, { DATA, 8, 0 } };
	const struct part empty = { DATA, 0, 0 }, nowhere = { MIDDLE_E - 4, 8, 0 };
	const struct part odd = { TABLE, 24, INDIRECT }, none = { TABLE, 0, INDIRECT };
	const struct part far_table = { HIGH + BLOCK, 16, INDIRECT };
	const struct part table = { TABLE, 16, INDIRECT };

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		begin(packed, 8, false);
		offer(0, out_after_in, 2);
		breaks("follows one to be written");
		begin(packed, 8, false);
		offer(0, &empty, 1);
		breaks("is empty");
		begin(packed, 8, false);
		offer(0, &nowhere, 1);
		breaks("a buffer is not in RAM");
		begin(packed, 8, false);
		offer(0, &odd, 1);
		breaks("odd size");
		begin(packed, 8, false);
		offer(0, &none, 1);
		breaks("odd size");
		begin(packed, 8, false);
		q.indirect = false;
		offer(0, &table, 1);
		breaks("not allowed");
		begin(packed, 8, false);
		offer(0, &far_table, 1);
		breaks("table is not in RAM");
		begin(packed, 8, false);
		if (packed)
			put_packed(TABLE, 0, &table, 0, 0);
		else
			put_split(TABLE, 0, &table, 0, 0);
		offer(0, &table, 1);
		breaks("leads to another");
	}
}

static void test_broken_split(void **state)
{
	const struct part part = { DATA, 8, 0 }, table = { TABLE, 32, INDIRECT };

	(void)state;
	begin(false, 8, false);
	put(DRIVER + 2, 9, 2);
	breaks("more buffers are offered");
	begin(false, 8, false);
	put(DRIVER + 4, 8, 2);
	put(DRIVER + 2, 1, 2);
	breaks("leaves the queue");
	begin(false, 8, false);
	put_split(DESC, 0, &part, NEXT, 0);
	put(DRIVER + 2, 1, 2);
	breaks("is a loop");
	begin(false, 8, false);
	put_split(DESC, 0, &table, NEXT, 1);
	put(DRIVER + 2, 1, 2);
	breaks("goes on after an indirect table");
	begin(false, 8, false);
	put_split(TABLE, 0, &part, NEXT, 2);
	offer(0, &table, 1);
	breaks("leaves its table");
	begin(false, 8, false);
	put_split(TABLE, 0, &part, NEXT, 0);
	offer(0, &table, 1);
	breaks("is a loop");
}

static void test_broken_packed(void **state)
{
	const struct part part = { DATA, 8, 0 }, table = { TABLE, 16, INDIRECT };

	(void)state;
	begin(true, 4, false);
	for (unsigned i = 0; i < 4; i++)
		put_packed(DESC, i, &part, NEXT | AVAIL, 0);
	breaks("is a loop");
	begin(true, 4, false);
	put_packed(DESC, 0, &table, NEXT | AVAIL, 0);
	breaks("part of a chain");
	begin(true, 4, false);
	put_packed(DESC, 0, &part, NEXT | AVAIL, 0);
	put_packed(DESC, 1, &table, AVAIL, 0);
	breaks("part of a chain");
}

/* A table of the most parts there may be, and one more. */
static void test_too_many_parts(void **state)
{
	const struct part part = { DATA, 1, WRITE };
	struct part table = { TABLE, 16 * VIRTQUEUE_PARTS_MAX, INDIRECT };

	(void)state;
	begin(true, 4, false);
	for (unsigned i = 0; i <= VIRTQUEUE_PARTS_MAX; i++)
		put_packed(TABLE, i, &part, 0, 0);
	offer(0, &table, 1);
	assert_true(virtqueue_pop(&q, &b));
	assert_int_equal(b.nr_in, VIRTQUEUE_PARTS_MAX);
	table.len += 16;
	offer(1, &table, 1);
	breaks("too many parts");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_returned),
		cmocka_unit_test(test_interrupt_flags),
		cmocka_unit_test(test_interrupt_index),
		cmocka_unit_test(test_kicks),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_interrupt_in_chain),
		cmocka_unit_test(test_kick_wrap),
		cmocka_unit_test(test_packed_used),
		cmocka_unit_test(test_packed_table),
		cmocka_unit_test(test_bad_areas),
		cmocka_unit_test(test_broken_both),
		cmocka_unit_test(test_broken_split),
		cmocka_unit_test(test_broken_packed),
		cmocka_unit_test(test_too_many_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
