#include "vmm/plan/cpuid_rules.h"

#include "vmm/base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* --- features: a leaf, a register, a bit --- */

/* The leaves that have feature bits. */
enum leaf { L_1, L_7, L_7_1, L_D, L_D_1, L_8000_0001, LEAVES };

static const struct {
	uint32_t function, index;
} leaves[LEAVES] = {
	[L_1] = { 0x1, 0 }, [L_7] = { 0x7, 0 },	  [L_7_1] = { 0x7, 1 },
	[L_D] = { 0xd, 0 }, [L_D_1] = { 0xd, 1 }, [L_8000_0001] = { 0x80000001, 0 },
};

enum reg { EAX, EBX, ECX, EDX };

#define FEATURE(leaf, reg, bit) ((leaf) << 7 | (reg) << 5 | (bit))

/* Intel SDM volume 2, CPUID, tables 3-8 on; AMD APM volume 3, appendix E. */
enum feature {
	PCID = FEATURE(L_1, ECX, 17),
	X2APIC = FEATURE(L_1, ECX, 21),
	TSC_DEADLINE = FEATURE(L_1, ECX, 24),
	SSE3 = FEATURE(L_1, ECX, 0),
	PCLMULQDQ = FEATURE(L_1, ECX, 1),
	SSSE3 = FEATURE(L_1, ECX, 9),
	FMA = FEATURE(L_1, ECX, 12),
	SSE4_1 = FEATURE(L_1, ECX, 19),
	SSE4_2 = FEATURE(L_1, ECX, 20),
	AES = FEATURE(L_1, ECX, 25),
	XSAVE = FEATURE(L_1, ECX, 26),
	OSXSAVE = FEATURE(L_1, ECX, 27),
	AVX = FEATURE(L_1, ECX, 28),
	F16C = FEATURE(L_1, ECX, 29),
	MCE = FEATURE(L_1, EDX, 7),
	APIC = FEATURE(L_1, EDX, 9),
	MCA = FEATURE(L_1, EDX, 14),
	MMX = FEATURE(L_1, EDX, 23),
	FXSR = FEATURE(L_1, EDX, 24),
	SSE = FEATURE(L_1, EDX, 25),
	SSE2 = FEATURE(L_1, EDX, 26),

	SGX = FEATURE(L_7, EBX, 2),
	AVX2 = FEATURE(L_7, EBX, 5),
	INVPCID = FEATURE(L_7, EBX, 10),
	MPX = FEATURE(L_7, EBX, 14),
	AVX512F = FEATURE(L_7, EBX, 16),
	AVX512DQ = FEATURE(L_7, EBX, 17),
	AVX512_IFMA = FEATURE(L_7, EBX, 21),
	INTEL_PT = FEATURE(L_7, EBX, 25),
	AVX512PF = FEATURE(L_7, EBX, 26),
	AVX512ER = FEATURE(L_7, EBX, 27),
	AVX512CD = FEATURE(L_7, EBX, 28),
	SHA = FEATURE(L_7, EBX, 29),
	AVX512BW = FEATURE(L_7, EBX, 30),
	AVX512VL = FEATURE(L_7, EBX, 31),
	AVX512_VBMI = FEATURE(L_7, ECX, 1),
	PKU = FEATURE(L_7, ECX, 3),
	OSPKE = FEATURE(L_7, ECX, 4),
	AVX512_VBMI2 = FEATURE(L_7, ECX, 6),
	SHSTK = FEATURE(L_7, ECX, 7),
	GFNI = FEATURE(L_7, ECX, 8),
	VAES = FEATURE(L_7, ECX, 9),
	VPCLMULQDQ = FEATURE(L_7, ECX, 10),
	AVX512_VNNI = FEATURE(L_7, ECX, 11),
	AVX512_BITALG = FEATURE(L_7, ECX, 12),
	AVX512_VPOPCNTDQ = FEATURE(L_7, ECX, 14),
	ENQCMD = FEATURE(L_7, ECX, 29),
	SGX_LC = FEATURE(L_7, ECX, 30),
	AVX512_4VNNIW = FEATURE(L_7, EDX, 2),
	AVX512_4FMAPS = FEATURE(L_7, EDX, 3),
	AVX512_VP2INTERSECT = FEATURE(L_7, EDX, 8),
	AMX_BF16 = FEATURE(L_7, EDX, 22),
	AVX512_FP16 = FEATURE(L_7, EDX, 23),
	AMX_TILE = FEATURE(L_7, EDX, 24),
	AMX_INT8 = FEATURE(L_7, EDX, 25),
	SHA512 = FEATURE(L_7_1, EAX, 0),
	SM3 = FEATURE(L_7_1, EAX, 1),
	SM4 = FEATURE(L_7_1, EAX, 2),
	AVX_VNNI = FEATURE(L_7_1, EAX, 4),
	AVX512_BF16 = FEATURE(L_7_1, EAX, 5),
	FRED = FEATURE(L_7_1, EAX, 17),
	LKGS = FEATURE(L_7_1, EAX, 18),
	AMX_FP16 = FEATURE(L_7_1, EAX, 21),
	AVX_IFMA = FEATURE(L_7_1, EAX, 23),
	AVX_VNNI_INT8 = FEATURE(L_7_1, EDX, 4),
	AVX_NE_CONVERT = FEATURE(L_7_1, EDX, 5),
	AMX_COMPLEX = FEATURE(L_7_1, EDX, 8),
	AVX_VNNI_INT16 = FEATURE(L_7_1, EDX, 10),
	AVX10 = FEATURE(L_7_1, EDX, 19),
	APX = FEATURE(L_7_1, EDX, 21),

