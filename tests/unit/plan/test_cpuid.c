/* CPUID: consistent in itself on every host (vmm/plan/cpuid_rules.h), topology, caches, timing. */
#include "vmm/plan/cpuid.h"
#include "vmm/plan/cpuid_rules.h"
#include "vmm/plan/topology.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define ROOM 64

/* A struct kvm_cpuid2 with room: that one may stand in no struct, because its end is open. */
struct list {
	uint32_t nent, padding;
	struct kvm_cpuid_entry2 entries[ROOM];
};

static_assert(offsetof(struct list, entries) == sizeof(struct kvm_cpuid2), "the kernel's layout");

/* function, index, EAX, EBX, ECX, EDX */
typedef uint32_t row[6];

static struct list *list_of(const row *rows, unsigned n)
{
	struct list *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	assert_true(n <= ROOM);
	for (unsigned i = 0; i < n; i++)
		l->entries[i] = (struct kvm_cpuid_entry2){
			.function = rows[i][0],
			.index = rows[i][1],
			.eax = rows[i][2],
			.ebx = rows[i][3],
			.ecx = rows[i][4],
			.edx = rows[i][5],
		};
	l->nent = n;
	return l;
}

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid_entry2 *e, unsigned n,
					   uint32_t function, uint32_t index)
{
	for (unsigned i = 0; i < n; i++)
		if (e[i].function == function && e[i].index == index)
			return &e[i];
	return NULL;
}

/* --- hosts as they are: what makes sense stays --- */

