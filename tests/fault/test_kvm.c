/*
 * KVM's refusals and their sentences, against a /dev/kvm that the test plays: needs no KVM.
 */
#include "tests/fault/wrap.h"
#include "vmm/host/fault.h"
#include "vmm/host/kvm.h"
#include "vmm/host/supported_cpuid.h"
#include "vmm/host/probe.h"
#include "vmm/host/vcpu.h"
#include "vmm/host/vcpu_state.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct err err;

/* --- the played KVM --- */

static struct {
	int version;
	int lacks; /* a capability */
	int run_size;
	int max_cpus, max_ids;
	int run_error; /* KVM_RUN's errno; 0: it returns as the run page says */
	unsigned run_calls;
	int cpuid_error;	   /* likewise */
	struct kvm_run first_exit; /* what a new run page says */
	int max_slots;		   /* 0: it does not say */
	struct kvm_userspace_memory_region slots[64];
	unsigned nr_slots;
	bool has_pit, reinjects;
	bool has_irqchip, is_split, has_wide_ids, refuses_x2apic;
	unsigned nr_msrs;
	struct kvm_msr_entry msr[3];
	uint64_t quirks_off;
	uint64_t mcg_cap;
	struct kvm_x86_mce mce;
	unsigned nr_mce;
	unsigned meets_bad; /* how many times the guest touches bad_page before it runs */
	int tsc_khz;	    /* 0: KVM_GET_TSC_KHZ fails */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint32_t mp_state;
	bool nmi_waits;
	void (*exits)(struct kvm_run *run, unsigned n); /* says how the nth KVM_RUN comes back */
} host;

static int new_fd(void)
{
	return memfd_create("kvm", MFD_CLOEXEC);
}

/* The run page of a vCPU is its descriptor's first page. */
static int new_vcpu(void)
{
	int fd = new_fd();

	if (fd >= 0 && (ftruncate(fd, host.run_size) < 0 ||
			pwrite(fd, &host.first_exit, sizeof(host.first_exit), 0) < 0))
		return -1;
	return fd;
}

static struct vcpu vcpu; /* the one of the tests that run */

static uint8_t bad_page[2 * 4096];

/* As the kernel sends it to the vCPU's thread. */
static void send_error(void)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = SIGBUS;
	info.si_code = BUS_MCEERR_AR;
	info.si_addr = &bad_page[4096];
	assert_int_equal(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info), 0);
}

static int check_extension(unsigned long cap)
{
	if ((int)cap == host.lacks)
		return 0;
	if (cap == 213) /* KVM_CAP_DISABLE_QUIRKS2: which there are */
		return 0xff;
	if (cap == KVM_CAP_NR_MEMSLOTS)
		return host.max_slots;
	if (cap == KVM_CAP_MAX_VCPU_ID)
		return host.max_ids;
	if (cap == KVM_CAP_X2APIC_API)
		return 3; /* which flags there are */
	return cap == KVM_CAP_MAX_VCPUS ? host.max_cpus : 1;
}

/* All but the last, as on AMD. */
static int set_msrs(const struct kvm_msrs *msrs)
{
	host.nr_msrs = msrs->nmsrs;
	assert_true(host.nr_msrs <= ARRAY_SIZE(host.msr));
	memcpy(host.msr, msrs->entries, host.nr_msrs * sizeof(host.msr[0]));
	return host.refuses_x2apic ? 1 : (int)host.nr_msrs - 1;
}

static void enable_cap(const struct kvm_enable_cap *cap)
{
	switch (cap->cap) {
	case 213: /* KVM_CAP_DISABLE_QUIRKS2 */
		host.quirks_off |= cap->args[0];
		break;
	case KVM_CAP_SPLIT_IRQCHIP:
		assert_int_equal(cap->args[0], 24);
		host.is_split = true;
		break;
	case KVM_CAP_X2APIC_API:
		assert_int_equal(cap->args[0], 3);
		host.has_wide_ids = true;
		break;
	}
}

static bool played(int fd, unsigned long request, void *arg, int *ret)
{
	(void)fd;
	*ret = 0;
	switch (request) {
	case KVM_GET_API_VERSION:
		*ret = host.version;
		break;
	case KVM_CHECK_EXTENSION:
		*ret = check_extension((unsigned long)arg);
		break;
	case KVM_GET_VCPU_MMAP_SIZE:
		*ret = host.run_size;
		break;
	case KVM_CREATE_VM:
		*ret = new_fd();
		break;
	case KVM_CREATE_VCPU:
		*ret = new_vcpu();
		break;
	case KVM_CREATE_DEVICE:
		((struct kvm_create_device *)arg)->fd = (uint32_t)new_fd();
		break;
	case KVM_SET_MSRS:
		*ret = set_msrs(arg);
		break;
	case KVM_GET_SUPPORTED_CPUID:
		((struct kvm_cpuid2 *)arg)->nent = 1;
		errno = host.cpuid_error;
		*ret = errno ? -1 : 0;
		break;
	case KVM_SET_USER_MEMORY_REGION:
		assert_true(host.nr_slots < ARRAY_SIZE(host.slots));
		host.slots[host.nr_slots++] = *(struct kvm_userspace_memory_region *)arg;
		break;
	case KVM_CREATE_PIT2:
		assert_int_equal(((struct kvm_pit_config *)arg)->flags, KVM_PIT_SPEAKER_DUMMY);
		host.has_pit = true;
		break;
	case KVM_REINJECT_CONTROL:
		host.reinjects = ((struct kvm_reinject_control *)arg)->pit_reinject;
		break;
	case KVM_GET_TSC_KHZ:
		errno = host.tsc_khz ? 0 : EIO;
		*ret = errno ? -1 : host.tsc_khz;
		break;
	case KVM_ENABLE_CAP:
		enable_cap(arg);
		break;
	case KVM_CREATE_IRQCHIP:
		host.has_irqchip = true;
		break;
	case KVM_X86_GET_MCE_CAP_SUPPORTED:
		*(uint64_t *)arg = 1 << 8 | 1 << 24 | 1 << 27; /* CTL_P, SER_P, LMCE_P */
		break;
	case KVM_X86_SETUP_MCE:
		host.mcg_cap = *(uint64_t *)arg;
		break;
	case KVM_X86_SET_MCE:
		host.mce = *(struct kvm_x86_mce *)arg;
		host.nr_mce++;
		break;
	case KVM_GET_REGS:
		*(struct kvm_regs *)arg = host.regs;
		break;
	case KVM_GET_SREGS:
		*(struct kvm_sregs *)arg = host.sregs;
		break;
	case KVM_GET_MP_STATE:
		((struct kvm_mp_state *)arg)->mp_state = host.mp_state;
		break;
	case KVM_GET_VCPU_EVENTS:
		((struct kvm_vcpu_events *)arg)->nmi.pending = host.nmi_waits;
		break;
	case KVM_RUN:
		host.run_calls++;
		if (host.exits)
			host.exits(vcpu.run, host.run_calls);
		if (host.meets_bad) {
			send_error();
			host.meets_bad--;
			errno = EINTR;
			*ret = -1;
			break;
		}
		errno = host.run_error;
		*ret = errno ? -1 : 0;
		break;
	}
	return true;
}

