#include "vmm/host/vcpu.h"

#include "vmm/base/bytes.h"
#include "vmm/base/facts.h"
#include "vmm/base/platform.h"
#include "vmm/host/machine_check.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static_assert(sizeof(struct kvm_regs) == 144, "KVM_SET_REGS");
static_assert(sizeof(struct kvm_sregs) == 312, "KVM_SET_SREGS");

/* MSRs that firmware would have left set: Intel SDM volume 4, AMD APM volume 2. */
#define MSR_APIC_BASE		0x1b
#define MSR_MISC_ENABLE		0x1a0
#define MISC_ENABLE_FAST_STRING 1
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MTRR_ENABLE_WRITEBACK	(1 << 11 | 6)

/* IA32_APIC_BASE: Intel SDM volume 3, section 11.12.1 */
#define APIC_BOOTSTRAP (1u << 8)
#define APIC_X2APIC    (1u << 10)
#define APIC_ENABLE    (1u << 11)

/* Local APIC: Intel SDM volume 3, section 11.5.1 */
#define LAPIC_LINT0  0x350
#define LAPIC_LINT1  0x360
#define LAPIC_EXTINT 0x700
#define LAPIC_NMI    0x400

/*
 * KVM sets the MSRs of the list in order up to the first one that it refuses. MISC_ENABLE, the
 * last, exists only on Intel CPUs.
 *
 * With APIC ids past 254 firmware hands all CPUs over in x2APIC mode (Intel SDM volume 3, section
 * 11.12.8.1). In xAPIC mode Linux leaves out the CPUs with such ids when it reads the MADT
 * (acpi_parse_x2apic() in arch/x86/kernel/acpi/boot.c).
 */
static int set_msrs(const struct vcpu *v, struct err *err)
{
	union {
		struct kvm_msrs list;
		uint8_t room[sizeof(struct kvm_msrs) + 3 * sizeof(struct kvm_msr_entry)];
	} msrs = { .list.nmsrs = 0 };
	struct kvm_msr_entry *e = msrs.list.entries;
	int n = 0, ret;

	e[n++] = (struct kvm_msr_entry){
		.index = MSR_MTRR_DEF_TYPE,
		.data = MTRR_ENABLE_WRITEBACK,
	};
	if (v->x2apic)
		e[n++] = (struct kvm_msr_entry){
			.index = MSR_APIC_BASE,
			.data = LAPIC_BASE | APIC_ENABLE | APIC_X2APIC |
				(v->index == 0 ? APIC_BOOTSTRAP : 0),
		};
	e[n] = (struct kvm_msr_entry){
		.index = MSR_MISC_ENABLE,
		.data = MISC_ENABLE_FAST_STRING,
	};
	msrs.list.nmsrs = (uint32_t)n + 1;
	ret = ioctl(v->fd, KVM_SET_MSRS, &msrs);
	if (ret < 1)
		return err_sys(err, errno, "KVM refuses the MTRR default of vCPU %u", v->index);
	if (ret < n)
		return err_set(err, EINVAL, "KVM refuses the x2APIC mode of vCPU %u", v->index);
	return 0;
}

int vcpu_create(struct vcpu *v, const struct kvm *kvm, unsigned index, uint32_t apic_id,
		struct err *err)
{
	void *run;
	int ret;

	*v = (struct vcpu)VCPU_EMPTY;
	v->index = index;
	v->x2apic = kvm->split;
	v->fd = ioctl(kvm->vm, KVM_CREATE_VCPU, (unsigned long)apic_id);
	if (v->fd < 0 && errno == EINVAL && apic_id > 255)
		return err_set(
			err, EINVAL,
			"KVM refuses vCPU %u (APIC ID %u): with AMD's AVIC it takes none "
			"above 255, or 511 with x2AVIC; load kvm_amd with avic=0, or use fewer "
			"--cpus",
			index, apic_id);
	if (v->fd < 0)
		return err_sys(err, errno, "KVM refuses vCPU %u (APIC ID %u)", index, apic_id);
	run = mmap(NULL, (size_t)kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (run == MAP_FAILED) {
		ret = err_sys(err, errno, "cannot map the run area of vCPU %u", index);
		goto fail;
	}
	v->run = run;
	v->run_size = kvm->run_size;
	ret = machine_check_setup(v->fd, kvm->mce_caps, err);
	if (ret < 0)
		goto fail;
	return 0;
fail:
	vcpu_destroy(v);
	return ret;
}

uint32_t vcpu_tsc_khz(const struct vcpu *v)
{
	int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);