/* Leaves with features, and 0Dh, of CPUs as their users published them. */
static const row sandy_bridge_ep[] = {
	{ 0x0, 0, 0x0000000d, 0x756e6547, 0x6c65746e, 0x49656e69 },
	{ 0x1, 0, 0x000206d7, 0x03200800, 0x1fbee3ff, 0xbfebfbff },
	{ 0xd, 0, 0x00000007, 0x00000340, 0x00000340, 0x00000000 },
	{ 0xd, 1, 0x00000001, 0x00000000, 0x00000000, 0x00000000 },
	{ 0xd, 2, 0x00000100, 0x00000240, 0x00000000, 0x00000000 },
	{ 0x80000001, 0, 0x00000000, 0x00000000, 0x00000001, 0x2c100800 },
};
/* No AVX, but MPX */
static const row kaby_lake_pentium[] = {
	{ 0x0, 0, 0x00000016, 0x756e6547, 0x6c65746e, 0x49656e69 },
	{ 0x1, 0, 0x000906e9, 0x00100800, 0x4ffaebbf, 0xbfebfbff },
	{ 0x7, 0, 0x00000000, 0x02946687, 0x00000000, 0x00000000 },
	{ 0xd, 0, 0x0000001b, 0x00000440, 0x00000440, 0x00000000 },
	{ 0xd, 1, 0x0000000f, 0x000002c0, 0x00000100, 0x00000000 },
	{ 0xd, 3, 0x00000040, 0x000003c0, 0x00000000, 0x00000000 },
	{ 0xd, 4, 0x00000040, 0x00000400, 0x00000000, 0x00000000 },
	{ 0x14, 0, 0x00000001, 0x0000000f, 0x00000007, 0x00000000 },
	{ 0x80000001, 0, 0x00000000, 0x00000000, 0x00000121, 0x2c100000 },
};
static const row skylake[] = {
	{ 0x0, 0, 0x00000016, 0x756e6547, 0x6c65746e, 0x49656e69 },
	{ 0x1, 0, 0x000506e3, 0x00100800, 0x7ffafbbf, 0xbfebfbff },
	{ 0x7, 0, 0x00000000, 0x029c6fbb, 0x00000000, 0x00000000 },
	{ 0xd, 0, 0x0000001f, 0x00000440, 0x00000440, 0x00000000 },
	{ 0xd, 1, 0x0000000f, 0x000003c0, 0x00000100, 0x00000000 },
	{ 0xd, 2, 0x00000100, 0x00000240, 0x00000000, 0x00000000 },
	{ 0xd, 3, 0x00000040, 0x000003c0, 0x00000000, 0x00000000 },
	{ 0xd, 4, 0x00000040, 0x00000400, 0x00000000, 0x00000000 },
	{ 0x80000001, 0, 0x00000000, 0x00000000, 0x00000121, 0x2c100000 },
};
/* With AMX: 0Dh has the state of tiles */
static const row sapphire_rapids[] = {
	{ 0x0, 0, 0x00000020, 0x756e6547, 0x6c65746e, 0x49656e69 },
	{ 0x1, 0, 0x000806f8, 0x00800800, 0x7ffefbff, 0xbfebfbff },
	{ 0x7, 0, 0x00000002, 0xf3bfbfef, 0xfb417f5e, 0xffdd4432 },
	{ 0x7, 1, 0x00001c30, 0x00000000, 0x00000000, 0x00000000 },
	{ 0xd, 0, 0x000602e7, 0x00000a88, 0x00002b00, 0x00000000 },
	{ 0xd, 1, 0x0000001f, 0x00000a88, 0x00000000, 0x00000000 },
	{ 0xd, 2, 0x00000100, 0x00000240, 0x00000000, 0x00000000 },
	{ 0xd, 5, 0x00000040, 0x00000440, 0x00000000, 0x00000000 },
	{ 0xd, 6, 0x00000200, 0x00000480, 0x00000000, 0x00000000 },
	{ 0xd, 7, 0x00000400, 0x00000680, 0x00000000, 0x00000000 },
	{ 0xd, 9, 0x00000008, 0x00000a80, 0x00000000, 0x00000000 },
	{ 0xd, 17, 0x00000040, 0x00000ac0, 0x00000002, 0x00000000 },
	{ 0xd, 18, 0x00002000, 0x00000b00, 0x00000006, 0x00000000 },
	{ 0x1d, 0, 0x00000001, 0x00000000, 0x00000000, 0x00000000 },
	{ 0x1e, 0, 0x00000000, 0x00004010, 0x00000000, 0x00000000 },
	{ 0x80000001, 0, 0x00000000, 0x00000000, 0x00000121, 0x2c100800 },
};
/* As guests see it: no PCID */
static const row zen_3[] = {
	{ 0x0, 0, 0x00000010, 0x68747541, 0x444d4163, 0x69746e65 },
	{ 0x1, 0, 0x00a20f12, 0x00200800, 0xfef83203, 0x1789c3f5 },
	{ 0x7, 0, 0x00000000, 0x218c0329, 0x0040068c, 0x00000010 },
	{ 0xd, 0, 0x00000207, 0x00000340, 0x00000988, 0x00000000 },
	{ 0xd, 1, 0x0000000f, 0x00000340, 0x00001800, 0x00000000 },
	{ 0xd, 2, 0x00000100, 0x00000240, 0x00000000, 0x00000000 },
	{ 0xd, 9, 0x00000008, 0x00000980, 0x00000000, 0x00000000 },
	{ 0xd, 11, 0x00000010, 0x00000000, 0x00000001, 0x00000000 },
	{ 0xd, 12, 0x00000018, 0x00000000, 0x00000001, 0x00000000 },
	{ 0x80000001, 0, 0x00a20f12, 0x20000000, 0x440001e3, 0x2bd1cbf5 },
};
static const row zen_5[] = {
	{ 0x0, 0, 0x0000000d, 0x68747541, 0x444d4163, 0x69746e65 },
	{ 0x1, 0, 0x00b00f21, 0x00020800, 0xfed83203, 0x178bfbff },
	{ 0x7, 0, 0x00000001, 0xf1bb03a9, 0x18005f42, 0x00000110 },
	{ 0x7, 1, 0x00000030, 0x00000000, 0x00000000, 0x00000000 },
	{ 0xd, 0, 0x000000e7, 0x00000980, 0x00000980, 0x00000000 },
	{ 0xd, 1, 0x00000007, 0x00000980, 0x00000000, 0x00000000 },
	{ 0xd, 2, 0x00000100, 0x00000240, 0x00000000, 0x00000000 },
	{ 0xd, 5, 0x00000040, 0x00000340, 0x00000000, 0x00000000 },
	{ 0xd, 6, 0x00000200, 0x00000380, 0x00000000, 0x00000000 },
	{ 0xd, 7, 0x00000400, 0x00000580, 0x00000000, 0x00000000 },
	{ 0x80000001, 0, 0x00b00f21, 0x40000000, 0x440001f1, 0x25d3fbff },
};