static int play(void **state)
{
	memset(&host, 0, sizeof(host));
	host.version = 12;
	host.lacks = -1;
	host.run_size = 4096;
	host.max_cpus = 64;
	host.max_slots = 32;
	host.reinjects = true;
	wrap_setup(state);
	wrap_redirect("/dev/kvm", "/dev/null");
	wrap_ioctl(played);
	return 0;
}

/* --- opening --- */

static void expect_open(int code, const char *words)
{
	struct wrap_held before = wrap_held();
	struct kvm kvm;

	wrap_fail_named("open", 1, code);
	assert_int_equal(kvm_open(&kvm, &err), -code);
	assert_int_equal(kvm.fd, -1);
	wrap_assert_says(&err, "/dev/kvm");
	wrap_assert_says(&err, words);
	wrap_assert_released(before, "kvm_open");
}

static void test_open(void **state)
{
	(void)state;
	expect_open(ENOENT, "does not exist: load kvm_amd or kvm_intel");
	expect_open(ENODEV, "does not exist: load kvm_amd or kvm_intel");
	expect_open(ENXIO, "does not exist: load kvm_amd or kvm_intel");
	expect_open(EACCES, "join the group kvm");
	expect_open(EPERM, "join the group kvm");
	expect_open(EMFILE, "Too many open files");
	expect_open(EBUSY, "Device or resource busy");
}

static void expect_refused(const char *words)
{
	struct wrap_held before = wrap_held();
	struct kvm kvm;

	assert_int_equal(kvm_open(&kvm, &err), -ENOTSUP);
	wrap_assert_says(&err, words);
	wrap_assert_released(before, "kvm_open");
}

static void test_old_kvm(void **state)
{
	(void)state;
	host.version = 11;
	expect_refused("API version 11, not 12");
	host.version = 12;
	host.lacks = KVM_CAP_IRQCHIP;
	expect_refused("KVM_CAP_IRQCHIP");
	host.lacks = KVM_CAP_IMMEDIATE_EXIT;
	expect_refused("lacks KVM_CAP_IMMEDIATE_EXIT: use Linux");
	host.lacks = -1;
	host.run_size = (int)sizeof(struct kvm_run) - 1;
	expect_refused("KVM_GET_VCPU_MMAP_SIZE");
}

/* What is missing without harm. */
static void test_lesser_kvm(void **state)
{
	struct kvm kvm;

	(void)state;
	host.lacks = KVM_CAP_TSC_DEADLINE_TIMER;
	assert_int_equal(kvm_open(&kvm, &err), 0);
	assert_false(kvm.tsc_deadline);
	assert_int_equal(kvm.max_cpus, 64);
	kvm_close(&kvm);
	host.lacks = KVM_CAP_MAX_VCPUS;
	assert_int_equal(kvm_open(&kvm, &err), 0);
	assert_true(kvm.tsc_deadline);
	assert_int_equal(kvm.max_cpus, 4); /* api.rst */
	kvm_close(&kvm);
}

/* --- CPUID --- */

/* First of all tests: the answer is kept for the life of the process. */
static void test_cpuid(void **state)
{
	struct wrap_held before = wrap_held();
	const struct kvm_cpuid2 *cpuid, *again;
	struct kvm kvm;

	(void)state;
	assert_int_equal(kvm_open(&kvm, &err), 0);
	wrap_fail_named("ioctl", 1, E2BIG);
	assert_int_equal(supported_cpuid(&kvm, &cpuid, &err), -E2BIG);
	wrap_assert_says(&err, "KVM_GET_SUPPORTED_CPUID");
	kvm_close(&kvm);
	wrap_assert_released(before, "CPUID");

	/* Asked ahead in vain: no thread, then no answer. Who asks then hears why, and may ask
	 * again. */
	assert_int_equal(kvm_open(&kvm, &err), 0);
	wrap_fail_named("pthread_create", 1, EAGAIN);
	supported_cpuid_ask_ahead(kvm_keep_device());
	host.cpuid_error = E2BIG;
	supported_cpuid_ask_ahead(kvm_keep_device());
	assert_int_equal(supported_cpuid(&kvm, &cpuid, &err), -E2BIG);
	host.cpuid_error = 0;
	supported_cpuid_ask_ahead(kvm_keep_device());
	assert_int_equal(supported_cpuid(&kvm, &cpuid, &err), 0);
	assert_int_equal(cpuid->nent, 1);
	wrap_count();
	assert_int_equal(supported_cpuid(&kvm, &again, &err), 0);
	assert_ptr_equal(cpuid, again);
	assert_int_equal(wrap_calls(), 0);
	kvm_close(&kvm);

	/* The device stays open for the machines to come, whoever may open it by then. */
	wrap_fail_named("open", 1, EACCES);
	assert_int_equal(kvm_open(&kvm, &err), 0);
	kvm_close(&kvm);
	supported_cpuid_await();
	kvm_release_device();
	wrap_assert_released(before, "the device");
	wrap_fail_named("open", 1, EACCES);
	assert_int_equal(kvm_open(&kvm, &err), -EACCES);
}