	/* Leaf 0Dh, subleaf 0, EAX: what XCR0 may have; SDM volume 1, section 13.1 */
	XCR0_X87 = FEATURE(L_D, EAX, 0),
	XCR0_SSE = FEATURE(L_D, EAX, 1),
	XCR0_AVX = FEATURE(L_D, EAX, 2),
	XCR0_BNDREGS = FEATURE(L_D, EAX, 3),
	XCR0_BNDCSR = FEATURE(L_D, EAX, 4),
	XCR0_OPMASK = FEATURE(L_D, EAX, 5),
	XCR0_ZMM_HI256 = FEATURE(L_D, EAX, 6),
	XCR0_HI16_ZMM = FEATURE(L_D, EAX, 7),
	XCR0_PKRU = FEATURE(L_D, EAX, 9),
	XCR0_TILECFG = FEATURE(L_D, EAX, 17),
	XCR0_TILEDATA = FEATURE(L_D, EAX, 18),
	XCR0_APX = FEATURE(L_D, EAX, 19),
	XSAVEOPT = FEATURE(L_D_1, EAX, 0),
	XSAVEC = FEATURE(L_D_1, EAX, 1),
	XGETBV1 = FEATURE(L_D_1, EAX, 2),
	XSAVES = FEATURE(L_D_1, EAX, 3),
	XFD = FEATURE(L_D_1, EAX, 4),
	XSS_CET_U = FEATURE(L_D_1, ECX, 11),

	SVM = FEATURE(L_8000_0001, ECX, 2),
	SSE4A = FEATURE(L_8000_0001, ECX, 6),
	XOP = FEATURE(L_8000_0001, ECX, 11),
	LWP = FEATURE(L_8000_0001, ECX, 15),
	FMA4 = FEATURE(L_8000_0001, ECX, 16),
	MMXEXT = FEATURE(L_8000_0001, EDX, 22),
	FXSR_OPT = FEATURE(L_8000_0001, EDX, 25),
	AMD_3DNOWEXT = FEATURE(L_8000_0001, EDX, 30),
	AMD_3DNOW = FEATURE(L_8000_0001, EDX, 31),
};

/* --- prerequisites --- */

/*
 * Feature and prerequisite. A feature's own rows come before the rows that have it as prerequisite,
 * so one pass is enough. Linux arch/x86/kernel/cpu/cpuid-deps.c; SDM volume 1, sections 13.2, 14.3
 * and 15.2 (AVX and AVX-512 need their state in XCR0), 18.2 (AMX); chapter 4.10.1 of volume 3
 * (INVPCID).
 */