#define HOST(name)                            \
	{                                     \
#name, name, ARRAY_SIZE(name) \
	}
static const struct host {
	const char *name;
	const row *rows;
	unsigned n;
} hosts[] = {
	HOST(sandy_bridge_ep), HOST(kaby_lake_pentium),
	HOST(skylake),	       HOST(sapphire_rapids),
	HOST(zen_3),	       HOST(zen_5),
};

static void test_real_hosts_stay(void **state)
{
	(void)state;
	for (size_t h = 0; h < ARRAY_SIZE(hosts); h++) {
		struct list *l = list_of(hosts[h].rows, hosts[h].n);
		struct list *was = list_of(hosts[h].rows, hosts[h].n);

		assert_int_equal(cpuid_apply_rules(l->entries, l->nent), hosts[h].n);
		assert_memory_equal(l->entries, was->entries, sizeof(l->entries));
		free(was);
		free(l);
	}
}

/* --- what is taken away --- */

struct bits {
	uint32_t eax, ebx, ecx, edx;
};

static void expect_lost(const struct list *l, unsigned n, const row *was, unsigned rows,
			uint32_t function, uint32_t index, struct bits lost)
{
	const struct kvm_cpuid_entry2 *e = find(l->entries, n, function, index);

	assert_non_null(e);
	for (unsigned i = 0; i < rows; i++) {
		if (was[i][0] != function || was[i][1] != index)
			continue;
		assert_int_equal(e->eax, was[i][2] & ~lost.eax);
		assert_int_equal(e->ebx, was[i][3] & ~lost.ebx);
		assert_int_equal(e->ecx, was[i][4] & ~lost.ecx);
		assert_int_equal(e->edx, was[i][5] & ~lost.edx);
	}
}

/* A host with noxsave: KVM's list has neither XSAVE nor leaf 0Dh, but AVX and what is built on it.
 */
static void test_no_xsave(void **state)
{
	row rows[ARRAY_SIZE(sapphire_rapids)];
	struct list *l;
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sapphire_rapids); i++)
		if (sapphire_rapids[i][0] != 0xd)
			memcpy(rows[n++], sapphire_rapids[i], sizeof(row));
	l = list_of(rows, n);
	for (unsigned i = 0; i < n; i++)
		if (l->entries[i].function == 1)
			l->entries[i].ecx &= ~(1u << 26);
	assert_int_equal(cpuid_apply_rules(l->entries, n), n - 2); /* without 1Dh and 1Eh */
	n -= 2;
	/* FMA, XSAVE, OSXSAVE, AVX, F16C; not SSE4.2, AES, PCLMULQDQ, RDRAND */
	expect_lost(l, n, sapphire_rapids, ARRAY_SIZE(sapphire_rapids), 1, 0,
		    (struct bits){ .ecx = 0x3c001000 });
	/* AVX2, MPX, AVX-512; VBMI and the like, PKU, OSPKE, VAES, VPCLMULQDQ, ENQCMD; not GFNI,
	 * SHA */
	expect_lost(l, n, sapphire_rapids, ARRAY_SIZE(sapphire_rapids), 7, 0,
		    (struct bits){ .ebx = 0xdc234020, .ecx = 0x20005eda, .edx = 0x03c0010c });
	expect_lost(l, n, sapphire_rapids, ARRAY_SIZE(sapphire_rapids), 7, 1,
		    (struct bits){ .eax = 0x30 });
	free(l);
}