/* --- memory slots --- */

/* Nothing is mapped: the played KVM does not look. */
static const struct ram_block blocks[] = {
	{ { 0, 3 * GIB }, (uint8_t *)(uintptr_t)(TIB), -1, 0 },
	{ { 16 * TIB, 25 * TIB }, (uint8_t *)(uintptr_t)(32 * TIB), -1, 0 },
};

static struct kvm guest;
static struct guest_memory memory;
static struct guest_memory_listener listener = { .ops = &kvm_memory_ops, .to = &guest };

/* A machine without memory, and both blocks in a list of which it is not told yet. */
static void open_machine(void)
{
	host.nr_slots = 0;
	assert_int_equal(kvm_open(&guest, &err), 0);
	assert_int_equal(kvm_create_vm(&guest, &err), 0);
	guest_memory_init(&memory);
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++)
		assert_int_equal(guest_memory_add(&memory, &blocks[i], &err), 0);
}

/* Entry `i` of what KVM was told: the slot goes. */
static void expect_gone(unsigned i, unsigned slot)
{
	assert_true(i < host.nr_slots);
	assert_int_equal(host.slots[i].slot, slot);
	assert_int_equal(host.slots[i].memory_size, 0);
}

static void test_slots(void **state)
{
	struct wrap_held before = wrap_held();
	struct span gpa = { 0, 0 };

	(void)state;
	open_machine();
	assert_int_equal(guest_memory_listen(&memory, &listener, &err), 0);
	/* 9 TiB need nine slots of at most 1. */
	assert_int_equal(host.nr_slots, 10);
	for (unsigned i = 0; i < host.nr_slots; i++) {
		const struct kvm_userspace_memory_region *s = &host.slots[i];
		const struct ram_block *b = &blocks[i > 0];

		gpa.base = i <= 1 ? b->gpa.base : gpa.end;
		gpa.end = gpa.base + s->memory_size;
		assert_int_equal(s->slot, i);
		assert_int_equal(s->guest_phys_addr, gpa.base);
		assert_int_equal(s->userspace_addr - (uintptr_t)b->hva, gpa.base - b->gpa.base);
		assert_true(s->memory_size <= TIB);
	}
	assert_int_equal(gpa.end, blocks[1].gpa.end);

	/* A block goes with all of its slots, which the next one has, and takes no page tables of
	 * other slots with it. */
	host.nr_slots = 0;
	assert_int_equal(host.quirks_off, 0);
	guest_memory_remove(&memory, blocks[1].gpa);
	assert_int_equal(host.quirks_off, 1 << 7);
	assert_int_equal(host.nr_slots, 9);
	for (unsigned i = 0; i < 9; i++)
		expect_gone(i, i + 1);
	host.nr_slots = 0;
	assert_int_equal(guest_memory_add(&memory, &blocks[1], &err), 0);
	assert_int_equal(host.nr_slots, 9);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(host.slots[i].slot, i + 1);

	/* With the machine all go at once: none is told of. */
	host.nr_slots = 0;
	guest_memory_forget(&memory, &listener);
	kvm_close(&guest);
	assert_int_equal(host.nr_slots, 0);
	wrap_assert_released(before, "kvm_close");
}

static void test_slots_refused(void **state)
{
	(void)state;
	open_machine();
	wrap_fail_named("ioctl", 3, ENOMEM);
	assert_int_equal(guest_memory_listen(&memory, &listener, &err), -ENOMEM);
	wrap_assert_says(&err, "KVM refuses 1048576 MiB of RAM at 0x110000000000");
	wrap_assert_says(&err, "Cannot allocate memory");
	/* What was shown before goes again: the piece of the same block, then the other block. */
	assert_int_equal(host.nr_slots, 4);
	expect_gone(2, 1);
	expect_gone(3, 0);
	host.nr_slots = 0;
	wrap_fail_named("ioctl", 1, EINVAL);
	assert_int_equal(guest_memory_listen(&memory, &listener, &err), -EINVAL);
	wrap_assert_says(&err, "KVM refuses 3072 MiB of RAM at 0 (");
	assert_int_equal(host.nr_slots, 0);
	kvm_close(&guest); /* with the table of slots */
	open_machine();
	wrap_fail_named("calloc", 1, ENOMEM);
	assert_int_equal(guest_memory_listen(&memory, &listener, &err), -ENOMEM);
	wrap_assert_says(&err, "out of memory for 16 memory slots");
	assert_int_equal(host.nr_slots, 0);
	assert_int_equal(guest_memory_listen(&memory, &listener, &err), 0);
	guest_memory_forget(&memory, &listener);
	kvm_close(&guest);
}

/* A slot that KVM does not let go of still shows what it did: no other block gets its number. */
static void test_slot_stays(void **state)
{
	const struct ram_block more = {
		{ 4 * GIB, 5 * GIB }, (uint8_t *)(uintptr_t)(64 * TIB), -1, 0
	};

	(void)state;
	open_machine();
	assert_int_equal(guest_memory_listen(&memory, &listener, &err), 0);
	guest_memory_remove(&memory, blocks[1].gpa); /* slots 1 to 9 */
	wrap_fail_named("ioctl", 1, ENOMEM);
	guest_memory_remove(&memory, blocks[0].gpa); /* slot 0 */
	host.nr_slots = 0;
	assert_int_equal(guest_memory_add(&memory, &more, &err), 0);
	assert_int_equal(host.nr_slots, 1);
	assert_int_equal(host.slots[0].slot, 1);
	guest_memory_forget(&memory, &listener);
	kvm_close(&guest);
}

