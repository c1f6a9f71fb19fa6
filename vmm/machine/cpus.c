#include "vmm/machine/internal.h"

#include "vmm/host/supported_cpuid.h"
#include "vmm/host/thread.h"
#include "vmm/host/vcpu_state.h"
#include "vmm/plan/topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- exits --- */

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

static void cpu_eoi(void *to, uint8_t vector)
{
	struct machine *m = to;

	machine_interrupts_eoi(&m->interrupts, vector);
}

/* --- create --- */

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

int machine_cpus_create(struct machine *m, struct err *err)
{
	unsigned n = m->parts.plan->cpus;
	const struct kvm_cpuid2 *supported;
	struct kvm_cpuid2 *cpuid;
	int ret;

	ret = supported_cpuid(&m->kvm, &supported, err);
	if (ret < 0)
		return ret;
	m->cpus = calloc(n, sizeof(*m->cpus));
	cpuid = calloc(1, sizeof(*cpuid) +
				  (supported->nent + CPUID_EXTRA) * sizeof(cpuid->entries[0]));
	if (!m->cpus || !cpuid) {
		ret = err_sys(err, ENOMEM, "out of memory for %u vCPUs", n);
		goto out;
	}
	m->cpuid.tsc_deadline = m->kvm.tsc_deadline;
	m->cpuid.machine_check = m->kvm.mce_caps != 0;
	m->cpuid.wide_messages = m->kvm.split;
	while (ret == 0 && m->nr_cpus < n)
		ret = create_cpu(m, supported, cpuid, err);
out:
	free(cpuid);
	return ret;
}

/* --- run --- */

static void report_stop(struct machine *m, struct vcpu *v, enum machine_end end,
			const struct err *err)
{
	char report[sizeof(m->report)];
	size_t len = (size_t)snprintf(report, sizeof(report), "%s", err->text);

	if (end != MACHINE_HOST_ERROR) {
		report[len++] = '\n';
		vcpu_dump(v, m->parts.ram, report + len, sizeof(report) - len);
	}
	machine_end(m, end, 0, report);
}

/* The set has been tried before (vm_affinity()); a CPU may have gone offline since. */
static void run_where_asked(struct machine *m, unsigned cpu)
{
	const struct host_cpus *set = m->parts.affinity ? &m->parts.affinity[cpu] : NULL;
	char sentence[128];

	if (!set || host_cpus_none(set) || cpus_run_on(set) == 0)
		return;
	snprintf(sentence, sizeof(sentence),
		 "vCPU %u cannot run where --cpu-affinity says, and runs on other CPUs", cpu);
	m->parts.say(m->parts.to, sentence);
}

static void *cpu_thread(void *arg)
{
	struct machine_cpu *cpu = arg;
	struct machine *m = cpu->machine;
	const struct vcpu_bus bus = { cpu_pio, cpu_mmio, cpu_poisoned, cpu_eoi, m };
	struct err err = { "" };
	char name[16];

	snprintf(name, sizeof(name), "cpu%u", (unsigned)(cpu - m->cpus));
	thread_name(name);
	run_where_asked(m, (unsigned)(cpu - m->cpus));
	__atomic_store_n(&cpu->tid, gettid(), __ATOMIC_RELEASE);
	switch (vcpu_run(&cpu->vcpu, &bus, &err)) {
	case VCPU_STOPPED:
		break;
	case VCPU_POWEROFF:
		machine_end(m, MACHINE_POWEROFF, 0, "");
		break;
	case VCPU_RESET:
		machine_end(m, MACHINE_RESET, 0, "");
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

int machine_cpus_start(struct machine *m, struct err *err)
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

void machine_cpus_stop(struct machine *m)
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

bool machine_poll_idle(struct machine *m)
{
	bool any = false;

	for (unsigned i = 0; i < m->nr_cpus; i++) {
		struct machine_cpu *cpu = &m->cpus[i];

		any |= vcpu_was_idle(&cpu->vcpu);
		if (cpu->has_thread)
			vcpu_poll_idle(&cpu->vcpu, cpu->thread);
	}
	return any;
}

bool machine_is_busy(struct machine *m, unsigned ms)
{
	bool busy = false;

	for (unsigned i = 0; i < m->nr_cpus; i++) {
		struct machine_cpu *cpu = &m->cpus[i];
		uint64_t now = cpu->has_thread ? thread_cpu_time(cpu->thread) : 0;

		busy |= now > cpu->cpu_time && now - cpu->cpu_time > ms * UINT64_C(1000000);
		cpu->cpu_time = now;
	}
	return busy;
}

bool machine_poll_dead(struct machine *m)
{
	bool all = m->nr_cpus;

	for (unsigned i = 0; i < m->nr_cpus; i++) {
		struct machine_cpu *cpu = &m->cpus[i];

		all &= vcpu_died(&cpu->vcpu);
		if (cpu->has_thread)
			vcpu_poll_idle(&cpu->vcpu, cpu->thread);
	}
	return all;
}

bool machine_is_dead(const struct machine *m)
{
	for (unsigned i = 0; i < m->nr_cpus; i++)
		if (!vcpu_is_dead(&m->cpus[i].vcpu))
			return false;
	return m->nr_cpus;
}

void machine_describe_cpu(const struct machine *m, unsigned i, FILE *to)
{
	vcpu_describe(&m->cpus[i].vcpu, m->parts.ram, to);
}

void machine_describe(const struct machine *m, FILE *to)
{
	for (unsigned i = 0; i < m->nr_cpus; i++) {
		machine_describe_cpu(m, i, to);
		fprintf(to, "\n");
	}
}

void machine_cpus_destroy(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_cpus; i++)
		vcpu_destroy(&m->cpus[i].vcpu);
	free(m->cpus);
	m->cpus = NULL;
	m->nr_cpus = 0;
}
