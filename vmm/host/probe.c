#include "vmm/host/probe.h"

#include "vmm/host/kvm.h"
#include "vmm/host/supported_cpuid.h"
#include "vmm/host/ram.h"
#include "vmm/host/vcpu.h"

#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

/* AMD APM volume 3, appendix E: leaves 0, 1, 8000_0000, 8000_0008. */
static void probe_cpu(struct host_facts *f, unsigned *max_extended)
{
	unsigned eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	f->vendor = host_vendor_of(ebx, ecx, edx);
	__cpuid(1, eax, ebx, ecx, edx);
	f->family = (eax >> 8) & 0xf;
	if (f->family == 0xf)
		f->family += (eax >> 20) & 0xff;

	f->phys_bits = 36; /* what every x86-64 CPU has at least */
	__cpuid(0x80000000, *max_extended, ebx, ecx, edx);
	if (*max_extended >= 0x80000008) {
		__cpuid(0x80000008, eax, ebx, ecx, edx);
		f->phys_bits = eax & 0xff;
	}
}

/*
 * Memory encryption takes address bits while it is on. Only the kernel can see whether it is (an
 * MSR). The width in /proc/cpuinfo is what is left; CPUID gives the width without encryption.
 */
static void probe_mem_encrypt(struct host_facts *f, unsigned max_extended)
{
	unsigned eax, ebx, ecx, edx, bits;
	char line[4096];
	FILE *cpuinfo;

	if (max_extended < 0x8000001f)
		return;
	__cpuid(0x8000001f, eax, ebx, ecx, edx);
	if (!(eax & 1)) /* no SME */
		return;
	cpuinfo = fopen("/proc/cpuinfo", "re");
	if (!cpuinfo)
		return;
	while (fgets(line, sizeof(line), cpuinfo)) {
		if (sscanf(line, "address sizes : %u bits physical", &bits) != 1)
			continue;
		if (bits && bits < f->phys_bits)
			f->mem_encrypt_bits = f->phys_bits - bits;
		break;
	}
	fclose(cpuinfo);
}

/*
 * Asks KVM how wide an address its nested page tables can map. Four levels map 48 bits, so it is
 * asked only on CPUs of more bits, because the call takes time.
 */
static void probe_guest_bits(struct host_facts *f)
{
	const struct kvm_cpuid2 *cpuid;
	struct kvm kvm;

	if (f->phys_bits <= 48 || kvm_open(&kvm, NULL) < 0)
		return;
	if (supported_cpuid(&kvm, &cpuid, NULL) == 0)
		for (unsigned i = 0; i < cpuid->nent; i++)
			if (cpuid->entries[i].function == 0x80000008)
				f->guest_phys_bits = (cpuid->entries[i].eax >> 16) & 0xff;
	kvm_close(&kvm);
}

void host_probe(struct host_facts *facts)
{
	unsigned max_extended;

	*facts = (struct host_facts){ 0 };
	probe_cpu(facts, &max_extended);
	if (host_vendor_is_amd(facts->vendor))
		probe_mem_encrypt(facts, max_extended);
	probe_guest_bits(facts);
}

/* --- does this KVM execute, or only emulate? --- */

/*
 * 32-bit protected mode, paging off. An x87 load of 1.0 is ordinary code for a CPU and beyond KVM's
 * emulator (arch/x86/kvm/emulate.c knows only fninit, fnstcw, fnstsw); then the guest writes TRY_OK
 * to TRY_PORT.
 */
#define TRY_PORT 0x80
#define TRY_OK	 0x5a
static const uint8_t try_code[] = {
	0x9b, 0xdb,	0xe3, /* finit */
	0xd9, 0xe8,	      /* fld1 */
	0xb0, TRY_OK,	      /* mov al, TRY_OK */
	0xe6, TRY_PORT,	      /* out TRY_PORT, al */
	0xeb, 0xfe,	      /* jmp . */
};
#define TRY_GPA	    0x1000
#define TRY_SECONDS 2

static struct vcpu *try_vcpu; /* for the alarm's handler */
static bool try_done;

static void try_timeout(int sig)
{
	(void)sig;
	__atomic_store_n(&try_vcpu->stop, true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&try_vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

static void try_pio(void *to, uint16_t port, bool write, void *data, unsigned size)
{
	(void)to;
	(void)size;
	if (write && port == TRY_PORT && *(uint8_t *)data == TRY_OK)
		try_done = true;
	try_timeout(0);
}

static void try_mmio(void *to, uint64_t gpa, bool write, void *data, unsigned size)
{
	(void)to;
	(void)gpa;
	if (!write)
		memset(data, 0xff, size);
}

static enum host_kvm try_run(struct vcpu *v, struct err *err)
{
	static const struct vcpu_bus bus = { .pio = try_pio, .mmio = try_mmio };
	struct sigaction action = { .sa_handler = try_timeout }, old;
	struct itimerval limit = { .it_value.tv_sec = TRY_SECONDS }, off = { 0 };
	enum vcpu_stop stop;
	sigset_t alarm;

	try_vcpu = v;
	try_done = false;
	sigaction(SIGALRM, &action, &old);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL); /* the parent may have blocked it */
	setitimer(ITIMER_REAL, &limit, NULL);
	stop = vcpu_run(v, &bus, err);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
	if (try_done && stop == VCPU_STOPPED)
		return HOST_KVM_FULL;
	if (stop != VCPU_EMULATION &&
	    stop != VCPU_STOPPED) /* stopped by the alarm: the guest ran its endless loop */
		return HOST_KVM_NONE;
	err_set(err, ENOTSUP,
		"/dev/kvm works but only emulates instructions (a nested or paravirtual KVM): "
		"stock "
		"kernels will not run here, only guests made for it; use a host with hardware "
		"virtualization");
	return HOST_KVM_EMULATES;
}

static const struct vcpu_entry try_entry = {
	.rip = TRY_GPA,
	.rflags = 2,
	.cr0 = 0x31, /* PE, ET, NE */
	.code = { .limit = ~0u, .selector = 8, .type = 0xb, .present = 1, .db = 1, .s = 1, .g = 1 },
	.data = { .limit = ~0u, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 },
	.task = { .limit = 0x67, .type = 0xb, .present = 1 },
};

enum host_kvm host_try_kvm(struct err *err)
{
	const struct ram_backing backing = { .page_size = 4 * KIB };
	struct span span = { 0, 2 * MIB };
	enum host_kvm result = HOST_KVM_NONE;
	const struct kvm_cpuid2 *cpuid;
	struct ram ram = RAM_EMPTY;
	struct kvm kvm = KVM_EMPTY;
	struct vcpu v = VCPU_EMPTY;

	if (kvm_open(&kvm, err) < 0 || kvm_create_vm(&kvm, err) < 0 ||
	    ram_create(&ram, &span, 1, &backing, err) < 0 ||
	    kvm_add_ram(&kvm, ram.blocks, err) < 0 || kvm_create_irqchip(&kvm, 0, err) < 0 ||
	    supported_cpuid(&kvm, &cpuid, err) < 0 || vcpu_create(&v, &kvm, 0, 0, err) < 0 ||
	    vcpu_set_cpuid(&v, cpuid, err) < 0 || vcpu_set_entry(&v, &try_entry, err) < 0)
		goto out;
	memcpy(ram_at(&ram, TRY_GPA, sizeof(try_code)), try_code, sizeof(try_code));
	result = try_run(&v, err);
out:
	vcpu_destroy(&v);
	kvm_close(&kvm);
	ram_destroy(&ram);
	return result;
}