/* RAM never gets the slots that are kept for device memory: of 32, the last 8. */
static void test_too_many_slots(void **state)
{
	const struct ram_block more = {
		{ 64 * TIB, 79 * TIB }, (uint8_t *)(uintptr_t)(64 * TIB), -1, 0
	};

	(void)state;
	open_machine();
	assert_int_equal(guest_memory_listen(&memory, &listener, &err), 0);
	assert_int_equal(guest_memory_add(&memory, &more, &err), -E2BIG);
	wrap_assert_says(&err, "guest RAM is in more than 24 pieces");
	assert_int_equal(host.nr_slots, 24 + 14);
	for (unsigned i = 0; i < 14; i++)
		expect_gone(24 + i, 10 + i);
	assert_int_equal(memory.all.n, 2);
	guest_memory_forget(&memory, &listener);
	kvm_close(&guest);
}

/* The number of the first slot for device memory depends on nothing but KVM's number of slots. */
static void test_ranges(void **state)
{
	static const struct {
		int slots;
		unsigned first;
	} cases[] = {
		{ 0, 24 }, /* it does not say: 32 */
		{ 32, 24 },
		{ 509, 382 },	  /* Linux before 5.12 */
		{ 32764, 24573 }, /* since then: 85 devices with 6 BARs of 16 parts */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (unsigned ram = 0; ram < 2; ram++) {
			host.max_slots = cases[i].slots;
			open_machine();
			if (ram)
				assert_int_equal(guest_memory_listen(&memory, &listener, &err), 0);
			host.nr_slots = 0;
			assert_int_equal(
				kvm_map(&guest, (struct span){ TIB, TIB + MIB }, NULL, &err), 0);
			assert_int_equal(host.slots[0].slot, cases[i].first);
			guest_memory_forget(&memory, &listener);
			kvm_close(&guest);
		}
}

/* Device memory takes the last slots, and gives them back. */
static void test_maps(void **state)
{
	const struct span at = { TIB, TIB + 64 * KIB };
	int a, b;

	(void)state;
	open_machine();
	assert_int_equal(host.quirks_off, 0);
	a = kvm_map(&guest, at, (void *)(uintptr_t)(2 * TIB), &err);
	/* From now on slots go: without the quirk by which all page tables go with them. */
	assert_int_equal(host.quirks_off, 1 << 7);
	b = kvm_map(&guest, (struct span){ 2 * TIB, 3 * TIB }, (void *)(uintptr_t)(4 * TIB), &err);
	assert_true(a >= 0 && b >= 0 && a != b);
	assert_int_equal(host.slots[0].slot, 24);
	assert_int_equal(host.slots[0].guest_phys_addr, at.base);
	assert_int_equal(host.slots[0].memory_size, 64 * KIB);
	assert_int_equal(host.slots[0].userspace_addr, 2 * TIB);
	assert_int_equal(host.slots[1].slot, 25);
	/* RAM that comes meanwhile moves none of them. */
	assert_int_equal(guest_memory_listen(&memory, &listener, &err), 0);
	guest_memory_remove(&memory, blocks[0].gpa);
	host.nr_slots = 0;
	kvm_unmap(&guest, a);
	expect_gone(0, 24);
	assert_int_equal(kvm_map(&guest, at, (void *)(uintptr_t)(2 * TIB), &err), a);
	assert_int_equal(host.slots[1].slot, 24);
	kvm_unmap(&guest, b);
	expect_gone(2, 25);
	wrap_fail_named("ioctl", 1, EEXIST);
	assert_int_equal(kvm_map(&guest, at, NULL, &err), -EEXIST);
	wrap_assert_says(&err, "KVM refuses device memory at [0x10000000000, 0x10000010000)");
	wrap_ioctl(played);
	host.nr_slots = 0;
	assert_int_equal(kvm_map(&guest, at, NULL, &err), b); /* the failure took no slot */
	for (unsigned i = 2; i < 8; i++)
		assert_true(kvm_map(&guest, at, NULL, &err) >= 0);
	assert_int_equal(kvm_map(&guest, at, NULL, &err), -ENOSPC);
	wrap_assert_says(&err, "KVM's 8 slots for device memory are all in use");
	guest_memory_forget(&memory, &listener);
	kvm_close(&guest);
}

static int vfio_attempt(void *to, struct err *e)
{
	struct kvm kvm;
	int ret = kvm_open(&kvm, e);

	(void)to;
	if (ret == 0)
		ret = kvm_create_vm(&kvm, e);
	if (ret == 0)
		ret = kvm_add_vfio(&kvm, 5, e);
	if (ret == 0)
		ret = kvm_add_vfio(&kvm, 6, e);
	kvm_close(&kvm);
	return ret;
}

/* --- whole machines, call by call --- */

static const struct wrap_harmless without[] = {
	{ { "ioctl", KVM_ENABLE_CAP, 0 }, 0, "needed for APIC IDs past 254 only" },
	{ { "ioctl", KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS }, 0, "4 is taken then" },
	{ { "ioctl", KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID }, 0, "as many as vCPUs then" },
	{ { "ioctl", KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS }, 0, "32 is taken then" },
	{ { "ioctl", KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER }, 0, "not offered then" },
	{ { "ioctl", KVM_CREATE_VM, 0 }, EINTR, "tried again" },
	{ { "ioctl", KVM_X86_GET_MCE_CAP_SUPPORTED, 0 }, 0, "no machine checks then" },
	{ { "ioctl", KVM_REINJECT_CONTROL, 0 }, 0, "AVIC stays off" },
	{ { 0 }, 0, NULL },
};

static int vcpu_attempt(void *to, struct err *e)
{
	static const struct vcpu_entry entry = { .rip = 0x1000 };
	const struct kvm_cpuid2 *cpuid;
	struct vcpu v = VCPU_EMPTY;
	struct kvm kvm;
	int ret;

	host.nr_slots = 0;
	ret = kvm_open(&kvm, e);
	if (ret == 0)
		ret = kvm_create_vm(&kvm, e);
	if (ret == 0)
		ret = kvm_create_irqchip(&kvm, *(const uint32_t *)to, e);
	if (ret == 0)
		ret = supported_cpuid(&kvm, &cpuid, e);
	if (ret == 0)
		ret = vcpu_create(&v, &kvm, 3, 7, e);
	if (ret == 0)
		ret = vcpu_set_cpuid(&v, cpuid, e);
	if (ret == 0)
		ret = vcpu_set_entry(&v, &entry, e);
	vcpu_destroy(&v);
	kvm_close(&kvm);
	return ret;
}

static void test_vfio(void **state)
{
	(void)state;
	wrap_sweep(vfio_attempt, NULL, ENOMEM, without);
	wrap_sweep(vfio_attempt, NULL, EIO, without);
}

static void test_vcpu(void **state)
{
	uint32_t few = 0, many = 300;

	(void)state;
	wrap_sweep(vcpu_attempt, &few, ENOMEM, without);
	wrap_sweep(vcpu_attempt, &few, EIO, without);
	wrap_sweep(vcpu_attempt, &few, EINTR, without);
	/* Past 254 all that KVM is asked for is needed. */
	wrap_sweep(vcpu_attempt, &many, EIO, &without[1]);
}

/* APIC ids past 254: local APICs only, in x2APIC mode, and refused where KVM lacks something. */
static void test_wide_ids(void **state)
{
	const struct kvm_cpuid2 cpuid = { .nent = 0 };
	struct kvm kvm;
	struct vcpu v;

	(void)state;
	host.max_cpus = 1024;
	host.max_ids = 4096;
	assert_int_equal(kvm_open(&kvm, &err), 0);
	assert_int_equal(kvm_check_cpus(&kvm, 512, 511, &err), 0);
	assert_int_equal(kvm_check_cpus(&kvm, 1025, 1024, &err), -ERANGE);
	wrap_assert_says(&err, "--cpus 1025: this host's KVM allows at most 1024");
	assert_int_equal(kvm_check_cpus(&kvm, 1024, 4096, &err), -ERANGE);
	wrap_assert_says(&err, "APIC ID 4096, but this host's KVM allows IDs up to 4095");
	kvm.max_ids = 1 << 20;
	assert_int_equal(kvm_check_cpus(&kvm, 1024, 0x8000, &err), -ERANGE);
	wrap_assert_says(&err, "interrupts reach IDs up to 32767");
	assert_int_equal(kvm_check_cpus(&kvm, 1024, 0x7fff, &err), 0);
	host.lacks = KVM_CAP_X2APIC_API;
	assert_int_equal(kvm_check_cpus(&kvm, 256, 255, &err), -ENOTSUP);
	wrap_assert_says(&err, "APIC ID 255, and for IDs past 254 this host's KVM lacks");
	host.lacks = KVM_CAP_SPLIT_IRQCHIP;
	assert_int_equal(kvm_check_cpus(&kvm, 256, 255, &err), -ENOTSUP);
	assert_int_equal(kvm_check_cpus(&kvm, 255, 254, &err), 0);
	host.lacks = 0;

	assert_int_equal(kvm_create_vm(&kvm, &err), 0);
	assert_int_equal(kvm_create_irqchip(&kvm, 300, &err), 0);
	assert_true(kvm.split && host.is_split && host.has_wide_ids);
	assert_false(host.has_irqchip || host.has_pit);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(vcpu_create(&v, &kvm, i, 299 + i, &err), 0);
		assert_int_equal(vcpu_set_cpuid(&v, &cpuid, &err), 0);
		assert_int_equal(host.nr_msrs, 3);
		assert_int_equal(host.msr[1].index, 0x1b);
		assert_int_equal(host.msr[1].data, i ? 0xfee00c00 : 0xfee00d00);
		host.refuses_x2apic = true;
		assert_int_equal(vcpu_set_cpuid(&v, &cpuid, &err), -EINVAL);
		wrap_assert_says(&err, "KVM refuses the x2APIC mode of vCPU ");
		host.refuses_x2apic = false;
		vcpu_destroy(&v);
	}
	kvm_close(&kvm);
}