/* The kernel did not give us AMX: KVM takes the state out of 0Dh and leaves the features. */
static void test_no_tiles(void **state)
{
	struct list *l = list_of(sapphire_rapids, ARRAY_SIZE(sapphire_rapids));
	const struct kvm_cpuid_entry2 *e;
	unsigned n;

	(void)state;
	for (unsigned i = 0; i < l->nent; i++)
		if (l->entries[i].function == 0xd && l->entries[i].index == 0)
			l->entries[i].eax &= ~0x60000u;
	n = cpuid_apply_rules(l->entries, l->nent);
	assert_int_equal(n, ARRAY_SIZE(sapphire_rapids) - 4);
	expect_lost(l, n, sapphire_rapids, ARRAY_SIZE(sapphire_rapids), 7, 0,
		    (struct bits){ .edx = 0x03400000 });
	e = find(l->entries, n, 0xd, 0);
	assert_int_equal(e->ecx, 0xa88); /* PKRU is the last part now */
	assert_null(find(l->entries, n, 0xd, 17));
	assert_null(find(l->entries, n, 0x1d, 0));
	/* One of the two parts is as good as none. */
	free(l);
	l = list_of(sapphire_rapids, ARRAY_SIZE(sapphire_rapids));
	for (unsigned i = 0; i < l->nent; i++)
		if (l->entries[i].function == 0xd && l->entries[i].index == 0)
			l->entries[i].eax &= ~0x40000u;
	assert_int_equal(cpuid_apply_rules(l->entries, l->nent), n);
	free(l);
}

static void test_smaller_ones(void **state)
{
	struct list *l = list_of(skylake, ARRAY_SIZE(skylake));
	unsigned n = l->nent;

	(void)state;
	l->entries[1].ecx &= ~(1u << 17); /* PCID */
	l->entries[1].edx &= ~(1u << 9);  /* APIC */
	assert_int_equal(cpuid_apply_rules(l->entries, n), n);
	expect_lost(l, n, skylake, n, 7, 0, (struct bits){ .ebx = 1u << 10 });
	expect_lost(l, n, skylake, n, 1, 0,
		    (struct bits){ .ecx = 1u << 17 | 1u << 21 | 1u << 24, .edx = 1u << 9 });
	free(l);
	assert_int_equal(cpuid_apply_rules(NULL, 0), 0);
}

/* --- any host --- */

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/*
 * Whatever bits are there, the rules leave a list that they have nothing against: nothing rests on
 * what was cleared after it was asked for. And they add nothing, and clear no bit for a bit more.
 */
