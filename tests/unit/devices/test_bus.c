/*
 * The bus: who answers an access, who does not, and what the device sees of it.
 */
#include "devices/bus.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

struct probe {
	struct device dev;
	unsigned calls;
	uint64_t offset[8], value[8];
	unsigned size[8];
	bool unlocked;
};

static void probe_note(struct probe *p, uint64_t offset, unsigned size, uint64_t value)
{
	if (pthread_mutex_trylock(&p->dev.lock) == 0) {
		p->unlocked = true;
		pthread_mutex_unlock(&p->dev.lock);
	}
	if (p->calls < ARRAY_SIZE(p->offset)) {
		p->offset[p->calls] = offset;
		p->size[p->calls] = size;
		p->value[p->calls] = value;
	}
	p->calls++;
}

/* Byte n of a probe reads as 0x10 + n, whatever the size; the bits above `size` are junk. */
static uint64_t probe_read(struct device *dev, uint64_t offset, unsigned size)
{
	uint64_t value = UINT64_C(0xaaaaaaaaaaaaaaaa);

	for (unsigned i = size; i-- > 0;)
		value = value << 8 | (0x10 + offset + i);
	probe_note((struct probe *)dev, offset, size, 0);
	return value;
}

static void probe_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	probe_note((struct probe *)dev, offset, size, value);
}

static const struct device_ops any_ops = {
	.name = "any",
	.read = probe_read,
	.write = probe_write,
};

static const struct device_ops byte_ops = {
	.name = "byte",
	.width = 1,
	.read = probe_read,
	.write = probe_write,
};

static const struct device_ops dword_ops = {
	.name = "dword",
	.width = 4,
	.read = probe_read,
	.write = probe_write,
};

static struct probe *probe_new(struct probe *p, const struct device_ops *ops)
{
	*p = (struct probe){ 0 };
	device_init(&p->dev, ops);
	return p;
}

static void test_empty_bus(void **state)
{
	struct bus bus = { 0 };
	uint32_t data = 0;

	(void)state;
	assert_false(bus_read(&bus, 0x3f8, 4, &data));
	assert_int_equal(data, 0xffffffff);
	assert_false(bus_write(&bus, 0x3f8, 4, &data));
}