/* A timer for those without a KVM clock, and none of the ticks that keep AMD's AVIC off. */
static void test_clock(void **state)
{
	struct vcpu v;
	struct kvm kvm;

	(void)state;
	assert_int_equal(kvm_open(&kvm, &err), 0);
	assert_int_equal(kvm_create_vm(&kvm, &err), 0);
	assert_int_equal(kvm_create_irqchip(&kvm, 254, &err), 0);
	assert_true(host.has_pit && host.has_irqchip && !kvm.split);
	assert_false(host.reinjects);
	wrap_fail_named("ioctl", 1, EINVAL);
	assert_int_equal(vcpu_create(&v, &kvm, 200, 300, &err), -EINVAL);
	wrap_assert_says(&err, "vCPU 200 (APIC ID 300): with AMD's AVIC it takes none above 255");
	assert_int_equal(vcpu_create(&v, &kvm, 0, 0, &err), 0);
	assert_int_equal(vcpu_tsc_khz(&v), 0);
	host.tsc_khz = 2100000;
	assert_int_equal(vcpu_tsc_khz(&v), 2100000);
	vcpu_destroy(&v);
	kvm_close(&kvm);
}

/* --- running: what KVM can return, and what it cannot be made to return on demand --- */

static enum vcpu_stop run_once(void)
{
	static const struct vcpu_bus nowhere;

	host.run_calls = 0;
	memset(&err, 0, sizeof(err));
	return vcpu_run(&vcpu, &nowhere, &err);
}

static void expect_exit(uint32_t reason, enum vcpu_stop stop, const char *words)
{
	vcpu.run->exit_reason = reason;
	assert_int_equal(run_once(), stop);
	assert_int_equal(host.run_calls, 1);
	if (words) {
		wrap_assert_says(&err, "vCPU 5: ");
		wrap_assert_says(&err, words);
	} else {
		assert_string_equal(err.text, "");
	}
}