static const struct {
	uint16_t feature, needs;
} rules[] = {
	{ MCA, MCE },
	{ X2APIC, APIC },
	{ TSC_DEADLINE, APIC },
	{ INVPCID, PCID },
	{ FRED, LKGS },
	{ SGX_LC, SGX },

	{ MMX, FXSR },
	{ MMXEXT, MMX },
	{ AMD_3DNOW, MMX },
	{ AMD_3DNOWEXT, AMD_3DNOW },
	{ FXSR_OPT, FXSR },
	{ SSE, FXSR },
	{ SSE2, SSE },
	{ SSE3, SSE2 },
	{ SSE4A, SSE3 },
	{ SSSE3, SSE2 },
	{ SSE4_1, SSE2 },
	{ SSE4_2, SSE2 },
	{ PCLMULQDQ, SSE2 },
	{ AES, SSE2 },
	{ SHA, SSE2 },
	{ GFNI, SSE2 },

	/* XCR0 must have x87 and SSE; the parts of AVX-512, MPX and AMX go together. */
	{ XSAVE, FXSR },
	{ XSAVE, XCR0_X87 },
	{ XSAVE, XCR0_SSE },
	{ XCR0_X87, XSAVE },
	{ XCR0_SSE, XSAVE },
	{ XCR0_AVX, XSAVE },
	{ XCR0_OPMASK, XCR0_AVX },
	{ XCR0_OPMASK, XCR0_ZMM_HI256 },
	{ XCR0_OPMASK, XCR0_HI16_ZMM },
	{ XCR0_ZMM_HI256, XCR0_OPMASK },
	{ XCR0_HI16_ZMM, XCR0_OPMASK },
	{ XCR0_BNDREGS, XSAVE },
	{ XCR0_BNDREGS, XCR0_BNDCSR },
	{ XCR0_BNDCSR, XCR0_BNDREGS },
	{ XCR0_PKRU, XSAVE },
	{ XCR0_TILECFG, XSAVE },
	{ XCR0_TILECFG, XCR0_TILEDATA },
	{ XCR0_TILEDATA, XCR0_TILECFG },
	{ XCR0_APX, XSAVE },
	{ OSXSAVE, XSAVE },
	{ XSAVEOPT, XSAVE },
	{ XSAVEC, XSAVE },
	{ XGETBV1, XSAVE },
	{ XSAVES, XSAVEC },
	{ XFD, XSAVES },
	{ XFD, XGETBV1 },
	{ XSS_CET_U, XSAVES },
	{ LWP, XSAVE },
	{ MPX, XCR0_BNDREGS },
	{ PKU, XCR0_PKRU },
	{ OSPKE, PKU },
	{ ENQCMD, XSAVES },
	{ SHSTK, XSS_CET_U },

	{ AVX, XCR0_AVX },
	{ AVX, SSE2 },
	{ F16C, AVX },
	{ FMA, AVX },
	{ FMA4, AVX },
	{ XOP, AVX },
	{ VAES, AVX },
	{ VAES, AES },
	{ VPCLMULQDQ, AVX },
	{ VPCLMULQDQ, PCLMULQDQ },
	{ AVX2, AVX },
	{ AVX_VNNI, AVX2 },
	{ AVX_IFMA, AVX2 },
	{ AVX_VNNI_INT8, AVX2 },
	{ AVX_VNNI_INT16, AVX2 },
	{ AVX_NE_CONVERT, AVX2 },
	{ SHA512, AVX2 },
	{ SM3, AVX },
	{ SM4, AVX2 },

	{ AVX512F, AVX2 },
	{ AVX512F, XCR0_OPMASK },
	{ AVX512CD, AVX512F },
	{ AVX512PF, AVX512F },
	{ AVX512ER, AVX512F },
	{ AVX512DQ, AVX512F },
	{ AVX512BW, AVX512F },
	{ AVX512VL, AVX512F },
	{ AVX512_IFMA, AVX512F },
	{ AVX512_VBMI, AVX512F },
	{ AVX512_4VNNIW, AVX512F },
	{ AVX512_4FMAPS, AVX512F },
	{ AVX512_VPOPCNTDQ, AVX512F },
	{ AVX512_VBMI2, AVX512VL },
	{ AVX512_VNNI, AVX512VL },
	{ AVX512_BITALG, AVX512VL },
	{ AVX512_BF16, AVX512VL },
	{ AVX512_VP2INTERSECT, AVX512VL },
	{ AVX512_FP16, AVX512BW },
	{ AVX10, AVX512VL },

	{ APX, XCR0_APX },
	{ AMX_TILE, XFD },
	{ AMX_TILE, XCR0_TILECFG },
	{ AMX_BF16, AMX_TILE },
	{ AMX_INT8, AMX_TILE },
	{ AMX_FP16, AMX_TILE },
	{ AMX_COMPLEX, AMX_TILE },
};