static void test_claimed_only_inside(void **state)
{
	static const struct {
		uint64_t addr;
		unsigned size;
		bool claimed;
	} cases[] = {
		{ 0xff, 1, false },  { 0xff, 2, false },  { 0x100, 1, true },  { 0x100, 8, true },
		{ 0x104, 4, true },  { 0x104, 8, false }, { 0x107, 1, true },  { 0x107, 2, false },
		{ 0x108, 1, false }, { 0xfc, 8, false },  { 0x100, 0, false }, { 0x100, 3, false },
	};
	struct bus bus = { 0 };
	struct probe p;

	(void)state;
	probe_new(&p, &any_ops);
	assert_int_equal(bus_add(&bus, (struct span){ 0x100, 0x108 }, &p.dev, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned calls = p.calls;
		uint8_t data[9], want[9];

		memset(data, 0x5a, sizeof(data));
		memset(want, 0x5a, sizeof(want));
		for (unsigned n = 0; n < cases[i].size; n++)
			want[n] = cases[i].claimed ? 0x10 + cases[i].addr - 0x100 + n : 0xff;
		assert_int_equal(bus_read(&bus, cases[i].addr, cases[i].size, data),
				 cases[i].claimed);
		assert_memory_equal(data, want, sizeof(data));
		assert_int_equal(bus_write(&bus, cases[i].addr, cases[i].size, data),
				 cases[i].claimed);
		assert_int_equal(p.calls - calls, cases[i].claimed ? 2 : 0);
	}
	assert_false(p.unlocked);
}

static void test_no_size_beyond_eight(void **state)
{
	struct bus bus = { 0 };
	struct probe p;
	uint8_t data[16] = { 0 };

	(void)state;
	probe_new(&p, &any_ops);
	assert_int_equal(bus_add(&bus, (struct span){ 0x100, 0x200 }, &p.dev, NULL), 0);
	assert_false(bus_read(&bus, 0x100, 16, data));
	assert_int_equal(data[15], 0xff);
	assert_false(bus_write(&bus, 0x100, 16, data));
	assert_int_equal(p.calls, 0);
}

static void test_width_splits(void **state)
{
	struct bus bus = { 0 };
	struct probe b, d;
	uint8_t data[8];

	(void)state;
	probe_new(&b, &byte_ops);
	probe_new(&d, &dword_ops);
	assert_int_equal(bus_add(&bus, (struct span){ 0x10, 0x18 }, &b.dev, NULL), 0);
	assert_int_equal(bus_add(&bus, (struct span){ 0x20, 0x28 }, &d.dev, NULL), 0);

	assert_true(bus_read(&bus, 0x12, 4, data));
	assert_memory_equal(data, "\x12\x13\x14\x15", 4);
	assert_int_equal(b.calls, 4);
	assert_int_equal(b.offset[0], 2);
	assert_int_equal(b.offset[3], 5);
	assert_int_equal(b.size[0], 1);

	assert_true(bus_write(&bus, 0x20, 8, "\x01\x02\x03\x04\x05\x06\x07\x08"));
	assert_int_equal(d.calls, 2);
	assert_int_equal(d.value[0], 0x04030201);
	assert_int_equal(d.value[1], 0x08070605);
	assert_int_equal(d.offset[1], 4);
	assert_int_equal(d.size[1], 4);
	assert_true(bus_write(&bus, 0x21, 2, "\x01\x02"));
	assert_int_equal(d.size[2], 2);
	assert_int_equal(d.value[2], 0x0201);
	assert_false(b.unlocked || d.unlocked);
}

static void test_add_refuses(void **state)
{
	static const struct span overlaps[] = { { 0x0f0, 0x101 }, { 0x107, 0x110 },
						{ 0x102, 0x103 }, { 0x0f0, 0x120 },
						{ 0x100, 0x108 }, { 0x0, UINT64_MAX } };
	struct bus bus = { 0 };
	struct probe a, b;
	struct err err;

	(void)state;
	probe_new(&a, &any_ops);
	probe_new(&b, &byte_ops);
	assert_int_equal(bus_add(&bus, (struct span){ 0x100, 0x108 }, &a.dev, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(overlaps); i++)
		assert_int_equal(bus_add(&bus, overlaps[i], &b.dev, &err), -EEXIST);
	assert_string_equal(err.text, "device byte at 0-0xfffffffffffffffe overlaps any at "
				      "0x100-0x107");
	assert_int_equal(bus_add(&bus, (struct span){ 0x200, 0x200 }, &b.dev, &err), -EINVAL);
	assert_non_null(strstr(err.text, "byte"));
	/* Neighbours are no overlap. */
	assert_int_equal(bus_add(&bus, (struct span){ 0xf8, 0x100 }, &b.dev, &err), 0);
	assert_int_equal(bus_add(&bus, (struct span){ 0x108, 0x110 }, &b.dev, &err), 0);
	assert_int_equal(bus.nr, 3);
}

static void test_full_bus_finds_all(void **state)
{
	struct bus bus = { 0 };
	static struct probe p[BUS_ENTRIES_MAX + 1];
	struct err err;

	(void)state;
	/* 29 is prime to 64: every slot once, in a scattered order, up to the end of the space. */
	for (unsigned i = 0; i < BUS_ENTRIES_MAX; i++) {
		unsigned slot = i * 29 % BUS_ENTRIES_MAX;
		uint64_t end = UINT64_MAX - (BUS_ENTRIES_MAX - 1 - slot) * UINT64_C(0x1000);

		probe_new(&p[slot], &any_ops);
		assert_int_equal(
			bus_add(&bus, (struct span){ end - 0x10, end }, &p[slot].dev, &err), 0);
	}
	probe_new(&p[BUS_ENTRIES_MAX], &any_ops);
	assert_int_equal(bus_add(&bus, (struct span){ 0, 8 }, &p[BUS_ENTRIES_MAX].dev, &err),
			 -ENOSPC);
	for (unsigned slot = 0; slot < BUS_ENTRIES_MAX; slot++) {
		uint64_t end = UINT64_MAX - (BUS_ENTRIES_MAX - 1 - slot) * UINT64_C(0x1000);
		uint64_t data = 0;

		assert_true(bus_write(&bus, end - 8, 8, &data));
		assert_false(bus_write(&bus, end - 0x11, 1, &data));
		assert_false(bus_write(&bus, end, 1, &data));
		assert_int_equal(p[slot].calls, 1);
		assert_int_equal(p[slot].offset[0], 8);
	}
}

static void test_remove(void **state)
{
	struct bus bus = { 0 };
	struct probe p[3];
	uint8_t data[8];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		probe_new(&p[i], &any_ops);
		bus_add(&bus, (struct span){ 0x10 * i, 0x10 * i + 0x10 }, &p[i].dev, NULL);
	}
	/* Only what was added at exactly this range. */
	bus_remove(&bus, (struct span){ 0x10, 0x18 });
	bus_remove(&bus, (struct span){ 0x18, 0x20 });
	bus_remove(&bus, (struct span){ 0x10, 0x30 });
	bus_remove(&bus, (struct span){ 0x30, 0x40 });
	assert_true(bus_read(&bus, 0x10, 1, data));
	bus_remove(&bus, (struct span){ 0x10, 0x20 });
	assert_false(bus_read(&bus, 0x10, 1, data));
	assert_int_equal(data[0], 0xff);
	assert_true(bus_read(&bus, 0x0f, 1, data));
	assert_true(bus_read(&bus, 0x20, 1, data));
	assert_int_equal(bus_add(&bus, (struct span){ 0x18, 0x20 }, &p[1].dev, NULL), 0);
	assert_true(bus_read(&bus, 0x18, 8, data));
	assert_int_equal(data[0], 0x10);
	bus_remove(&bus, (struct span){ 0x20, 0x30 });
	bus_remove(&bus, (struct span){ 0, 0x10 });
	bus_remove(&bus, (struct span){ 0x18, 0x20 });
	assert_int_equal(bus.nr, 0);
}

/* As configuration space does: a write moves another device (offset 0) or the device itself (8). */
struct mover {
	struct device dev;
	struct bus *bus;
	struct probe moved;
	uint64_t at, moved_at;
};

static void mover_write(struct device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct mover *m = (struct mover *)dev;

	(void)size;
	if (offset == 0) {
		bus_remove(m->bus, (struct span){ m->moved_at, m->moved_at + 8 });
		m->moved_at = value;
		bus_add(m->bus, (struct span){ value, value + 8 }, &m->moved.dev, NULL);
	} else {
		bus_remove(m->bus, (struct span){ m->at, m->at + 16 });
		m->at = value;
		bus_add(m->bus, (struct span){ value, value + 16 }, &m->dev, NULL);
	}
}

static void mover_new(struct mover *m, struct bus *bus)
{
	static const struct device_ops ops = { .name = "mover", .write = mover_write };

	*m = (struct mover){ .bus = bus, .at = 0x1000, .moved_at = 0x2000 };
	device_init(&m->dev, &ops);
	probe_new(&m->moved, &any_ops);
	bus_add(bus, (struct span){ 0x1000, 0x1010 }, &m->dev, NULL);
	bus_add(bus, (struct span){ 0x2000, 0x2008 }, &m->moved.dev, NULL);
}

static void test_moves_inside_an_access(void **state)
{
	struct bus bus = { 0 };
	struct mover m;
	uint64_t to = 0x3000;

	(void)state;
	mover_new(&m, &bus);
	assert_true(bus_write(&bus, 0x1000, 8, &to));
	assert_false(bus_write(&bus, 0x2000, 1, &to));
	assert_true(bus_write(&bus, 0x3000, 1, &to));
	to = 0x800;
	assert_true(bus_write(&bus, 0x1008, 8, &to));
	assert_false(bus_write(&bus, 0x1000, 8, &to));
	to = 0x2000;
	assert_true(bus_write(&bus, 0x800, 8, &to));
	assert_true(bus_write(&bus, 0x2000, 8, &to));
}

struct other_vcpu {
	struct bus *bus;
	bool stop;
	unsigned lost;
};

static void *other_vcpu(void *arg)
{
	struct other_vcpu *v = arg;
	uint8_t data[8];

	while (!__atomic_load_n(&v->stop, __ATOMIC_ACQUIRE)) {
		v->lost += !bus_read(v->bus, 0x8000, 8, data) || data[0] != 0x10;
		bus_read(v->bus, 0x2000, 8, data);
	}
	return NULL;
}

/* A device that stays is never lost from sight, however much moves around it. */
static void test_moves_beside_accesses(void **state)
{
	struct bus bus = { 0 };
	struct other_vcpu vcpu = { .bus = &bus };
	struct mover m;
	struct probe stays;
	pthread_t thread;

	(void)state;
	mover_new(&m, &bus);
	probe_new(&stays, &any_ops);
	bus_add(&bus, (struct span){ 0x8000, 0x8008 }, &stays.dev, NULL);
	assert_int_equal(pthread_create(&thread, NULL, other_vcpu, &vcpu), 0);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t to = i % 2 ? 0x2000 : 0x9000;

		assert_true(bus_write(&bus, 0x1000, 8, &to));
	}
	__atomic_store_n(&vcpu.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_int_equal(vcpu.lost, 0);
	assert_int_equal(bus.nr, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_bus),
		cmocka_unit_test(test_claimed_only_inside),
		cmocka_unit_test(test_no_size_beyond_eight),
		cmocka_unit_test(test_width_splits),
		cmocka_unit_test(test_add_refuses),
		cmocka_unit_test(test_full_bus_finds_all),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_moves_inside_an_access),
		cmocka_unit_test(test_moves_beside_accesses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