static void expect_event(uint32_t type, enum vcpu_stop stop, const char *words)
{
	vcpu.run->system_event.type = type;
	expect_exit(KVM_EXIT_SYSTEM_EVENT, stop, words);
}

static void expect_internal(uint32_t suberror, enum vcpu_stop stop, const char *words)
{
	vcpu.run->internal.suberror = suberror;
	expect_exit(KVM_EXIT_INTERNAL_ERROR, stop, words);
}

static int make_vcpu(void **state)
{
	struct kvm kvm;

	play(state);
	if (kvm_open(&kvm, &err) < 0 || kvm_create_vm(&kvm, &err) < 0 ||
	    vcpu_create(&vcpu, &kvm, 5, 5, &err) < 0)
		return -1;
	kvm_close(&kvm);
	return 0;
}

static int unmake_vcpu(void **state)
{
	(void)state;
	vcpu_destroy(&vcpu);
	return 0;
}

static void test_exits(void **state)
{
	(void)state;
	expect_exit(KVM_EXIT_SHUTDOWN, VCPU_TRIPLE_FAULT, "triple fault");
	expect_event(KVM_SYSTEM_EVENT_SHUTDOWN, VCPU_POWEROFF, NULL);
	expect_event(KVM_SYSTEM_EVENT_RESET, VCPU_RESET, NULL);
	expect_event(KVM_SYSTEM_EVENT_CRASH, VCPU_CRASHED, "crash");
	expect_event(77, VCPU_CRASHED, "crash");
	expect_internal(KVM_INTERNAL_ERROR_EMULATION, VCPU_EMULATION, "straddle check");
	expect_internal(KVM_INTERNAL_ERROR_DELIVERY_EV, VCPU_KVM_ERROR, "internal error 3");
	expect_internal(99, VCPU_KVM_ERROR, "internal error 99");
	vcpu.run->fail_entry.hardware_entry_failure_reason = 0x80000021;
	expect_exit(KVM_EXIT_FAIL_ENTRY, VCPU_KVM_ERROR, "reason 0x80000021");
	expect_exit(KVM_EXIT_UNKNOWN, VCPU_KVM_ERROR, "KVM exit 0 is not known");
	expect_exit(12345, VCPU_KVM_ERROR, "KVM exit 12345 is not known");
}

static void test_run_fails(void **state)
{
	static const int codes[] = { EFAULT, ENOMEM, ENOEXEC, EIO, EPERM };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		host.run_error = codes[i];
		assert_int_equal(run_once(), VCPU_HOST_ERROR);
		assert_int_equal(host.run_calls, 1);
		wrap_assert_says(&err, "vCPU 5: KVM_RUN failed: ");
		wrap_assert_says(&err, strerror(codes[i]));
	}
}

static void test_run_again(void **state)
{
	(void)state;
	vcpu.run->exit_reason = KVM_EXIT_SHUTDOWN;
	wrap_fail_named("ioctl", 1, EAGAIN);
	assert_int_equal(run_once(), VCPU_TRIPLE_FAULT);
	wrap_fail_named("ioctl", 1, EINTR); /* of somebody else's signal */
	assert_int_equal(run_once(), VCPU_TRIPLE_FAULT);
	wrap_reset();
	wrap_ioctl(played);
	host.run_error = EINTR;
	vcpu.stop = true;
	assert_int_equal(run_once(), VCPU_STOPPED);
	assert_string_equal(err.text, "");
}

static unsigned poisoned;
static void on_poisoned(void *to, uint64_t gpa)
{
	(void)to;
	assert_int_equal(gpa, GIB + 4096);
	poisoned++;
}

/* A bad page that the guest touches is the guest's to hear of, in the words of its CPU. */
static void test_bad_memory(void **state)
{
	static const struct vcpu_bus bus = { .poisoned = on_poisoned };
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + sizeof(cpuid->entries[0]));
	static const struct {
		char vendor[13]; /* in the order of EBX, EDX, ECX */
		uint64_t status, mcg_status;
	} rows[] = {
		{ "GenuineIntel", 0xbd80000000000134, 0xf },
		{ "AuthenticAMD", 0xbc00080000000000, 0x5 },
		{ "HygonGenuine", 0xbc00080000000000, 0x5 },
	};

	(void)state;
	assert_int_equal(fault_init(&err), 0);
	fault_list(&(struct fault_range){
		.at = bad_page, .len = sizeof(bad_page), .is_guest = true, .gpa = GIB, .fd = -1 });
	assert_int_equal(host.mcg_cap, 1 << 8 | 1 << 24 | 10);
	cpuid->nent = 1;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memcpy(&cpuid->entries[0].ebx, rows[i].vendor, 4);
		memcpy(&cpuid->entries[0].edx, rows[i].vendor + 4, 4);
		memcpy(&cpuid->entries[0].ecx, rows[i].vendor + 8, 4);
		assert_int_equal(vcpu_set_cpuid(&vcpu, cpuid, &err), 0);
		host.meets_bad = 1;
		poisoned = 0;
		vcpu.nr_bad = 0;
		vcpu.run->exit_reason = KVM_EXIT_SHUTDOWN;
		assert_int_equal(vcpu_run(&vcpu, &bus, &err), VCPU_TRIPLE_FAULT);
		assert_int_equal(poisoned, 1);
		assert_int_equal(host.mce.addr, GIB + 4096);
		assert_int_equal(host.mce.status, rows[i].status);
		assert_int_equal(host.mce.mcg_status, rows[i].mcg_status);
		assert_int_equal(host.mce.misc, 0x8c);
	}
	/* One that does not listen is ended. */
	host.meets_bad = 1000;
	host.nr_mce = 0;
	assert_int_equal(vcpu_run(&vcpu, &bus, &err), VCPU_HOST_ERROR);
	wrap_assert_says(&err, "vCPU 5: the host's memory is bad at guest address 0x40001000");
	assert_int_equal(host.nr_mce, 15);
	assert_int_equal(poisoned, 1);
	host.meets_bad = 0;
	fault_unlist(bad_page);
	signal(SIGBUS, SIG_DFL);
	free(cpuid);
}

