#include "vmm/plan/cpuid.h"

#include "vmm/plan/cpuid_rules.h"
#include "vmm/plan/topology.h"

#include <assert.h>
#include <string.h>

#define BIT(n) (1u << (n))

/* Leaf 0: the first letters of the vendor */
/* Leaf 1 */
#define ECX_X2APIC	 BIT(21)
#define ECX_TSC_DEADLINE BIT(24)
#define ECX_HYPERVISOR	 BIT(31)
#define EDX_HTT		 BIT(28)
/* Leaf 4000_0001 */
#define EAX_MSI_EXT_DEST_ID BIT(15)
/* Leaf 8000_0001 */
#define ECX_CMP_LEGACY BIT(1)
#define ECX_TOPOEXT    BIT(22)
/*
 * Leaf 8000_0007: MCA overflow recovery and SUCCOR: software may recover from an uncorrected memory
 * error (AMD APM volume 2, section 9.3.1)
 */
#define EBX_OVERFLOW_RECOV BIT(0)
#define EBX_SUCCOR	   BIT(1)

#define LEAF_KVM	  0x40000000u
#define LEAF_KVM_FEATURES 0x40000001u
#define LEAF_KVM_TIMING	  0x40000010u /* TSC and APIC timer, kHz: VMware's, and QEMU's for KVM */
#define LEAF_TSC	  0x15u
#define LEAF_AMD_TOPOLOGY 0x80000026u
#define LEVEL_SUBLEAVES	  4u
#define LEAF_FREQUENCY	  0x16u
#define APIC_TIMER_KHZ	  1000000u /* KVM's: APIC_BUS_CYCLE_NS in arch/x86/kvm/lapic.h is 1 */

/* The facts about one CPU from which all leaves below are computed. */
struct cpu {
	const struct plan *plan;
	uint32_t apic_id;
	unsigned thread_bits, core_bits; /* widths of the APIC ID's lower fields */
	unsigned per_socket;		 /* logical CPUs of a socket */
	unsigned per_die, die_bits;	 /* of a die, and the width of their ids */
	const struct cpuid_kvm *kvm;
	bool amd; /* or Hygon: some fields are reserved on Intel */
};

static void put_field(uint32_t *reg, unsigned shift, unsigned bits, uint32_t value)
{
	uint32_t mask = (BIT(bits) - 1) << shift;
	uint32_t most = BIT(bits) - 1;

	*reg = (*reg & ~mask) | (value > most ? most : value) << shift;
}

static void leaf_1(struct kvm_cpuid_entry2 *e, const struct cpu *cpu)
{
	put_field(&e->ebx, 24, 8, cpu->apic_id & 0xff);
	put_field(&e->ebx, 16, 8, BIT(cpu->thread_bits + cpu->core_bits));
	e->ecx |= ECX_HYPERVISOR | ECX_X2APIC; /* the in-kernel APIC always has x2APIC mode */
	e->ecx &= ~ECX_TSC_DEADLINE;
	if (cpu->kvm->tsc_deadline)
		e->ecx |= ECX_TSC_DEADLINE; /* KVM emulates it but does not list it */
	e->edx &= ~EDX_HTT;
	if (cpu->per_socket > 1)
		e->edx |= EDX_HTT;
}

/* The largest n for which 2^n is at most `count`, which is not 0. */
static unsigned log2_floor(unsigned count)
{
	return 31 - (unsigned)__builtin_clz(count);
}

/*
 * Intel's leaf 4 and AMD's 8000_001D list caches with how many APIC IDs share each. KVM gives the
 * host's; in the guest the inner levels belong to the core. The last one is shared within a die,
 * but by no more CPUs than on the host (an EPYC has one for each 8 or 16 cores), and not by CPUs of
 * two nodes, of which Linux complains (topology_sane in arch/x86/kernel/smpboot.c).
 */