static void test_closed(void **state)
{
	uint64_t x = 0x2545f4914f6cdd1d;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		const struct host *h = &hosts[next_random(&x) % ARRAY_SIZE(hosts)];
		struct list *l = list_of(h->rows, h->n), *again, *more;
		unsigned n, m;

		for (unsigned i = 0; i < h->n; i++) {
			/* Few bits go in some rounds, many in others. */
			uint64_t keep = next_random(&x) | (round & 1 ? next_random(&x) : 0) |
					(round & 2 ? next_random(&x) : 0) |
					(round & 4 ? next_random(&x) : 0);
			uint64_t also = next_random(&x) | (round & 1 ? next_random(&x) : 0) |
					(round & 2 ? next_random(&x) : 0);

			l->entries[i].eax &= (uint32_t)keep;
			l->entries[i].ebx &= (uint32_t)(keep >> 32);
			l->entries[i].ecx &= (uint32_t)also;
			l->entries[i].edx &= (uint32_t)(also >> 32);
		}
		more = list_of(h->rows, h->n);
		n = cpuid_apply_rules(l->entries, h->n);
		assert_true(n <= h->n);
		for (unsigned i = 0; i < n; i++) {
			const struct kvm_cpuid_entry2 *e = &l->entries[i];
			const struct kvm_cpuid_entry2 *w =
				find(more->entries, h->n, e->function, e->index);

			assert_non_null(w);
			assert_int_equal(e->eax & ~w->eax, 0);
			assert_int_equal(e->ebx & ~w->ebx, 0);
			assert_int_equal(e->edx & ~w->edx, 0);
		}
		again = list_of(h->rows, 0);
		memcpy(again->entries, l->entries, n * sizeof(l->entries[0]));
		m = cpuid_apply_rules(again->entries, n);
		assert_int_equal(m, n);
		assert_memory_equal(again->entries, l->entries, n * sizeof(l->entries[0]));
		free(again);
		free(more);
		free(l);
	}
}

/* --- a guest's list --- */

static struct kvm_cpuid_entry2 built[ROOM + CPUID_EXTRA];

static unsigned build(const row *rows, unsigned n, const struct plan *p, unsigned cpu,
		      const struct cpuid_kvm *kvm)
{
	struct list *l = list_of(rows, n);
	unsigned ret = cpuid_build(built, (const struct kvm_cpuid2 *)(const void *)l, p, cpu, kvm);

	assert_true(ret <= n + CPUID_EXTRA);
	free(l);
	return ret;
}

static struct plan machine(unsigned sockets, unsigned cores, unsigned threads)
{
	return (struct plan){ .cpus = sockets * cores * threads,
			      .sockets = sockets,
			      .cores = cores,
			      .threads = threads,
			      .phys_bits = 46,
			      .nr_nodes = 1 };
}

static const row amd[] = {
	{ 0x0, 0, 0x0000000d, 0x68747541, 0x444d4163, 0x69746e65 },
	{ 0x1, 0, 0x00a20f12, 0x00200800, 0xfef83203, 0x1789c3f5 },
	{ 0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d },
	{ 0x80000000, 0, 0x80000023, 0x68747541, 0x444d4163, 0x69746e65 },
	{ 0x80000007, 0, 0, 0, 0, 0x100 },
	{ 0x8000001d, 2, 0x143, 0x01c0003f, 0x3ff, 2 },
	{ 0x8000001d, 3, 0x3c163, 0x03c0003f, 0x7fff, 1 }, /* 16 CPUs share it */
};
static const row intel[] = {
	{ 0x0, 0, 0x0000000d, 0x756e6547, 0x6c65746e, 0x49656e69 },
	{ 0x1, 0, 0x000206d7, 0x03200800, 0x1fbee3ff, 0xbfebfbff },
	{ 0x4, 3, 0x3c07c163, 0x04c0003f, 0x3fff, 6 }, /* 32 */
	{ 0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d },
};

/* What TSC frequency the leaf says, in kHz: as Linux counts it, in 32 bits. */
static uint32_t said_khz(const struct kvm_cpuid_entry2 *e)
{
	return e->ecx / 1000 * e->ebx / e->eax;
}