/* KVM says EFAULT of memory that is not there; the list knows more. */
static void test_no_memory(void **state)
{
	(void)state;
	fault_list(&(struct fault_range){
		.at = bad_page, .len = 1, .is_guest = true, .huge = true, .fd = -1 });
	host.run_error = EFAULT;
	assert_int_equal(run_once(), VCPU_HOST_ERROR);
	wrap_assert_says(&err, "vCPU 5: the host has no huge page left for guest RAM");
	fault_unlist(bad_page);
}

/* The dump with its nth call failing; 0: none. There is no RAM to read code from. */
static const char *dump(unsigned n)
{
	static char out[2048];
	const struct ram none = RAM_EMPTY;
	size_t len;

	wrap_fail_named("ioctl", n, EIO);
	len = vcpu_dump(&vcpu, &none, out, sizeof(out));
	assert_int_equal(len, strlen(out));
	return out;
}

static void test_dump(void **state)
{
	(void)state;
	assert_non_null(strstr(dump(0), "\nrip 0"));
	assert_non_null(strstr(dump(0), "\ncode at rip: not readable\n"));
	assert_string_equal(dump(1), "vCPU 5: registers not readable\n");
	assert_string_equal(dump(2), "vCPU 5: registers not readable\n");
	assert_non_null(strstr(dump(3), "\ncode at rip: not readable\n"));
}

/* --- the report --- */

static uint8_t port_byte;

static void count_up(void *to, uint16_t port, bool write, void *data, unsigned size)
{
	(void)to;
	(void)port;
	assert_int_equal(size, 1);
	if (!write)
		*(uint8_t *)data = port_byte++;
}

static void answer_memory(void *to, uint64_t gpa, bool write, void *data, unsigned size)
{
	(void)to;
	(void)gpa;
	if (!write)
		memset(data, 0x5a, size);
}

/* Reads of a port, one write to it, accesses to memory, and a triple fault. */
static void last_exits(struct kvm_run *run, unsigned n)
{
	uint8_t *data = (uint8_t *)run + 2048;

	run->exit_reason = n < 20 ? KVM_EXIT_IO : n < 22 ? KVM_EXIT_MMIO : KVM_EXIT_SHUTDOWN;
	if (n < 20) {
		run->io.data_offset = 2048;
		run->io.port = 0x3f8;
		run->io.size = 1;
		run->io.count = n == 19 ? 3 : 1;
		run->io.direction = n == 19 ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
		memcpy(data, "\x41\x42\x43", 3);
	} else if (n < 22) {
		run->mmio.phys_addr = 0xfee00020;
		run->mmio.len = 4;
		run->mmio.is_write = n == 21;
		memcpy(run->mmio.data, "\x78\x56\x34\x12", 4);
	}
}