static void leaf_cache(struct kvm_cpuid_entry2 *e, const struct cpu *cpu, bool intel)
{
	unsigned level = (e->eax >> 5) & 7;
	unsigned shared = cpu->thread_bits;

	if ((e->eax & 0x1f) == 0)
		return;
	if (level >= 3) {
		unsigned host = ((e->eax >> 14) & 0xfff) + 1;
		unsigned most = topology_node_bits(cpu->plan);

		/* Ids of a die may have gaps, so that it has fewer CPUs than ids. */
		host = cpu->per_die <= host ? cpu->die_bits : log2_floor(host);
		host = host > most ? most : host;
		host = host > cpu->die_bits ? cpu->die_bits : host;
		shared = host > shared ? host : shared;
	}
	put_field(&e->eax, 14, 12, BIT(shared) - 1);
	if (intel)
		put_field(&e->eax, 26, 6, BIT(cpu->core_bits) - 1);
}

/* A level of the topology: how many bits its ids take, with those of the levels below, and CPUs. */
struct level {
	unsigned type, bits, cpus;
};

/*
 * The levels of a leaf, from the threads of a core to the CPUs of a socket; returns their number.
 * Leaf 0Bh has no type for dies. Intel's other leaf (1Fh) names levels by what they consist of,
 * threads, cores and dies; AMD's (8000_0026) by what they are, cores, complexes and sockets.
 */
static unsigned list_levels(struct level out[3], uint32_t function, const struct cpu *cpu)
{
	enum { THREAD = 1, CORE = 2, DIE = 5, AMD_CORE = 1, AMD_COMPLEX = 2, AMD_SOCKET = 4 };
	const struct level core = { THREAD, cpu->thread_bits, cpu->plan->threads };
	const struct level die = { CORE, cpu->die_bits, cpu->per_die };
	const struct level socket = { CORE, cpu->thread_bits + cpu->core_bits, cpu->per_socket };

	static_assert(AMD_CORE == THREAD && AMD_COMPLEX == CORE, "the same numbers");
	out[0] = core;
	out[1] = socket;
	if (function == 0xb || cpu->per_die == cpu->per_socket)
		return 2;
	out[1] = die;
	out[2] = socket;
	out[2].type = function == LEAF_AMD_TOPOLOGY ? AMD_SOCKET : DIE;
	return 3;
}

/* Leaves 0Bh, 1Fh and 8000_0026: a subleaf for each level, and one that ends them. */
static void leaf_topology(struct kvm_cpuid_entry2 *e, const struct cpu *cpu)
{
	struct level levels[3];
	unsigned n = list_levels(levels, e->function, cpu);

	e->eax = e->ebx = 0;
	e->ecx = e->index & 0xff;
	e->edx = cpu->apic_id;
	if (e->index >= n)
		return;
	e->eax = levels[e->index].bits;
	e->ebx = levels[e->index].cpus;
	e->ecx |= levels[e->index].type << 8;
}

static void leaf_8000_0001(struct kvm_cpuid_entry2 *e, const struct cpu *cpu)
{
	/* CmpLegacy makes Linux on AMD take all logical CPUs for cores; right without SMT only. */
	e->ecx &= ~ECX_CMP_LEGACY;
	if (cpu->amd && cpu->per_socket > 1 && cpu->plan->threads == 1)
		e->ecx |= ECX_CMP_LEGACY;
}

static void leaf_8000_0007(struct kvm_cpuid_entry2 *e, const struct cpu *cpu)
{
	if (cpu->amd && cpu->kvm->machine_check)
		e->ebx |= EBX_OVERFLOW_RECOV | EBX_SUCCOR;
}

static void leaf_8000_0008(struct kvm_cpuid_entry2 *e, const struct cpu *cpu)
{
	/* EAX[23:16] (GuestPhysAddrSize): 0 means the same as PhysAddrSize. */
	put_field(&e->eax, 0, 8, cpu->plan->phys_bits);
	put_field(&e->eax, 16, 8, 0);
	if (!cpu->amd)
		return;
	put_field(&e->ecx, 0, 8, cpu->per_socket - 1);
	put_field(&e->ecx, 12, 4, cpu->thread_bits + cpu->core_bits);
}