static void test_timing(void **state)
{
	/* An exact ratio to the APIC timer; one that Linux could not multiply; a fast one; none. */
	static const struct {
		uint32_t khz, crystal;
	} rows[] = {
		{ 2100000, 1000000000 },
		{ 2995200, 1000000000 },
		{ 2194843, 2194843000 },
		{ 4300001, 0 }, /* hertz do not fit */
	};
	struct plan p = machine(1, 1, 1);
	unsigned n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cpuid_kvm kvm = { .tsc_deadline = true, .tsc_khz = rows[i].khz };
		const struct kvm_cpuid_entry2 *e;
		bool fits = rows[i].khz <= UINT32_MAX / 1000;

		n = build(intel, ARRAY_SIZE(intel), &p, 0, &kvm);
		e = find(built, n, 0x15, 0);
		assert_int_equal(e != NULL, fits);
		if (fits) {
			assert_int_equal(said_khz(e), rows[i].khz);
			assert_int_equal(e->ecx, rows[i].crystal);
			assert_int_equal(find(built, n, 0x16, 0)->eax, rows[i].khz / 1000);
			assert_int_equal(find(built, n, 0, 0)->eax, 0x16);
		}
		e = find(built, n, 0x40000010, 0);
		assert_int_equal(e->eax, rows[i].khz);
		assert_int_equal(e->ebx, 1000000);
		assert_int_equal(find(built, n, 0x40000000, 0)->eax, 0x40000010);
		/* Without the deadline timer, the crystal must be the APIC timer's. */
		kvm.tsc_deadline = false;
		n = build(intel, ARRAY_SIZE(intel), &p, 0, &kvm);
		e = find(built, n, 0x15, 0);
		assert_int_equal(e != NULL, rows[i].crystal == 1000000000);
		n = build(amd, ARRAY_SIZE(amd), &p, 0, &kvm);
		assert_null(find(built, n, 0x15, 0));
		assert_int_equal(find(built, n, 0, 0)->eax, 0xd);
		assert_int_equal(find(built, n, 0x40000010, 0)->eax, rows[i].khz);
	}
	n = build(intel, ARRAY_SIZE(intel), &p, 0, &(struct cpuid_kvm){ .tsc_deadline = true });
	assert_null(find(built, n, 0x15, 0));
	assert_null(find(built, n, 0x40000010, 0));
	assert_int_equal(find(built, n, 0x40000000, 0)->eax, 0x40000001);
}

/* Announced where messages are translated only: KVM's own list has never had it. */
static void test_wide_messages(void **state)
{
	static const row kvm_leaves[] = {
		{ 0x0, 0, 0x0000000d, 0x68747541, 0x444d4163, 0x69746e65 },
		{ 0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d },
		{ 0x40000001, 0, 0x01007efb, 0, 0, 0 },
	};
	struct plan p = machine(2, 96, 2);
	unsigned n;

	(void)state;
	n = build(kvm_leaves, ARRAY_SIZE(kvm_leaves), &p, 383,
		  &(struct cpuid_kvm){ .wide_messages = true });
	assert_int_equal(find(built, n, 0x40000001, 0)->eax, 0x0100fefb);
	assert_int_equal(find(built, n, 0xb, 0)->edx, 447);
	n = build(kvm_leaves, ARRAY_SIZE(kvm_leaves), &p, 383, &(struct cpuid_kvm){ 0 });
	assert_int_equal(find(built, n, 0x40000001, 0)->eax, 0x01007efb);
}

static void test_machine_check(void **state)
{
	struct plan p = machine(1, 1, 1);
	struct cpuid_kvm kvm = { .machine_check = true };
	unsigned n = build(amd, ARRAY_SIZE(amd), &p, 0, &kvm);

	(void)state;
	assert_int_equal(find(built, n, 0x80000007, 0)->ebx, 3);
	kvm.machine_check = false;
	n = build(amd, ARRAY_SIZE(amd), &p, 0, &kvm);
	assert_int_equal(find(built, n, 0x80000007, 0)->ebx, 0);
}

/* CPUs that share a cache of the guest: 1 more than EAX[25:14]. */
static unsigned sharing(unsigned n, uint32_t function, uint32_t index)
{
	return ((find(built, n, function, index)->eax >> 14) & 0xfff) + 1;
}