	return khz > 0 ? (uint32_t)khz : 0;
}

int vcpu_set_cpuid(struct vcpu *v, const struct kvm_cpuid2 *cpuid, struct err *err)
{
	for (unsigned i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 0)
			v->amd = host_vendor_is_amd(host_vendor_of(e->ebx, e->ecx, e->edx));
	}
	if (ioctl(v->fd, KVM_SET_CPUID2, cpuid) < 0)
		return err_sys(err, errno, "KVM refuses the CPUID of vCPU %u", v->index);
	return set_msrs(v, err);
}

void vcpu_destroy(struct vcpu *v)
{
	if (v->run)
		munmap(v->run, (size_t)v->run_size);
	if (v->fd >= 0)
		close(v->fd);
	*v = (struct vcpu)VCPU_EMPTY;
}

static void lapic_write(struct kvm_lapic_state *lapic, unsigned offset, uint32_t value)
{
	memcpy(lapic->regs + offset, &value, sizeof(value));
}

/*
 * The local APIC as a BIOS leaves it on the bootstrap processor: the PIC's interrupts at LINT0,
 * NMIs at LINT1 (Intel MultiProcessor Specification 1.4, section 3.6.2.2). Writing it also has KVM
 * list the APIC IDs of all vCPUs. Without that KVM makes the list when the guest first enables an
 * APIC (kvm_recalculate_apic_map() in arch/x86/kvm/lapic.c); until then the vCPU that was made last
 * is missing in the list, and an INIT sent to its ID is lost.
 */
static int set_lapic(const struct vcpu *v, struct err *err)
{
	struct kvm_lapic_state lapic;

	if (ioctl(v->fd, KVM_GET_LAPIC, &lapic) < 0)
		return err_sys(err, errno, "KVM_GET_LAPIC failed");
	lapic_write(&lapic, LAPIC_LINT0, LAPIC_EXTINT);
	lapic_write(&lapic, LAPIC_LINT1, LAPIC_NMI);
	if (ioctl(v->fd, KVM_SET_LAPIC, &lapic) < 0)
		return err_sys(err, errno, "KVM_SET_LAPIC failed");
	return 0;
}

int vcpu_set_entry(const struct vcpu *v, const struct vcpu_entry *entry, struct err *err)
{
	struct kvm_regs regs = {
		.rip = entry->rip,
		.rflags = entry->rflags,
		.rsi = entry->rsi,
		.rbx = entry->rbx,
	};
	struct kvm_sregs sregs;

	if (ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0)
		return err_sys(err, errno, "KVM_GET_SREGS failed");
	sregs.cs = entry->code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = entry->data;
	sregs.tr = entry->task;
	sregs.ldt = (struct kvm_segment){ .unusable = 1 };
	sregs.gdt = (struct kvm_dtable){ .base = entry->gdt_base, .limit = entry->gdt_limit };
	sregs.idt = (struct kvm_dtable){ 0 };
	sregs.cr0 = entry->cr0;
	sregs.cr3 = entry->cr3;
	sregs.cr4 = entry->cr4;
	sregs.efer = entry->efer;
	if (ioctl(v->fd, KVM_SET_SREGS, &sregs) < 0)
		return err_sys(err, errno, "KVM_SET_SREGS failed");
	if (ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		return err_sys(err, errno, "KVM_SET_REGS failed");
	return set_lapic(v, err);
}

/* --- running --- */

static void kick_handler(int sig)
{
	(void)sig; /* the handler exists so that KVM_RUN returns EINTR */
}

int vcpu_init_kick(struct err *err)
{
	struct sigaction action = { .sa_handler = kick_handler };
	sigset_t kick;

	if (sigaction(SIGRTMIN, &action, NULL) < 0)
		return err_sys(err, errno, "cannot handle SIGRTMIN");
	sigemptyset(&kick);
	sigaddset(&kick, SIGRTMIN);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL); /* the parent may have blocked it */
	return 0;
}

