#include "vmm/machine/machine.h"

#include "firmware/restart.h"
#include "vmm/base/platform.h"
#include "vmm/host/supported_cpuid.h"
#include "vmm/plan/cpuid.h"
#include "vmm/plan/topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the end: whoever comes first --- */

static void end_machine(struct machine *m, enum machine_end end, unsigned value, const char *report)
{
	bool resets;

	pthread_mutex_lock(&m->lock);
	resets = m->end == MACHINE_RESET || m->end == MACHINE_TRIPLE_FAULT;
	/* After a reset the guest would go on, against the user's wish or without its host. */
	if (m->end == MACHINE_RUNNING ||
	    (resets && (end == MACHINE_STOPPED || end == MACHINE_HOST_ERROR))) {
		m->end = end;
		m->value = value;
		snprintf(m->report, sizeof(m->report), "%s", report);
	}
	pthread_mutex_unlock(&m->lock);
	loop_stop(m->parts.loop);
}

static void device_ends(void *to, enum device_end why, unsigned value)
{
	switch (why) {
	case DEVICE_END_POWEROFF:
		end_machine(to, MACHINE_POWEROFF, 0, "");
		break;
	case DEVICE_END_RESET:
		end_machine(to, MACHINE_RESET, 0, "");
		break;
	case DEVICE_END_PANIC:
		end_machine(to, MACHINE_PANIC, 0, "");
		break;
	case DEVICE_END_CRASH_LOADED:
		/* The guest's crash kernel goes on; its end is the end. */
		__atomic_store_n(&((struct machine *)to)->crash_loaded, true, __ATOMIC_RELEASE);
		break;
	case DEVICE_END_DEBUG_EXIT:
		end_machine(to, MACHINE_DEBUG_EXIT, value, "");
		break;
	}
}

void machine_stop(struct machine *m)
{
	end_machine(m, MACHINE_STOPPED, 0, "");
	machine_virtio_hurry(&m->virtio);
}

void machine_fail(struct machine *m, const char *sentence)
{
	end_machine(m, MACHINE_HOST_ERROR, 0, sentence);
	machine_virtio_hurry(&m->virtio);
}

void machine_panicked(struct machine *m)
{
	end_machine(m, MACHINE_PANIC, 0, "");
}

bool machine_crash_is_loaded(const struct machine *m)
{
	return __atomic_load_n(&m->crash_loaded, __ATOMIC_ACQUIRE);
}

bool machine_look_for_sleepers(struct machine *m)
{
	bool any = false;

	for (unsigned i = 0; i < m->nr_cpus; i++) {
		struct machine_cpu *cpu = &m->cpus[i];

		any |= vcpu_slept(&cpu->vcpu);
		if (cpu->has_thread)
			vcpu_look(&cpu->vcpu, cpu->thread);
	}
	return any;
}

bool machine_is_dead(const struct machine *m)
{
	for (unsigned i = 0; i < m->nr_cpus; i++)
		if (!vcpu_is_dead(&m->cpus[i].vcpu))
			return false;
	return m->nr_cpus;
}

void machine_power_button(struct machine *m)
{
	pm_power_button(&m->devices.pm);
}

/* --- guest memory: tables, kernel, initrd --- */

static int write_acpi(struct machine *m, struct err *err)
{
	const size_t cap = ACPI_RSDP - ACPI_BASE;
	size_t len;

	return acpi_build(m->parts.plan, ACPI_BASE, ram_at(m->parts.ram, ACPI_BASE, cap), cap, &len,
			  ram_at(m->parts.ram, ACPI_RSDP, ACPI_RSDP_SIZE), err);
}

static void write_restart(struct machine *m)
{
	static_assert(ACPI_RSDP + ACPI_RSDP_SIZE <= BIOS_ENTRY, "the root pointer ends before");
	restart_code(ram_at(m->parts.ram, BIOS_ENTRY, RESTART_SIZE));
}

static int copy_place(struct machine *m, const struct boot_place *place, const uint8_t *scratch,
		      struct err *err)
{
	uint8_t *to;

	if (!place->len && !place->zeroes)
		return 0;
	to = ram_at(m->parts.ram, place->gpa, place->len + place->zeroes);
	if (!to)
		return err_set(err, EFAULT, "the %s at %#llx lies outside of guest RAM",
			       place->what, (unsigned long long)place->gpa);
	if (!m->parts.ram->fresh)
		memset(to + place->len, 0, place->zeroes);
	switch (place->from) {
	case BOOT_FROM_KERNEL:
		return image_read(m->parts.kernel, place->offset, to, place->len, err);
	case BOOT_FROM_INITRD:
		return images_read(m->parts.initrd, place->offset, to, place->len, err);
	case BOOT_FROM_DATA:
		memcpy(to, scratch + place->offset, place->len);
		break;
	}
	return 0;
}