static void test_caches(void **state)
{
	static const struct {
		unsigned sockets, cores, threads;
		unsigned node_cpus; /* 0: one node */
		unsigned l2, l3_amd, l3_intel;
	} rows[] = {
		{ 1, 64, 1, 0, 1, 16, 32 },			      /* as wide as the host's */
		{ 2, 96, 2, 0, 2, 16, 32 }, { 1, 4, 1, 0, 1, 4, 4 },  /* a small socket */
		{ 1, 3, 2, 0, 2, 8, 8 },    { 1, 16, 1, 8, 1, 8, 8 }, /* nodes within a socket */
		{ 1, 12, 1, 6, 1, 2, 2 },			      /* 6 is a multiple of 2 */
		{ 2, 6, 1, 6, 1, 8, 8 },  /* nodes are sockets: ids 0 to 5, 8 to 13 */
		{ 1, 16, 2, 1, 2, 2, 2 }, /* a core across nodes: not our making */
	};
	const struct cpuid_kvm kvm = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct plan p = machine(rows[i].sockets, rows[i].cores, rows[i].threads);
		unsigned n;

		for (unsigned at = 0; rows[i].node_cpus && at < p.cpus; at++) {
			p.cpu_node[at] = (uint8_t)(at / rows[i].node_cpus);
			p.nr_nodes = p.cpu_node[at] + 1u;
		}
		n = build(amd, ARRAY_SIZE(amd), &p, p.cpus - 1, &kvm);
		assert_int_equal(sharing(n, 0x8000001d, 2), rows[i].l2);
		assert_int_equal(sharing(n, 0x8000001d, 3), rows[i].l3_amd);
		n = build(intel, ARRAY_SIZE(intel), &p, p.cpus - 1, &kvm);
		assert_int_equal(sharing(n, 4, 3), rows[i].l3_intel);
	}
}

/* Leaf 0Bh is made for every CPU, whatever KVM's list has of it. */
static void test_topology(void **state)
{
	struct plan p = machine(2, 3, 2);
	unsigned n = build(amd, ARRAY_SIZE(amd), &p, 7, &(struct cpuid_kvm){ 0 });

	(void)state;
	assert_int_equal(find(built, n, 0xb, 0)->eax, 1);
	assert_int_equal(find(built, n, 0xb, 0)->ebx, 2);
	assert_int_equal(find(built, n, 0xb, 1)->eax, 3);
	assert_int_equal(find(built, n, 0xb, 1)->ebx, 6);
	assert_int_equal(find(built, n, 0xb, 1)->edx, topology_apic_id(&p, 7));
	assert_int_equal(find(built, n, 1, 0)->ebx >> 24, topology_apic_id(&p, 7));
}