/* immediate_exit closes the window between the thread's test and its entry into KVM_RUN. */
static void vcpu_interrupt(struct vcpu *v, pthread_t thread, bool *wish)
{
	__atomic_store_n(wish, true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(thread, SIGRTMIN);
}

void vcpu_kick(struct vcpu *v, pthread_t thread)
{
	vcpu_interrupt(v, thread, &v->stop);
}

void vcpu_poll_idle(struct vcpu *v, pthread_t thread)
{
	vcpu_interrupt(v, thread, &v->look);
}

bool vcpu_was_idle(struct vcpu *v)
{
	return __atomic_exchange_n(&v->slept, false, __ATOMIC_SEQ_CST);
}

bool vcpu_died(struct vcpu *v)
{
	return __atomic_exchange_n(&v->died, false, __ATOMIC_SEQ_CST);
}

static bool interrupts_on(const struct vcpu *v)
{
	struct kvm_regs regs;

	return ioctl(v->fd, KVM_GET_REGS, &regs) == 0 && regs.rflags & VCPU_RFLAGS_IF;
}

static bool wakes_without_interrupts(const struct vcpu *v)
{
	struct kvm_vcpu_events events = { 0 };

	return ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) < 0 || events.nmi.pending ||
	       events.nmi.injected || events.smi.pending;
}

bool vcpu_is_dead(const struct vcpu *v)
{
	struct kvm_mp_state state;

	if (ioctl(v->fd, KVM_GET_MP_STATE, &state) < 0)
		return false;
	return state.mp_state == KVM_MP_STATE_UNINITIALIZED ||
	       state.mp_state == KVM_MP_STATE_INIT_RECEIVED ||
	       (state.mp_state == KVM_MP_STATE_HALTED && !interrupts_on(v) &&
		!wakes_without_interrupts(v));
}

static void vcpu_record_idle(struct vcpu *v)
{
	struct kvm_mp_state state;

	if (ioctl(v->fd, KVM_GET_MP_STATE, &state) == 0 && state.mp_state == KVM_MP_STATE_HALTED &&
	    interrupts_on(v))
		__atomic_store_n(&v->slept, true, __ATOMIC_SEQ_CST);
}

/*
 * Called after a signal. The requests of other threads are read last, because a request that comes
 * later sends another signal.
 */
static bool is_to_stop(struct vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&v->look, false, __ATOMIC_SEQ_CST)) {
		vcpu_record_idle(v);
		__atomic_store_n(&v->died, vcpu_is_dead(v), __ATOMIC_SEQ_CST);
	}
	return __atomic_load_n(&v->stop, __ATOMIC_SEQ_CST);
}

static void run_pio(struct vcpu *v, const struct vcpu_bus *bus)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
		bus->pio(bus->to, run->io.port, run->io.direction == KVM_EXIT_IO_OUT, data,
			 run->io.size);
}

/* Called when an access is done, because only then a read has its value. */
static void note_exit(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	struct vcpu_exit *e = &v->exits[v->nr_exits++ % VCPU_EXITS];

	*e = (struct vcpu_exit){ .reason = run->exit_reason };
	if (run->exit_reason == KVM_EXIT_IO) {
		e->at = run->io.port;
		e->size = run->io.size;
		e->count = run->io.count;
		e->write = run->io.direction == KVM_EXIT_IO_OUT;
		e->value = load_le((const uint8_t *)run + run->io.data_offset, run->io.size);
	} else if (run->exit_reason == KVM_EXIT_MMIO) {
		e->at = run->mmio.phys_addr;
		e->size = (uint8_t)run->mmio.len;
		e->count = 1;
		e->write = run->mmio.is_write;
		e->value = load_le(run->mmio.data, run->mmio.len);
	}
}

