/*
 * Interrupts of a machine: KVM's routes, and the I/O APIC where KVM has none (struct kvm, split).
 *
 * Created after KVM's interrupt controllers and before all devices; destroyed after them.
 */
#ifndef MACHINE_INTERRUPTS_H
#define MACHINE_INTERRUPTS_H

#include "devices/bus.h"
#include "devices/ioapic.h"
#include "vmm/base/limits.h"
#include "vmm/host/irq.h"
#include "vmm/host/loop.h"

/* A level-triggered line that two eventfds drive, where KVM cannot do that. */
struct machine_intx {
	int fd; /* signalled: the line rises; -1: the entry is free */
	int resample;
	unsigned gsi;
};

struct machine_interrupts {
	const struct kvm *kvm;
	struct irq irq;
	/* The rest is used with a split irqchip only. */
	struct loop *loop;
	struct ioapic ioapic;
	int lines; /* epoll descriptor of all intx[].fd, which any thread may change; or -1 */
	pthread_mutex_t lock; /* guards intx; taken inside the I/O APIC's */
	struct machine_intx intx[PCI_DEVICES_MAX];
};

#define MACHINE_INTERRUPTS_EMPTY                                                 \
	{                                                                        \
		.irq = IRQ_EMPTY, .lines = -1, .lock = PTHREAD_MUTEX_INITIALIZER \
	}

/* -errno and a sentence on failure; machine_interrupts_destroy() is called all the same. */
int machine_interrupts_create(struct machine_interrupts *i, const struct kvm *kvm,
			      struct bus *memory, struct loop *loop, struct err *err);
/* Allowed on MACHINE_INTERRUPTS_EMPTY. */
void machine_interrupts_destroy(struct machine_interrupts *i);

/* Sets the level of a line. Callable from any thread. */
void machine_interrupts_set(struct machine_interrupts *i, unsigned gsi, bool level);
/* A CPU acknowledged the level-triggered interrupt with this vector. */
void machine_interrupts_eoi(struct machine_interrupts *i, uint8_t vector);
/*
 * Raises line `gsi` when `fd` is signalled; when the guest acknowledges the interrupt, the line is
 * lowered and `resample` signalled. Callable from any thread.
 */
int machine_interrupts_intx(struct machine_interrupts *i, unsigned gsi, int fd, int resample,
			    struct err *err);
void machine_interrupts_unintx(struct machine_interrupts *i, unsigned gsi, int fd);

#endif
