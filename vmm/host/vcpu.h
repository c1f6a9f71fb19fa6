/*
 * One virtual CPU: creation, first state, and the run loop.
 *
 * Host side. A vCPU runs on a thread of its own (the machine's); its accesses to ports and memory
 * go to the callbacks in struct vcpu_bus, so that this file depends on no device.
 */
#ifndef HOST_VCPU_H
#define HOST_VCPU_H

#include "vmm/base/err.h"
#include "vmm/host/fault.h"
#include "vmm/host/kvm.h"
#include "vmm/host/ram.h"

#include <pthread.h>
#include <stddef.h>

/* RFLAGS.IF: interrupts are on (Intel SDM volume 1, section 3.4.3). */
#define VCPU_RFLAGS_IF (1u << 9)

/* How a vCPU came to stop. */
enum vcpu_stop {
	VCPU_STOPPED, /* vcpu_kick() was called */
	VCPU_TRIPLE_FAULT,
	VCPU_RESET,	 /* KVM_SYSTEM_EVENT_RESET, or INIT of the bootstrap processor */
	VCPU_POWEROFF,	 /* KVM_SYSTEM_EVENT_SHUTDOWN */
	VCPU_CRASHED,	 /* KVM_SYSTEM_EVENT_CRASH */
	VCPU_EMULATION,	 /* KVM met an instruction that its emulator lacks */
	VCPU_KVM_ERROR,	 /* KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_FAIL_ENTRY, an unknown exit */
	VCPU_HOST_ERROR, /* KVM_RUN itself failed */
};

/* Callbacks for port and memory accesses. `data` holds `size` bytes, which a read fills. */
struct vcpu_bus {
	void (*pio)(void *to, uint16_t port, bool write, void *data, unsigned size);
	void (*mmio)(void *to, uint64_t gpa, bool write, void *data, unsigned size);
	/*
	 * The host's memory is bad at `gpa`, and the guest got a machine check for it. May be NULL.
	 */
	void (*poisoned)(void *to, uint64_t gpa);
	/* The guest acknowledged a level-triggered interrupt of irq_pin(). May be NULL. */
	void (*eoi)(void *to, uint8_t vector);
	void *to;
};

/* How KVM_RUN came back: an access of the guest, or another reason (KVM_EXIT_*). */
struct vcpu_exit {
	uint64_t at;	/* the port or the guest-physical address; of accesses only, as all below */
	uint64_t value; /* what was written or read; of several units the first */
	uint32_t reason;
	uint32_t count; /* of units: one instruction may transfer many to a port */
	uint8_t size;	/* bytes of a unit */
	bool write;
};

/* The exits that a vCPU remembers, for a report when its guest has ended. */
#define VCPU_EXITS 16

struct vcpu {
	unsigned index; /* 0 is the bootstrap processor */
	int fd;
	struct kvm_run *run;
	int run_size;
	bool amd;	      /* or Hygon, by its CPUID */
	bool x2apic;	      /* its APIC starts in x2APIC mode */
	struct fault_bad bad; /* memory that the guest touched */
	uint64_t last_bad;    /* the page before that */
	unsigned nr_bad;      /* how many times in a row */
	/*
	 * atomic: requests of other threads to the vCPU's thread (stop, look), and its answers
	 * (slept, died)
	 */
	bool stop, look, slept, died;
	/* the vCPU's thread writes it: exit number n (from 0) is in place n % VCPU_EXITS */
	struct vcpu_exit exits[VCPU_EXITS];
	uint64_t nr_exits;
};

#define VCPU_EMPTY       \
	{                \
		.fd = -1 \
	}

/* Creates vCPU `index`, whose KVM id is `apic_id` as well. -errno and a sentence. */
int vcpu_create(struct vcpu *v, const struct kvm *kvm, unsigned index, uint32_t apic_id,
		struct err *err);
/*
 * The frequency of the vCPU's TSC in kHz; 0: KVM does not know it, because this host's TSC is
 * unstable.
 */
uint32_t vcpu_tsc_khz(const struct vcpu *v);
/* Called before the vCPU runs. */
int vcpu_set_cpuid(struct vcpu *v, const struct kvm_cpuid2 *cpuid, struct err *err);
void vcpu_destroy(struct vcpu *v);

/*
 * Sets the bootstrap processor's first state; the others wait for their start-up IPI. Called once
 * all vCPUs are made.
 */
struct vcpu_entry {
	uint64_t rip, rflags, rsi, rbx;
	uint64_t cr0, cr3, cr4, efer;
	uint64_t gdt_base;
	uint16_t gdt_limit;
	struct kvm_segment code, data, task; /* CS; DS, ES, FS, GS and SS; TR */
};
int vcpu_set_entry(const struct vcpu *v, const struct vcpu_entry *entry, struct err *err);

/* Runs until something other than an access happens. Stops that are errors write a sentence. */
enum vcpu_stop vcpu_run(struct vcpu *v, const struct vcpu_bus *bus, struct err *err);

/* Makes vcpu_run return VCPU_STOPPED; callable from any thread. `thread` is the vCPU's. */
void vcpu_kick(struct vcpu *v, pthread_t thread);
/*
 * Asks the vCPU's thread to check whether the guest's CPU is halted with interrupts on, as an idle
 * CPU is. vcpu_was_idle() returns whether it was at any check since the last call.
 */
void vcpu_poll_idle(struct vcpu *v, pthread_t thread);
bool vcpu_was_idle(struct vcpu *v);
/*
 * Whether vcpu_is_dead() was true at the last check that vcpu_poll_idle() asked for since the last
 * call; false if there was none.
 */
bool vcpu_died(struct vcpu *v);
/*
 * Whether the vCPU can never run again without another CPU: it is halted with interrupts off, or
 * waits for a start-up IPI, and no NMI or SMI waits for it. Called when its thread has ended, or by
 * that thread.
 */
bool vcpu_is_dead(const struct vcpu *v);
/* Once per process, before the first vCPU thread: the signal that vcpu_kick and _look send. */
int vcpu_init_kick(struct err *err);

/* Registers, and the code bytes at RIP where they can be read, as text lines. Returns the length.
 */
size_t vcpu_dump(const struct vcpu *v, const struct ram *ram, char *out, size_t cap);

#endif