/*
 * Where an INIT starts the bootstrap processor, which waits for no start-up IPI (Intel SDM volume
 * 3, table 10-1). A PC's firmware starts over from there; this machine has no code there.
 */
static int is_at_reset_vector(const struct vcpu *v, struct err *err)
{
	struct kvm_sregs sregs = { 0 };
	struct kvm_regs regs = { 0 };

	if (ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0)
		return err_sys(err, errno, "KVM_GET_SREGS failed");
	if (sregs.cs.base != 0xffff0000)
		return false;
	if (ioctl(v->fd, KVM_GET_REGS, &regs) < 0)
		return err_sys(err, errno, "KVM_GET_REGS failed");
	return regs.rip == 0xfff0;
}

static enum vcpu_stop internal_error(const struct vcpu *v, struct err *err)
{
	uint32_t suberror = v->run->internal.suberror;

	if (suberror == KVM_INTERNAL_ERROR_EMULATION) {
		int reset = is_at_reset_vector(v, err);

		if (reset)
			return reset < 0 ? VCPU_HOST_ERROR : VCPU_RESET;
		err_set(err, EIO,
			"vCPU %u: KVM met an instruction that it would have to emulate and cannot; "
			"if straddle check says that this host's KVM only emulates, run stock "
			"kernels "
			"on a host with hardware virtualization",
			v->index);
		return VCPU_EMULATION;
	}
	err_set(err, EIO,
		"vCPU %u: KVM internal error %" PRIu32
		" (%#llx %#llx): KVM gave this guest up; the "
		"host's kernel log may say why",
		v->index, suberror, (unsigned long long)v->run->internal.data[0],
		(unsigned long long)v->run->internal.data[1]);
	return VCPU_KVM_ERROR;
}

static enum vcpu_stop system_event(const struct vcpu *v, struct err *err)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return VCPU_POWEROFF;
	case KVM_SYSTEM_EVENT_RESET:
		return VCPU_RESET;
	default:
		err_set(err, EIO, "vCPU %u: the guest reported a crash to KVM", v->index);
		return VCPU_CRASHED;
	}
}

/*
 * Reports a bad page that the guest touched to the guest, as a machine check. A guest that touches
 * the same page BAD_MAX times in a row has turned the bank off, and gets no more machine checks.
 */
#define BAD_MAX 16
static int take_bad(struct vcpu *v, const struct vcpu_bus *bus, struct err *err)
{
	uint64_t gpa = v->bad.gpa;

	v->bad.hit = 0;
	v->nr_bad = v->nr_bad && gpa == v->last_bad ? v->nr_bad + 1 : 1;
	v->last_bad = gpa;
	if (v->nr_bad > BAD_MAX)
		return err_set(err, EIO,
			       "vCPU %u: the host's memory is bad at guest address %#" PRIx64
			       ", and the guest takes no machine check for it",
			       v->index, gpa);
	if (v->nr_bad == 1 && bus->poisoned)
		bus->poisoned(bus->to, gpa);
	return machine_check_send(v->fd, v->amd, gpa, err);
}

static int vcpu_run_once(struct vcpu *v)
{
	int ret;

	fault_catch(&v->bad);
	ret = ioctl(v->fd, KVM_RUN, 0);
	fault_catch(NULL);
	return ret;
}

static enum vcpu_stop run_failed(const struct vcpu *v, int code, struct err *err)
{
	if (code == EFAULT && fault_explain(err))
		err_prefix(err, -code, "vCPU %u: ", v->index);
	else
		err_sys(err, code, "vCPU %u: KVM_RUN failed", v->index);
	return VCPU_HOST_ERROR;
}

enum vcpu_stop vcpu_run(struct vcpu *v, const struct vcpu_bus *bus, struct err *err)
{
	struct kvm_run *run = v->run;

