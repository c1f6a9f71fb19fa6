#include "vmm/machine/internal.h"

#include "vmm/plan/topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the end: the first cause wins --- */

void machine_end(struct machine *m, enum machine_end end, unsigned value, const char *report)
{
	bool resets;

	pthread_mutex_lock(&m->lock);
	resets = m->end == MACHINE_RESET || m->end == MACHINE_TRIPLE_FAULT;
	/*
	 * MACHINE_STOPPED and MACHINE_HOST_ERROR replace a reset, because after it the guest would
	 * go on although the user or the host ended it.
	 */
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
		machine_end(to, MACHINE_POWEROFF, 0, "");
		break;
	case DEVICE_END_RESET:
		machine_end(to, MACHINE_RESET, 0, "");
		break;
	case DEVICE_END_PANIC:
		machine_end(to, MACHINE_PANIC, 0, "");
		break;
	case DEVICE_END_CRASH_LOADED:
		/*
		 * The guest's crash kernel takes over, so the machine ends when that kernel ends
		 * it.
		 */
		__atomic_store_n(&((struct machine *)to)->crash_loaded, true, __ATOMIC_RELEASE);
		break;
	case DEVICE_END_DEBUG_EXIT:
		machine_end(to, MACHINE_DEBUG_EXIT, value, "");
		break;
	}
}

void machine_stop(struct machine *m)
{
	machine_end(m, MACHINE_STOPPED, 0, "");
	machine_virtio_cancel_waits(&m->virtio);
}

void machine_fail(struct machine *m, const char *sentence)
{
	machine_end(m, MACHINE_HOST_ERROR, 0, sentence);
	machine_virtio_cancel_waits(&m->virtio);
}

void machine_panicked(struct machine *m)
{
	machine_end(m, MACHINE_PANIC, 0, "");
}

bool machine_crash_is_loaded(const struct machine *m)
{
	return __atomic_load_n(&m->crash_loaded, __ATOMIC_ACQUIRE);
}

void machine_power_button(struct machine *m)
{
	pm_power_button(&m->devices.pm);
}

void machine_devices_mapped(struct machine *m)
{
	machine_pci_mapped(&m->pci);
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
		.interrupts = &m->interrupts,
		.ports = &m->ports,
		.loop = m->parts.loop,
		.console = m->parts.console,
		.channel = m->parts.channel,
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
	machine_end(to, MACHINE_HOST_ERROR, 0, sentence);
}

static int create_pci(struct machine *m, struct err *err)
{
	const struct machine_pci_parts parts = {
		.plan = m->parts.plan,
		.kvm = &m->kvm,
		.interrupts = &m->interrupts,
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
		.guest_ram = &m->parts.guest_memory->all,
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

/* --- create, run, destroy --- */

/* Builds the hardware, in this order. */
static int build(struct machine *m, struct err *err)
{
	int ret = kvm_open(&m->kvm, err);

	if (ret < 0)
		return ret;
	ret = kvm_check_cpus(&m->kvm, m->parts.plan->cpus, topology_last_id(m->parts.plan), err);
	if (ret < 0)
		return ret;
	ret = kvm_create_vm(&m->kvm, err);
	if (ret < 0)
		return ret;
	m->kvm_listener = (struct guest_memory_listener){ .ops = &kvm_memory_ops, .to = &m->kvm };
	ret = guest_memory_listen(m->parts.guest_memory, &m->kvm_listener, err);
	if (ret < 0)
		return ret;
	ret = kvm_create_irqchip(&m->kvm, topology_last_id(m->parts.plan), err);
	if (ret < 0)
		return ret;
	ret = machine_interrupts_create(&m->interrupts, &m->kvm, &m->memory, m->parts.loop, err);
	if (ret < 0)
		return ret;
	ret = machine_create_devices(m, err);
	if (ret < 0)
		return ret;
	ret = create_pci(m, err);
	if (ret < 0)
		return ret;
	ret = create_virtio(m, err);
	if (ret < 0)
		return ret;
	ret = machine_devices_add_watchdog(&m->devices, &m->pci, err);
	if (ret < 0)
		return ret;
	return machine_cpus_create(m, err);
}

int machine_create(struct machine *m, const struct machine_parts *parts, struct err *err)
{
	int ret;

	memset(m, 0, offsetof(struct machine, ports)); /* bus_init() does the rest */
	bus_init(&m->ports);
	bus_init(&m->memory);
	m->parts = *parts;
	m->kvm = (struct kvm)KVM_EMPTY;
	m->interrupts = (struct machine_interrupts)MACHINE_INTERRUPTS_EMPTY;
	m->pci = (struct machine_pci)MACHINE_PCI_EMPTY;
	m->devices = (struct machine_devices)MACHINE_DEVICES_EMPTY;
	m->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	ret = build(m, err);
	if (ret < 0)
		goto fail;
	ret = machine_boot(m, err);
	if (ret < 0)
		goto fail;
	machine_devices_attach(&m->devices);
	machine_virtio_begin(&m->virtio);
	return 0;

fail:
	machine_destroy(m);
	return ret;
}

enum machine_end machine_run(struct machine *m, struct err *err)
{
	int ret = machine_cpus_start(m, err);

	if (ret == 0)
		ret = loop_run(m->parts.loop, err);
	machine_leave_start(&m->leave, &m->parts.leaver, m->parts.backends);
	machine_cpus_stop(m);
	loop_rearm(m->parts.loop);
	if (ret < 0)
		return MACHINE_HOST_ERROR;
	if (m->end == MACHINE_HOST_ERROR)
		err_set(err, EIO, "%s", m->report);
	/* The loop stops while the machine runs only if the console's output failed. */
	if (m->end == MACHINE_RUNNING && console_error(m->parts.console, err) < 0)
		return MACHINE_HOST_ERROR;
	return m->end;
}

void machine_destroy(struct machine *m)
{
	machine_cpus_stop(m);
	machine_cpus_destroy(m);
	machine_devices_destroy(&m->devices);
	machine_virtio_destroy(&m->virtio);
	machine_pci_destroy(&m->pci);
	machine_interrupts_destroy(&m->interrupts);
	guest_memory_forget(m->parts.guest_memory, &m->kvm_listener);
	kvm_close(&m->kvm); /* removes all memory slots at once */
	machine_leave_stop(&m->leave);
}
