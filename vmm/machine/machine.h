/*
 * The machine: one guest between two resets. machine.c builds it in a fixed order.
 *
 * machine_create obeys a plan; machine_run runs until the guest ends; machine_destroy is the
 * reverse of creation and safe half-way. Reset is destroy and create again from the same plan: RAM,
 * passed-through devices, the loop, the console and the opened images outlive it.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include "acpi/tables.h"
#include "firmware/boot.h"
#include "vmm/backends/line.h"
#include "vmm/host/cpus.h"
#include "vmm/host/image.h"
#include "vmm/host/kvm.h"
#include "vmm/host/loop.h"
#include "vmm/host/ram.h"
#include "vmm/host/vcpu.h"
#include "vmm/machine/interrupts.h"
#include "vmm/machine/leave.h"
#include "vmm/machine/pci.h"
#include "vmm/machine/platform_devices.h"
#include "vmm/machine/virtio/slot.h"
#include "vmm/plan/cpuid.h"
#include "vmm/plan/plan.h"

#include <stdio.h>

enum machine_end {
	MACHINE_RUNNING,
	MACHINE_POWEROFF,
	MACHINE_RESET,
	MACHINE_PANIC,	      /* the guest's kernel panicked (pvpanic, or its line on a console) */
	MACHINE_CRASH,	      /* KVM internal error and the like: `report` says which */
	MACHINE_TRIPLE_FAULT, /* a crash, or the way to reset (reboot=t): `report` has registers */
	MACHINE_DEBUG_EXIT,   /* `value` is the number */
	MACHINE_STOPPED,      /* machine_stop() was called */
	MACHINE_HOST_ERROR,   /* `report` is the sentence */
};

/* The parts that a machine borrows; all outlive the machine. */
struct machine_parts {
	const struct plan *plan;
	const struct image *kernel;
	const struct images *initrd;	       /* empty: none */
	const struct boot_kernel *boot_kernel; /* the parsed kernel */
	const char *append;		       /* NULL: empty */
	struct ram *ram;
	struct guest_memory *guest_memory; /* RAM and files, as KVM and devices see them */
	struct passthrough *passthrough;   /* NULL: no passed-through device */
	void (*memory)(void *to,
		       const uint64_t *numbers); /* called with the balloon's statistics, in the
						    order of virtio_balloon_stats[] */
	void *to;
	struct virtio_backends *backends;
	/* called with a sentence for the user while the guest runs */
	void (*say)(void *to, const char *sentence);
	struct machine_leaver leaver; /* ends the process if storage does not answer */
	struct loop *loop;
	struct console *console;	/* the serial line */
	struct console *channel;	/* the second one, of straddle test; NULL: none */
	struct console *virtio_console; /* the line behind the virtio console */
	bool has_debug_exit;
	uint16_t debug_exit_port;
	const struct host_cpus
		*affinity; /* where each vCPU runs, by number; empty: anywhere; or NULL */
};

/* An access of the guest. */
struct machine_access {
	uint64_t at;
	unsigned size;
	bool write, port;
};

struct machine_cpu {
	struct vcpu vcpu;
	struct machine *machine;
	pthread_t thread;
	pid_t tid; /* atomic: of the thread; 0 before it runs */
	bool has_thread;
	uint64_t cpu_time; /* of the thread in ns, when machine_is_busy() was called last */
};

struct machine {
	struct machine_parts parts;
	struct kvm kvm;
	struct guest_memory_listener kvm_listener;
	struct machine_cpu *cpus;
	unsigned nr_cpus;
	struct cpuid_kvm cpuid; /* features of KVM that the guest's CPUID shows */
	struct machine_interrupts interrupts;
	struct machine_devices devices;
	struct machine_pci pci;
	struct machine_virtio virtio;
	struct machine_leave leave;
	uint64_t unclaimed; /* accesses that no device took */
	struct machine_access first_unclaimed;
	/* how the machine ended: the first end wins */
	pthread_mutex_t lock;
	enum machine_end end;
	unsigned value;
	char report[4096];
	bool crash_loaded; /* atomic: pvpanic said that a crash kernel takes over */
	/* last, because machine_create() clears only the members before it */
	struct bus ports;
	struct bus memory;
};

int machine_create(struct machine *m, const struct machine_parts *parts, struct err *err);
/* Runs the vCPUs on their own threads and the loop on the caller's, until the guest ends. */
enum machine_end machine_run(struct machine *m, struct err *err);
void machine_destroy(struct machine *m);

/* The following are called by the loop's callbacks during machine_run(). */
/* Commands of --control. -errno and a sentence if the guest cannot do it. */
int machine_balloon(struct machine *m, uint64_t size, struct err *err);
uint64_t machine_balloon_actual(struct machine *m);
/* Asks the guest for its balloon statistics; parts.memory is called with them. */
int machine_ask_memory(struct machine *m, struct err *err);
int machine_resize_disk(struct machine *m, const char *name, struct err *err);
/* The terminal has another size. */
void machine_resize_console(struct machine *m);
/* Passed-through devices have all of guest memory now, or never get it (machine_pci_mapped()). */
void machine_devices_mapped(struct machine *m);
void machine_power_button(struct machine *m);
void machine_stop(struct machine *m);
/* Ends the machine with MACHINE_HOST_ERROR and the sentence. */
void machine_fail(struct machine *m, const char *sentence);
/* Ends the machine with MACHINE_PANIC, because a console printed a kernel's panic. */
void machine_panicked(struct machine *m);
/* Whether pvpanic said that a crash kernel of the guest takes over. */
bool machine_crash_is_loaded(const struct machine *m);
/*
 * Asks the vCPUs whether they are halted with interrupts on. Returns the answers to the previous
 * call: true if any vCPU was.
 */
bool machine_poll_idle(struct machine *m);
/* Whether a vCPU has used more than `ms` of CPU time since the last call. */
bool machine_is_busy(struct machine *m, unsigned ms);
/*
 * Asks the vCPUs whether they can never run again (vcpu_is_dead()). Returns the answers to the
 * previous call: true if all said so.
 */
bool machine_poll_dead(struct machine *m);

/*
 * Whether no vCPU can ever run again (vcpu_is_dead()). Called between machine_run() and
 * machine_destroy().
 */
bool machine_is_dead(const struct machine *m);

/*
 * Writes a report of every vCPU to the file (vcpu_describe()). Called between machine_run() and
 * machine_destroy().
 */
void machine_describe(const struct machine *m, FILE *to);
/* The same of one vCPU, by its number. */
void machine_describe_cpu(const struct machine *m, unsigned i, FILE *to);

#endif