/* Leaves that describe one feature alone. */
static const struct {
	uint32_t function;
	uint16_t by;
} owned[] = {
	{ 0xd, XSAVE },	    { 0x12, SGX },   { 0x14, INTEL_PT },  { 0x1d, AMX_TILE },
	{ 0x1e, AMX_TILE }, { 0x24, AVX10 }, { 0x8000000a, SVM },
};

/* --- applying them --- */

/* The registers of those leaves; a leaf that is not in the list reads as zeroes. */
struct features {
	uint32_t of[LEAVES][4];
};

static uint32_t *find_register(struct features *f, unsigned feature)
{
	return &f->of[feature >> 7][feature >> 5 & 3];
}

static bool cpuid_rules_has(struct features *f, unsigned feature)
{
	return *find_register(f, feature) >> (feature & 31) & 1;
}

/* Which of the leaves an entry is, or LEAVES. */
static unsigned leaf_of(const struct kvm_cpuid_entry2 *e)
{
	unsigned leaf = 0;

	while (leaf < LEAVES &&
	       (e->function != leaves[leaf].function || e->index != leaves[leaf].index))
		leaf++;
	return leaf;
}

static void load(struct features *f, const struct kvm_cpuid_entry2 *e)
{
	unsigned leaf = leaf_of(e);
	const uint32_t all[4] = { e->eax, e->ebx, e->ecx, e->edx };

	for (unsigned reg = EAX; leaf < LEAVES && reg <= EDX; reg++)
		f->of[leaf][reg] = all[reg];
}

static void store(const struct features *f, struct kvm_cpuid_entry2 *e)
{
	unsigned leaf = leaf_of(e);

	if (leaf == LEAVES)
		return;
	e->eax = f->of[leaf][EAX];
	e->ebx = f->of[leaf][EBX];
	e->ecx = f->of[leaf][ECX];
	e->edx = f->of[leaf][EDX];
}

/* The state components that are still offered in XCR0 and in IA32_XSS. */
static uint64_t user_state(const struct features *f)
{
	return f->of[L_D][EAX] | (uint64_t)f->of[L_D][EDX] << 32;
}

static uint64_t supervisor_state(const struct features *f)
{
	return f->of[L_D_1][ECX] | (uint64_t)f->of[L_D_1][EDX] << 32;
}

/* Leaf 0Dh, subleaf 0, ECX: the bytes of all that XCR0 may have. x87, SSE and the header: 576. */
static uint32_t state_size(const struct features *f, const struct kvm_cpuid_entry2 *entries,
			   unsigned n)
{
	uint32_t size = 576;

	for (unsigned i = 0; i < n; i++) {
		const struct kvm_cpuid_entry2 *e = &entries[i];

		if (e->function == 0xd && e->index >= 2 && e->index < 64 &&
		    user_state(f) >> e->index & 1 && e->eax <= UINT32_MAX - e->ebx &&
		    e->ebx + e->eax > size)
			size = e->ebx + e->eax;
	}
	return size;
}

static bool is_left(struct features *f, const struct kvm_cpuid_entry2 *e)
{
	for (unsigned i = 0; i < ARRAY_SIZE(owned); i++)
		if (e->function == owned[i].function && !cpuid_rules_has(f, owned[i].by))
			return false;
	if (e->function != 0xd || e->index < 2)
		return true;
	return e->index < 64 && (user_state(f) | supervisor_state(f)) >> e->index & 1;
}

unsigned cpuid_apply_rules(struct kvm_cpuid_entry2 *entries, unsigned n)
{
	struct features f = { { { 0 } } };
	unsigned left = 0;

	for (unsigned i = 0; i < n; i++)
		load(&f, &entries[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
		if (!cpuid_rules_has(&f, rules[i].needs))
			*find_register(&f, rules[i].feature) &= ~(1u << (rules[i].feature & 31));
	f.of[L_D][ECX] = state_size(&f, entries, n);
	for (unsigned i = 0; i < n; i++) {
		store(&f, &entries[i]);
		if (is_left(&f, &entries[i]))
			entries[left++] = entries[i];
	}
	return left;
}