static void leaf_8000_001e(struct kvm_cpuid_entry2 *e, const struct cpu *cpu)
{
	uint32_t core = (cpu->apic_id >> cpu->thread_bits) & (BIT(cpu->core_bits) - 1);

	e->eax = cpu->apic_id;
	e->ebx = core & 0xff;
	put_field(&e->ebx, 8, 8, cpu->plan->threads - 1);
	e->ecx = (cpu->apic_id >> (cpu->thread_bits + cpu->core_bits)) & 0xff;
	e->edx = 0;
}

/* KVM does not list what the monitor must do for it (Documentation/virt/kvm/x86/cpuid.rst). */
static void leaf_kvm_features(struct kvm_cpuid_entry2 *e, const struct cpu *cpu)
{
	e->eax &= ~EAX_MSI_EXT_DEST_ID;
	if (cpu->kvm->wide_messages)
		e->eax |= EAX_MSI_EXT_DEST_ID;
}

static void adjust(struct kvm_cpuid_entry2 *e, const struct cpu *cpu)
{
	switch (e->function) {
	case 0x1:
		leaf_1(e, cpu);
		break;
	case 0x4:
		leaf_cache(e, cpu, true);
		break;
	case 0xb:
	case 0x1f:
	case LEAF_AMD_TOPOLOGY:
		leaf_topology(e, cpu);
		break;
	case LEAF_KVM_FEATURES:
		leaf_kvm_features(e, cpu);
		break;
	case 0x80000001:
		leaf_8000_0001(e, cpu);
		break;
	case 0x80000007:
		leaf_8000_0007(e, cpu);
		break;
	case 0x80000008:
		leaf_8000_0008(e, cpu);
		break;
	case 0x8000001d:
		leaf_cache(e, cpu, false);
		break;
	case 0x8000001e:
		leaf_8000_001e(e, cpu);
		break;
	}
}

/*
 * Leaves that cpuid_build() replaces as a whole; KVM's list may have none, one or several of their
 * subleaves.
 */
static bool cpuid_is_ours(uint32_t function)
{
	return function == 0xb || function == 0x1f || function == LEAF_AMD_TOPOLOGY ||
	       function == LEAF_TSC || function == LEAF_FREQUENCY || function == LEAF_KVM_TIMING;
}

/*
 * Entries of zeroes, of which KVM's list has dozens, are left out, because a leaf that is not in
 * the list reads as zeroes as well.
 */
static bool is_zero(const struct kvm_cpuid_entry2 *e)
{
	return !(e->eax | e->ebx | e->ecx | e->edx);
}