	for (;;) {
		int ret = vcpu_run_once(v), code = errno;

		if (v->bad.hit && take_bad(v, bus, err) < 0)
			return VCPU_HOST_ERROR;
		if (ret < 0) {
			if (code == EAGAIN)
				continue;
			if (code != EINTR)
				return run_failed(v, code, err);
			if (is_to_stop(v))
				return VCPU_STOPPED;
			continue;
		}
		if (run->exit_reason == KVM_EXIT_IO)
			run_pio(v, bus);
		else if (run->exit_reason == KVM_EXIT_MMIO)
			bus->mmio(bus->to, run->mmio.phys_addr, run->mmio.is_write, run->mmio.data,
				  run->mmio.len);
		else if (run->exit_reason == KVM_EXIT_IOAPIC_EOI && bus->eoi)
			bus->eoi(bus->to, run->eoi.vector);
		note_exit(v);
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
		case KVM_EXIT_MMIO:
		case KVM_EXIT_INTR:
		case KVM_EXIT_IOAPIC_EOI:
			break;
		case KVM_EXIT_SHUTDOWN:
			err_set(err, EIO, "vCPU %u: triple fault", v->index);
			return VCPU_TRIPLE_FAULT;
		case KVM_EXIT_SYSTEM_EVENT:
			return system_event(v, err);
		case KVM_EXIT_INTERNAL_ERROR:
			return internal_error(v, err);
		case KVM_EXIT_FAIL_ENTRY:
			err_set(err, EIO,
				"vCPU %u: the CPU refused to enter the guest, reason %#llx",
				v->index, run->fail_entry.hardware_entry_failure_reason);
			return VCPU_KVM_ERROR;
		default:
			err_set(err, EIO, "vCPU %u: KVM exit %" PRIu32 " is not known to straddle",
				v->index, run->exit_reason);
			return VCPU_KVM_ERROR;
		}
	}
}

/* --- the register dump after a crash --- */

/* Writes the code bytes at RIP. KVM translates the address by the guest's page tables. */
static size_t dump_code(const struct vcpu *v, const struct ram *ram, uint64_t rip, char *out,
			size_t cap)
{
	struct kvm_translation tr = { .linear_address = rip };
	size_t len = (size_t)snprintf(out, cap, "code at rip:");
	const uint8_t *code;

	if (ioctl(v->fd, KVM_TRANSLATE, &tr) < 0 || !tr.valid ||
	    !(code = ram_at(ram, tr.physical_address, 1)))
		return len + (size_t)snprintf(out + len, cap - len, " not readable\n");
	for (unsigned i = 0; i < 16 && ram_at(ram, tr.physical_address + i, 1); i++)
		len += (size_t)snprintf(out + len, cap - len, " %02x", code[i]);
	return len + (size_t)snprintf(out + len, cap - len, "\n");
}

size_t vcpu_dump(const struct vcpu *v, const struct ram *ram, char *out, size_t cap)
{
	struct kvm_sregs s = { 0 };
	struct kvm_regs r = { 0 };
	size_t len;

	/* Enough for all lines below. */
	assert(cap >= 2048);
	if (ioctl(v->fd, KVM_GET_REGS, &r) < 0 || ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
		return (size_t)snprintf(out, cap, "vCPU %u: registers not readable\n", v->index);
	len = (size_t)snprintf(out, cap,
			       "vCPU %u: exit reason %" PRIu32 "\n"
			       "rip %016llx rflags %016llx cs %04x base %llx l %u db %u\n"
			       "rax %016llx rbx %016llx rcx %016llx rdx %016llx\n"
			       "rsi %016llx rdi %016llx rsp %016llx rbp %016llx\n"
			       "r8  %016llx r9  %016llx r10 %016llx r11 %016llx\n"
			       "r12 %016llx r13 %016llx r14 %016llx r15 %016llx\n"
			       "cr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx\n"
			       "efer %016llx gdt %llx+%x idt %llx+%x\n",
			       v->index, v->run->exit_reason, r.rip, r.rflags, s.cs.selector,
			       s.cs.base, s.cs.l, s.cs.db, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi,
			       r.rsp, r.rbp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15,
			       s.cr0, s.cr2, s.cr3, s.cr4, s.efer, s.gdt.base, s.gdt.limit,
			       s.idt.base, s.idt.limit);
	return len + dump_code(v, ram, s.cs.base + r.rip, out + len, cap - len);
}