static int write_boot(struct machine *m, struct entry_cpu *cpu, struct err *err)
{
	struct e820_entry e820[PLAN_LIST_MAX];
	uint8_t *scratch = calloc(1, BOOT_SCRATCH_SIZE);
	struct boot_request req = {
		.e820 = e820,
		.nr_e820 = plan_e820(m->parts.plan, e820, PLAN_LIST_MAX),
		.kernel = m->parts.boot_kernel,
		.initrd_size = m->parts.initrd->len,
		.cmdline = m->parts.append,
		.rsdp = ACPI_RSDP,
		.scratch = scratch,
		.scratch_size = BOOT_SCRATCH_SIZE,
	};
	struct boot boot;
	int ret;

	if (!scratch)
		return err_sys(err, ENOMEM, "cannot build the boot data");
	ret = boot_build(&boot, &req, err);
	for (unsigned i = 0; ret == 0 && i < boot.nr_places; i++)
		ret = copy_place(m, &boot.places[i], scratch, err);
	if (ret == 0)
		*cpu = boot.cpu;
	free(scratch);
	return ret;
}

/* --- devices --- */

static void machine_console_quit(void *to)
{
	machine_stop(to);
}

static int machine_create_devices(struct machine *m, struct err *err)
{
	const struct machine_devices_parts parts = {
		.plan = m->parts.plan,
		.kvm = &m->kvm,
		.ports = &m->ports,
		.loop = m->parts.loop,
		.console = m->parts.console,
		.has_debug_exit = m->parts.has_debug_exit,
		.debug_exit_port = m->parts.debug_exit_port,
		.ender = { device_ends, m },
		.quit = machine_console_quit,
		.to = m,
	};

	return machine_devices_create(&m->devices, &parts, err);
}

static void pci_says(void *to, const char *sentence)
{
	struct machine *m = to;

	m->parts.say(m->parts.to, sentence);
}

static void pci_fails(void *to, const char *sentence)
{
	end_machine(to, MACHINE_HOST_ERROR, 0, sentence);
}

static int create_pci(struct machine *m, struct err *err)
{
	const struct machine_pci_parts parts = {
		.plan = m->parts.plan,
		.kvm = &m->kvm,
		.ports = &m->ports,
		.memory = &m->memory,
		.at_cf9 = &m->devices.reset.dev,
		.loop = m->parts.loop,
		.passthrough = m->parts.passthrough,
		.say = pci_says,
		.fail = pci_fails,
		.to = m,
	};

	return machine_pci_create(&m->pci, &parts, err);
}

static void guest_memory(void *to, const uint64_t *numbers)
{
	const struct machine *m = to;

	m->parts.memory(m->parts.to, numbers);
}

static int create_virtio(struct machine *m, struct err *err)
{
	const struct machine_virtio_parts parts = {
		.plan = m->parts.plan,
		.ram = m->parts.ram,
		.guest_ram = m->parts.guest_ram,
		.pci = &m->pci,
		.loop = m->parts.loop,
		.backends = m->parts.backends,
		.console = m->parts.virtio_console,
		.quit = machine_console_quit,
		.memory = guest_memory,
		.to = m,
	};

	return machine_virtio_create(&m->virtio, &parts, err);
}

/* --- CPUs --- */

static void note_unclaimed(struct machine *m, uint64_t at, unsigned size, bool write, bool port)
{
	if (__atomic_fetch_add(&m->unclaimed, 1, __ATOMIC_RELAXED) == 0)
		m->first_unclaimed = (struct machine_access){ at, size, write, port };
}

static void cpu_pio(void *to, uint16_t port, bool write, void *data, unsigned size)
{
	struct machine *m = to;
	bool claimed = write ? bus_write(&m->ports, port, size, data)
			     : bus_read(&m->ports, port, size, data);

	if (!claimed)
		note_unclaimed(m, port, size, write, true);
}

static void cpu_mmio(void *to, uint64_t gpa, bool write, void *data, unsigned size)
{
	struct machine *m = to;
	bool claimed = write ? bus_write(&m->memory, gpa, size, data)
			     : bus_read(&m->memory, gpa, size, data);

	if (!claimed)
		note_unclaimed(m, gpa, size, write, false);
}