/* A die is what shares the last-level cache, if the host's is shared by as many. */
static void test_dies(void **state)
{
	static const row zen4[] = {
		{ 0x0, 0, 0x00000010, 0x68747541, 0x444d4163, 0x69746e65 },
		{ 0x80000000, 0, 0x80000028, 0x68747541, 0x444d4163, 0x69746e65 },
		{ 0x8000001d, 3, 0x3c163, 0x03c0003f, 0x7fff, 1 }, /* 16 CPUs share it */
		{ 0x80000026, 0, 0x40000001, 0x00000002, 0x100, 5 },
		{ 0x80000026, 3, 0x00000008, 0x000000c0, 0x403, 5 },
	};
	static const row server[] = {
		{ 0x0, 0, 0x00000020, 0x756e6547, 0x6c65746e, 0x49656e69 },
		{ 0x4, 3, 0xfc1fc163, 0x03c0003f, 0x1bfff, 4 }, /* 128 */
	};
	const struct cpuid_kvm kvm = { 0 };
	struct plan p = machine(2, 24, 2); /* dies of 6 cores leave gaps */
	unsigned n, last = p.cpus - 1;

	(void)state;
	p.dies = 4;
	n = build(zen4, ARRAY_SIZE(zen4), &p, last, &kvm);
	assert_int_equal(sharing(n, 0x8000001d, 3), 16); /* ids, of which 12 are CPUs' */
	assert_int_equal(find(built, n, 0xb, 1)->eax, 6);
	assert_int_equal(find(built, n, 0xb, 1)->ebx, 48);
	assert_int_equal(find(built, n, 0x80000026, 0)->eax, 1);
	assert_int_equal(find(built, n, 0x80000026, 0)->ebx, 2);
	assert_int_equal(find(built, n, 0x80000026, 0)->ecx, 0x100);
	assert_int_equal(find(built, n, 0x80000026, 1)->eax, 4);
	assert_int_equal(find(built, n, 0x80000026, 1)->ebx, 12);
	assert_int_equal(find(built, n, 0x80000026, 1)->ecx, 0x201);
	assert_int_equal(find(built, n, 0x80000026, 2)->eax, 6);
	assert_int_equal(find(built, n, 0x80000026, 2)->ebx, 48);
	assert_int_equal(find(built, n, 0x80000026, 2)->ecx, 0x402);
	assert_int_equal(find(built, n, 0x80000026, 3)->ebx, 0);
	assert_int_equal(find(built, n, 0x80000026, 3)->ecx, 3);
	assert_int_equal(find(built, n, 0x80000026, 2)->edx, topology_apic_id(&p, last));
	/* A host without the leaf has dies all the same. */
	n = build(amd, ARRAY_SIZE(amd), &p, last, &kvm);
	assert_int_equal(find(built, n, 0x80000026, 2)->eax, 6);
	assert_int_equal(find(built, n, 0x80000000, 0)->eax, 0x80000026);
	assert_null(find(built, n, 0x1f, 0));
	/* Dies of more CPUs than the host's cache has get several; of fewer, one each. */
	p.dies = 2;
	n = build(zen4, ARRAY_SIZE(zen4), &p, last, &kvm);
	assert_int_equal(sharing(n, 0x8000001d, 3), 16);
	p.dies = 12;
	n = build(zen4, ARRAY_SIZE(zen4), &p, last, &kvm);
	assert_int_equal(sharing(n, 0x8000001d, 3), 4);
	/* Without dies the host's own leaf is not shown, which would be about other CPUs. */
	p.dies = 1;
	n = build(zen4, ARRAY_SIZE(zen4), &p, last, &kvm);
	assert_null(find(built, n, 0x80000026, 0));
	assert_int_equal(find(built, n, 0x80000000, 0)->eax, 0x80000028);

	n = build(server, ARRAY_SIZE(server), &p, last, &kvm);
	assert_int_equal(find(built, n, 0x1f, 1)->ecx, 0x201);
	assert_int_equal(find(built, n, 0x1f, 1)->eax, 6);
	assert_int_equal(find(built, n, 0x1f, 2)->ebx, 0);
	p.dies = 4;
	n = build(server, ARRAY_SIZE(server), &p, last, &kvm);
	assert_int_equal(find(built, n, 0x1f, 1)->eax, 4);
	assert_int_equal(find(built, n, 0x1f, 1)->ebx, 12);
	assert_int_equal(find(built, n, 0x1f, 2)->eax, 6);
	assert_int_equal(find(built, n, 0x1f, 2)->ebx, 48);
	assert_int_equal(find(built, n, 0x1f, 2)->ecx, 0x502);
	assert_int_equal(find(built, n, 0xb, 1)->ebx, 48);
	assert_int_equal(find(built, n, 0xb, 2)->ebx, 0);
	assert_int_equal(sharing(n, 4, 3), 16);
	assert_null(find(built, n, 0x80000026, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_hosts_stay),
		cmocka_unit_test(test_no_xsave),
		cmocka_unit_test(test_no_tiles),
		cmocka_unit_test(test_smaller_ones),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_timing),
		cmocka_unit_test(test_machine_check),
		cmocka_unit_test(test_wide_messages),
		cmocka_unit_test(test_dies),
		cmocka_unit_test(test_caches),
		cmocka_unit_test(test_topology),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