/* The report with its nth call failing; 0: none. The caller frees it. */
static char *describe(unsigned n)
{
	const struct ram none = RAM_EMPTY;
	size_t len = 0;
	char *text = NULL;
	FILE *to;

	wrap_reset();
	wrap_ioctl(played);
	to = open_memstream(&text, &len);
	assert_non_null(to);
	wrap_fail_named("ioctl", n, EIO);
	vcpu_describe(&vcpu, &none, to);
	wrap_fail_named("ioctl", 0, 0);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void expect_report(unsigned n, const char *words)
{
	char *text = describe(n);

	if (!strstr(text, words))
		fail_msg("\"%s\" does not say \"%s\"", text, words);
	free(text);
}

static void test_report(void **state)
{
	static const struct vcpu_bus bus = { .pio = count_up, .mmio = answer_memory };
	struct vcpu_state values;

	(void)state;
	expect_report(0, "\n0 exits\n");
	port_byte = 0;
	host.exits = last_exits;
	assert_int_equal(vcpu_run(&vcpu, &bus, &err), VCPU_TRIPLE_FAULT);
	/* The last 16 of 22, and a read has the value that the device gave. */
	expect_report(0, "22 exits, of them the last, oldest first:\n"
			 "  port read 0x3f8 size 1 value 0x6\n"
			 "  port read 0x3f8 size 1 value 0x7\n");
	expect_report(0, "value 0x11\n"
			 "  port write 0x3f8 size 1 value 0x41, the first of 3\n"
			 "  memory read 0xfee00020 size 4 value 0x5a5a5a5a\n"
			 "  memory write 0xfee00020 size 4 value 0x12345678\n"
			 "  triple fault\n");

	host.regs.rip = 0xffffffff81000123;
	host.sregs.cr3 = 0x1234000;
	host.sregs.tr = (struct kvm_segment){ .base = 0xfffffe0000003000,
					      .limit = 0x4087,
					      .selector = 0x40,
					      .type = 11,
					      .present = 1 };
	host.mp_state = KVM_MP_STATE_HALTED;
	expect_report(0, "vCPU 5: exit reason 8\nrip ffffffff81000123 ");
	expect_report(0, "cr3 0000000001234000");
	expect_report(0, "\ntr  0040 base fffffe0000003000 limit 00004087 type b dpl 0\n");
	expect_report(0,
		      "\nldt 0000 base 0000000000000000 limit 00000000 type 0 dpl 0 not present\n");
	expect_report(0, "\nhalted, interrupts off\n");
	host.regs.rflags = VCPU_RFLAGS_IF;
	host.nmi_waits = true;
	expect_report(0, "\nhalted, interrupts on, an NMI waits\n");
	host.mp_state = KVM_MP_STATE_UNINITIALIZED;
	expect_report(0, "\nwaiting for a start-up IPI, interrupts on");
	host.mp_state = KVM_MP_STATE_RUNNABLE;
	expect_report(0, "\nrunning, interrupts on");

	/* What KVM does not say: registers, translation, segments, activity, events. */
	expect_report(1, "vCPU 5: registers not readable\ncs ");
	expect_report(4, "code at rip: not readable\nrunning, ");
	expect_report(6, "\nwhether it was halted is not known\n22 exits");
	expect_report(8, "\nrunning, interrupts on\n22 exits");
	wrap_fail_named("ioctl", 2, EIO);
	assert_int_equal(vcpu_get_state(&vcpu, &values, &err), -EIO);
	wrap_assert_says(&err, "cannot read the system registers of vCPU 5: ");
}

/* --- halted CPUs --- */

/* What the vCPU's thread answers when it is asked to look. */
static void expect_look(bool slept, bool died)
{
	host.run_error = EINTR; /* the signal */
	vcpu.look = vcpu.stop = true;
	assert_int_equal(run_once(), VCPU_STOPPED);
	assert_false(vcpu.look);
	assert_int_equal(vcpu_was_idle(&vcpu), slept);
	assert_int_equal(vcpu_died(&vcpu), died);
	assert_false(vcpu_was_idle(&vcpu)); /* it is told once */
	assert_false(vcpu_died(&vcpu));
}

static void test_looks(void **state)
{
	(void)state;
	host.mp_state = KVM_MP_STATE_HALTED;
	host.regs.rflags = VCPU_RFLAGS_IF;
	expect_look(true, false);
	host.regs.rflags = 0;
	expect_look(false, true);
	host.nmi_waits = true;
	expect_look(false, false);
	host.nmi_waits = false;
	host.mp_state = KVM_MP_STATE_UNINITIALIZED;
	expect_look(false, true);
	host.mp_state = KVM_MP_STATE_INIT_RECEIVED;
	expect_look(false, true);
	host.mp_state = KVM_MP_STATE_RUNNABLE;
	expect_look(false, false);
	/* The last answer counts. */
	vcpu.died = true;
	expect_look(false, false);
}

/* --- host_try_kvm, host_probe --- */

/* The played KVM ends the guest at once, so the answer is that it does not execute. */
static int try_attempt(void *to, struct err *e)
{
	(void)to;
	host.nr_slots = 0;
	return host_try_kvm(e) == HOST_KVM_NONE ? -EIO : 0;
}

static void test_try(void **state)
{
	const struct wrap_harmless harmless[] = {
		without[0],
		without[1],
		without[2],
		without[3],
		without[4],
		without[5],
		without[6],
		without[7],
		{ { .name = "madvise" }, 0, "advice" },
		{ { .name = "sigaction" }, 0, "cannot fail with these arguments" },
		{ { "ioctl", KVM_RUN, 0 }, EINTR, "tried again" },
		{ { 0 }, 0, NULL },
	};

	(void)state;
	host.first_exit.exit_reason = KVM_EXIT_INTERNAL_ERROR;
	host.first_exit.internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	assert_int_equal(host_try_kvm(&err), HOST_KVM_EMULATES);
	wrap_sweep(try_attempt, NULL, ENOMEM, harmless);
	wrap_sweep(try_attempt, NULL, EIO, harmless);
	wrap_sweep(try_attempt, NULL, EINTR, harmless);
	/* A KVM that fails otherwise is no emulator: its own sentence stands. */
	host.first_exit.exit_reason = KVM_EXIT_FAIL_ENTRY;
	assert_int_equal(host_try_kvm(&err), HOST_KVM_NONE);
	wrap_assert_says(&err, "refused to enter the guest");
}

/* Probing goes on without KVM's word. */
static void probe(void)
{
	struct host_facts facts;

	host_probe(&facts);
	assert_true(facts.phys_bits >= 36);
	assert_int_equal(facts.guest_phys_bits, 0);
}

static void test_probe(void **state)
{
	struct wrap_held before = wrap_held();
	unsigned n;

	(void)state;
	wrap_count();
	probe();
	n = wrap_calls(); /* none where nothing but CPUID has to be asked */
	for (unsigned i = 1; i <= n; i++) {
		wrap_fail_at(i, ENOMEM);
		probe();
		wrap_assert_released(before, "host_probe");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_cpuid, play),
		cmocka_unit_test_setup(test_open, play),
		cmocka_unit_test_setup(test_old_kvm, play),
		cmocka_unit_test_setup(test_lesser_kvm, play),
		cmocka_unit_test_setup(test_slots, play),
		cmocka_unit_test_setup(test_slots_refused, play),
		cmocka_unit_test_setup(test_slot_stays, play),
		cmocka_unit_test_setup(test_too_many_slots, play),
		cmocka_unit_test_setup(test_ranges, play),
		cmocka_unit_test_setup(test_maps, play),
		cmocka_unit_test_setup(test_vfio, play),
		cmocka_unit_test_setup(test_vcpu, play),
		cmocka_unit_test_setup(test_clock, play),
		cmocka_unit_test_setup(test_wide_ids, play),
		cmocka_unit_test_setup_teardown(test_exits, make_vcpu, unmake_vcpu),
		cmocka_unit_test_setup_teardown(test_run_fails, make_vcpu, unmake_vcpu),
		cmocka_unit_test_setup_teardown(test_run_again, make_vcpu, unmake_vcpu),
		cmocka_unit_test_setup_teardown(test_bad_memory, make_vcpu, unmake_vcpu),
		cmocka_unit_test_setup_teardown(test_no_memory, make_vcpu, unmake_vcpu),
		cmocka_unit_test_setup_teardown(test_dump, make_vcpu, unmake_vcpu),
		cmocka_unit_test_setup_teardown(test_report, make_vcpu, unmake_vcpu),
		cmocka_unit_test_setup_teardown(test_looks, make_vcpu, unmake_vcpu),
		cmocka_unit_test_setup(test_try, play),
		cmocka_unit_test_setup(test_probe, play),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