static void cpu_poisoned(void *to, uint64_t gpa)
{
	struct machine *m = to;
	char sentence[256];

	snprintf(sentence, sizeof(sentence),
		 "the host's memory has an error that its hardware cannot correct, at guest "
		 "address %#llx; the guest gets a machine check",
		 (unsigned long long)gpa);
	m->parts.say(m->parts.to, sentence);
}

static struct kvm_segment segment(const struct entry_segment *s)
{
	return (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->type,
		.present = 1,
		.s = !s->system,
		.db = s->db,
		.l = s->l,
		.g = s->g,
	};
}

static int set_entry(struct machine *m, const struct entry_cpu *cpu, struct err *err)
{
	struct vcpu_entry entry = {
		.rip = cpu->rip,
		.rflags = cpu->rflags,
		.rsi = cpu->rsi,
		.rbx = cpu->rbx,
		.cr0 = cpu->cr0,
		.cr3 = cpu->cr3,
		.cr4 = cpu->cr4,
		.efer = cpu->efer,
		.gdt_base = cpu->gdt,
		.gdt_limit = ENTRY_GDT_SIZE - 1,
		.code = segment(&cpu->code),
		.data = segment(&cpu->data),
		.task = segment(&cpu->task),
	};

	return vcpu_set_entry(&m->cpus[0].vcpu, &entry, err);
}

static int create_cpu(struct machine *m, const struct kvm_cpuid2 *supported,
		      struct kvm_cpuid2 *cpuid, struct err *err)
{
	struct machine_cpu *cpu = &m->cpus[m->nr_cpus];
	uint32_t apic_id = topology_apic_id(m->parts.plan, m->nr_cpus);
	int ret = vcpu_create(&cpu->vcpu, &m->kvm, m->nr_cpus, apic_id, err);

	if (ret < 0)
		return ret;
	if (m->nr_cpus == 0)
		m->cpuid.tsc_khz = vcpu_tsc_khz(&cpu->vcpu);
	cpuid->nent = cpuid_build(cpuid->entries, supported, m->parts.plan, m->nr_cpus, &m->cpuid);
	cpu->machine = m;
	m->nr_cpus++;
	return vcpu_set_cpuid(&cpu->vcpu, cpuid, err);
}

static int create_cpus(struct machine *m, struct err *err)
{
	unsigned n = m->parts.plan->cpus;
	const struct kvm_cpuid2 *supported;
	struct kvm_cpuid2 *cpuid;
	int ret;

	if (n > m->kvm.max_cpus)
		return err_set(err, ERANGE, "--cpus %u: this host's KVM allows at most %u", n,
			       m->kvm.max_cpus);
	if (topology_apic_id(m->parts.plan, n - 1) >= 255 && !m->kvm.x2apic_ids)
		return err_set(
			err, ERANGE,
			"--cpus %u: this host's KVM has no APIC IDs past 254; use fewer CPUs", n);
	ret = supported_cpuid(&m->kvm, &supported, err);
	if (ret < 0)
		return ret;
	m->cpus = calloc(n, sizeof(*m->cpus));
	cpuid = calloc(1, sizeof(*cpuid) +
				  (supported->nent + CPUID_EXTRA) * sizeof(cpuid->entries[0]));
	if (!m->cpus || !cpuid)
		ret = err_sys(err, ENOMEM, "cannot list %u vCPUs", n);
	m->cpuid.tsc_deadline = m->kvm.tsc_deadline;
	m->cpuid.machine_check = m->kvm.mce_caps != 0;
	while (ret == 0 && m->nr_cpus < n)
		ret = create_cpu(m, supported, cpuid, err);
	free(cpuid);
	return ret;
}

/* --- create, run, destroy --- */

int machine_create(struct machine *m, const struct machine_parts *parts, struct err *err)
{
	struct entry_cpu entry = { 0 };
	int ret;

	memset(m, 0, offsetof(struct machine, ports));
	bus_init(&m->ports);
	bus_init(&m->memory);
	m->parts = *parts;
	m->kvm = (struct kvm)KVM_EMPTY;
	m->pci = (struct machine_pci)MACHINE_PCI_EMPTY;
	m->devices = (struct machine_devices)MACHINE_DEVICES_EMPTY;
	m->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	ret = kvm_open(&m->kvm, err);
	if (ret == 0)
		ret = kvm_create_vm(&m->kvm, err);
	if (ret == 0)
		ret = kvm_add_ram(&m->kvm, parts->guest_ram, err);
	if (ret == 0)
		ret = kvm_create_irqchip(&m->kvm, err);
	if (ret == 0)
		ret = write_acpi(m, err);
	if (ret == 0) {
		write_restart(m);
		ret = write_boot(m, &entry, err);
	}
	if (ret == 0)
		ret = machine_create_devices(m, err);
	if (ret == 0)
		ret = create_pci(m, err);
	if (ret == 0)
		ret = create_virtio(m, err);
	if (ret == 0)
		ret = machine_devices_add_watchdog(&m->devices, &m->pci, err);
	if (ret == 0)
		ret = create_cpus(m, err);
	if (ret == 0)
		ret = set_entry(m, &entry, err);
	if (ret == 0)
		machine_devices_attach(&m->devices);
	else
		machine_destroy(m);
	return ret;
}

