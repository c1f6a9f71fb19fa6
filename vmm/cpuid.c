#include "vmm/cpuid.h"

#include "vmm/topology.h"

#include <string.h>

#define BIT(n) (1u << (n))

/* Leaf 0: the first letters of the vendor */
#define EBX_AMD	  0x68747541u /* "Auth" */
#define EBX_HYGON 0x6f677948u /* "Hygo" */
/* Leaf 1 */
#define ECX_X2APIC	 BIT(21)
#define ECX_TSC_DEADLINE BIT(24)
#define ECX_HYPERVISOR	 BIT(31)
#define EDX_HTT		 BIT(28)
/* Leaf 8000_0001 */
#define ECX_CMP_LEGACY BIT(1)
#define ECX_TOPOEXT    BIT(22)

/* What every leaf below needs to know of one CPU. */
struct cpu {
	const struct plan *plan;
	uint32_t apic_id;
	unsigned thread_bits, core_bits; /* widths of the APIC ID's lower fields */
	unsigned per_socket;		 /* logical CPUs of a socket */
	bool tsc_deadline;
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
	if (cpu->tsc_deadline)
		e->ecx |= ECX_TSC_DEADLINE; /* KVM emulates it but does not list it */
	e->edx &= ~EDX_HTT;
	if (cpu->per_socket > 1)
		e->edx |= EDX_HTT;
}

/*
 * Intel's leaf 4 and AMD's 8000_001D list caches with how many APIC IDs share each. KVM gives the
 * host's; in the guest the last level belongs to the socket and the others to the core.
 */
static void leaf_cache(struct kvm_cpuid_entry2 *e, const struct cpu *cpu, bool intel)
{
	unsigned level = (e->eax >> 5) & 7;
	unsigned shared = cpu->thread_bits + (level >= 3 ? cpu->core_bits : 0);

	if ((e->eax & 0x1f) == 0)
		return;
	put_field(&e->eax, 14, 12, BIT(shared) - 1);
	if (intel)
		put_field(&e->eax, 26, 6, BIT(cpu->core_bits) - 1);
}

/* Leaves 0Bh and 1Fh, subleaves 0 (threads of a core) and 1 (logical CPUs of a socket). */
static void leaf_topology(struct kvm_cpuid_entry2 *e, const struct cpu *cpu)
{
	enum { THREAD = 1, CORE = 2 };

	e->eax = e->ebx = 0;
	e->ecx = e->index & 0xff;
	e->edx = cpu->apic_id;
	if (e->index == 0) {
		e->eax = cpu->thread_bits;
		e->ebx = cpu->plan->threads;
		e->ecx |= THREAD << 8;
	} else if (e->index == 1) {
		e->eax = cpu->thread_bits + cpu->core_bits;
		e->ebx = cpu->per_socket;
		e->ecx |= CORE << 8;
	}
}

static void leaf_8000_0001(struct kvm_cpuid_entry2 *e, const struct cpu *cpu)
{
	/* CmpLegacy makes Linux on AMD take all logical CPUs for cores; right without SMT only. */
	e->ecx &= ~ECX_CMP_LEGACY;
	if (cpu->amd && cpu->per_socket > 1 && cpu->plan->threads == 1)
		e->ecx |= ECX_CMP_LEGACY;
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
		leaf_topology(e, cpu);
		break;
	case 0x80000001:
		leaf_8000_0001(e, cpu);
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

/* A topology leaf is ours whole; KVM's list may have none, one or several of its subleaves. */
static bool is_topology(uint32_t function)
{
	return function == 0xb || function == 0x1f;
}

/* KVM's list has dozens of these; one that is not there reads as zeroes, too. */
static bool is_zero(const struct kvm_cpuid_entry2 *e)
{
	return !(e->eax | e->ebx | e->ecx | e->edx);
}

unsigned cpuid_build(struct kvm_cpuid_entry2 *out, unsigned cap, const struct kvm_cpuid2 *from,
		     const struct plan *plan, unsigned cpu, bool tsc_deadline)
{
	struct cpu this = {
		.plan = plan,
		.apic_id = plan_apic_id(plan, cpu),
		.thread_bits = topology_thread_bits(plan),
		.core_bits = topology_core_bits(plan),
		.per_socket = plan->cores * plan->threads,
		.tsc_deadline = tsc_deadline,
	};
	uint32_t max_basic = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < from->nent && n < cap; i++) {
		if (from->entries[i].function == 0) {
			max_basic = from->entries[i].eax;
			this.amd = from->entries[i].ebx == EBX_AMD ||
				   from->entries[i].ebx == EBX_HYGON;
		}
		if (is_topology(from->entries[i].function))
			continue;
		out[n] = from->entries[i];
		adjust(&out[n], &this);
		if (!is_zero(&out[n]))
			n++;
	}
	for (uint32_t function = 0xb; function <= max_basic && function <= 0x1f; function += 0x14) {
		for (uint32_t index = 0; index < 3 && n < cap; index++) {
			out[n] = (struct kvm_cpuid_entry2){
				.function = function,
				.index = index,
				.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			};
			adjust(&out[n++], &this);
		}
	}
	return n;
}