static unsigned add_levels(struct kvm_cpuid_entry2 *out, unsigned n, uint32_t function,
			   const struct cpu *cpu)
{
	for (uint32_t index = 0; index < LEVEL_SUBLEAVES; index++) {
		out[n] = (struct kvm_cpuid_entry2){
			.function = function,
			.index = index,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
		adjust(&out[n++], cpu);
	}
	return n;
}

/*
 * `out` has room for CPUID_EXTRA more entries. AMD's leaf, which its CPUs have had since Zen 4, is
 * there for dies only: without them it would say nothing that leaf 0Bh does not.
 */
static unsigned add_topology(struct kvm_cpuid_entry2 *out, unsigned n, uint32_t max_basic,
			     const struct cpu *cpu)
{
	for (uint32_t function = 0xb; function <= max_basic && function <= 0x1f; function += 0x14)
		n = add_levels(out, n, function, cpu);
	if (cpu->amd && cpu->per_die < cpu->per_socket)
		n = add_levels(out, n, LEAF_AMD_TOPOLOGY, cpu);
	return n;
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * Leaf 15h: TSC = crystal * EBX / EAX, and the crystal drives the APIC timer, too (Intel SDM volume
 * 3, section 11.5.4). Linux multiplies the crystal's kHz by EBX in 32 bits (native_calibrate_tsc):
 * where that would overflow, the leaf says that the TSC is its own crystal, which is right only if
 * the guest uses the TSC deadline instead of the APIC timer's count.
 */
static bool leaf_tsc(struct kvm_cpuid_entry2 *e, const struct cpu *cpu)
{
	uint32_t khz = cpu->kvm->tsc_khz, unit = gcd(khz, APIC_TIMER_KHZ);

	*e = (struct kvm_cpuid_entry2){ .function = LEAF_TSC };
	if (khz / unit <= UINT32_MAX / APIC_TIMER_KHZ) {
		e->eax = APIC_TIMER_KHZ / unit;
		e->ebx = khz / unit;
		e->ecx = APIC_TIMER_KHZ * 1000;
	} else if (cpu->kvm->tsc_deadline && khz <= UINT32_MAX / 1000) {
		e->eax = e->ebx = 1;
		e->ecx = khz * 1000;
	}
	return e->eax;
}

/*
 * Adds the TSC's frequency, for kernels that do not read it from the KVM clock. Leaves 15h and 16h
 * are Intel's; the leaf among the hypervisor's is for all vendors.
 */
static unsigned add_timing(struct kvm_cpuid_entry2 *out, unsigned n, const struct cpu *cpu)
{
	uint32_t khz = cpu->kvm->tsc_khz, mhz = khz / 1000;

	if (!cpu->amd && leaf_tsc(&out[n], cpu)) {
		n++;
		out[n++] = (struct kvm_cpuid_entry2){
			.function = LEAF_FREQUENCY, .eax = mhz, .ebx = mhz, .ecx = 100
		};
	}
	out[n++] = (struct kvm_cpuid_entry2){ .function = LEAF_KVM_TIMING,
					      .eax = khz,
					      .ebx = APIC_TIMER_KHZ };
	return n;
}

/* The first leaf of each range names the highest leaf of the range in EAX. */
static void raise_limits(struct kvm_cpuid_entry2 *out, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned first = 0; first < n; first++)
			if (out[first].function == (out[i].function & 0xc0000000) &&
			    out[first].eax < out[i].function)
				out[first].eax = out[i].function;
}

unsigned cpuid_build(struct kvm_cpuid_entry2 *out, const struct kvm_cpuid2 *from,
		     const struct plan *plan, unsigned cpu, const struct cpuid_kvm *kvm)
{
	struct cpu this = {
		.plan = plan,
		.apic_id = topology_apic_id(plan, cpu),
		.thread_bits = topology_thread_bits(plan),
		.core_bits = topology_core_bits(plan),
		.per_socket = plan->cores * plan->threads,
		.per_die = plan->cores / topology_socket(plan).dies * plan->threads,
		.die_bits = topology_die_bits(plan),
		.kvm = kvm,
	};
	uint32_t max_basic = 0;
	bool has_kvm = false;
	unsigned n = 0, left = 0;

	for (unsigned i = 0; i < from->nent; i++) {
		if (from->entries[i].function == 0) {
			max_basic = from->entries[i].eax;
			this.amd = host_vendor_is_amd(host_vendor_of(
				from->entries[i].ebx, from->entries[i].ecx, from->entries[i].edx));
		}
		has_kvm |= from->entries[i].function == LEAF_KVM;
		if (cpuid_is_ours(from->entries[i].function))
			continue;
		out[n] = from->entries[i];
		adjust(&out[n++], &this);
	}
	n = add_topology(out, n, max_basic, &this);
	if (kvm->tsc_khz && has_kvm)
		n = add_timing(out, n, &this);
	raise_limits(out, n);
	n = cpuid_apply_rules(out, n);
	for (unsigned i = 0; i < n; i++)
		if (!is_zero(&out[i]))
			out[left++] = out[i];
	return left;
}