static void report_stop(struct machine *m, struct vcpu *v, enum machine_end end,
			const struct err *err)
{
	char report[sizeof(m->report)];
	size_t len = (size_t)snprintf(report, sizeof(report), "%s", err->text);

	if (end != MACHINE_HOST_ERROR) {
		report[len++] = '\n';
		vcpu_dump(v, m->parts.ram, report + len, sizeof(report) - len);
	}
	end_machine(m, end, 0, report);
}

static void *cpu_thread(void *arg)
{
	struct machine_cpu *cpu = arg;
	struct machine *m = cpu->machine;
	const struct vcpu_bus bus = { cpu_pio, cpu_mmio, cpu_poisoned, m };
	struct err err = { "" };
	char name[16];

	snprintf(name, sizeof(name), "cpu%u", (unsigned)(cpu - m->cpus));
	thread_name(name);
	switch (vcpu_run(&cpu->vcpu, &bus, &err)) {
	case VCPU_STOPPED:
		break;
	case VCPU_POWEROFF:
		end_machine(m, MACHINE_POWEROFF, 0, "");
		break;
	case VCPU_RESET:
		end_machine(m, MACHINE_RESET, 0, "");
		break;
	case VCPU_TRIPLE_FAULT:
		report_stop(m, &cpu->vcpu, MACHINE_TRIPLE_FAULT, &err);
		break;
	case VCPU_EMULATION:
	case VCPU_CRASHED:
	case VCPU_KVM_ERROR:
		report_stop(m, &cpu->vcpu, MACHINE_CRASH, &err);
		break;
	case VCPU_HOST_ERROR:
		report_stop(m, &cpu->vcpu, MACHINE_HOST_ERROR, &err);
		break;
	}
	return NULL;
}

static int start_cpus(struct machine *m, struct err *err)
{
	for (unsigned i = 0; i < m->nr_cpus; i++) {
		int code = thread_start(&m->cpus[i].thread, THREAD_VCPU, NULL, cpu_thread,
					&m->cpus[i]);

		if (code)
			return err_sys(err, code, "cannot start the thread of vCPU %u", i);
		m->cpus[i].has_thread = true;
	}
	return 0;
}

static void stop_cpus(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_cpus; i++)
		if (m->cpus[i].has_thread)
			vcpu_kick(&m->cpus[i].vcpu, m->cpus[i].thread);
	for (unsigned i = 0; i < m->nr_cpus; i++) {
		if (m->cpus[i].has_thread)
			pthread_join(m->cpus[i].thread, NULL);
		m->cpus[i].has_thread = false;
	}
}

enum machine_end machine_run(struct machine *m, struct err *err)
{
	int ret = start_cpus(m, err);

	if (ret == 0)
		ret = loop_run(m->parts.loop, err);
	machine_leave_start(&m->leave, &m->parts.leaver, m->parts.backends);
	stop_cpus(m);
	loop_rearm(m->parts.loop);
	if (ret < 0)
		return MACHINE_HOST_ERROR;
	if (m->end == MACHINE_HOST_ERROR)
		err_set(err, EIO, "%s", m->report);
	/* The loop stops without an end only when the console's output failed. */
	if (m->end == MACHINE_RUNNING && console_error(m->parts.console, err) < 0)
		return MACHINE_HOST_ERROR;
	return m->end;
}

void machine_destroy(struct machine *m)
{
	stop_cpus(m);
	for (unsigned i = 0; i < m->nr_cpus; i++)
		vcpu_destroy(&m->cpus[i].vcpu);
	free(m->cpus);
	m->cpus = NULL;
	m->nr_cpus = 0;
	machine_devices_destroy(&m->devices);
	machine_virtio_destroy(&m->virtio);
	machine_pci_destroy(&m->pci);
	kvm_close(&m->kvm);
	machine_leave_stop(&m->leave);
}
