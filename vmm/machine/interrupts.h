/*
 * Interrupts of a machine: KVM's routes, the I/O APIC where KVM has none (struct kvm, split), and
 * what KVM cannot do, by the event loop: messages for which it has no route left, and
 * level-triggered lines of eventfds.
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

/* A message that is sent when an eventfd is signalled, though KVM has no route left for it. */
struct machine_message {
	int fd;
	bool used;
	uint64_t address;
	uint32_t data;
};

/* As many as all vectors that there can be. */
#define MACHINE_MESSAGES_MAX (PCI_DEVICES_MAX * 2048)

struct machine_interrupts {
	const struct kvm *kvm;
	struct irq irq;
	struct loop *loop;
	/* epoll descriptor of messages' and lines' eventfds, which any thread may change; or -1 */
	int watched;
	pthread_mutex_t lock;		  /* guards what follows it; taken inside the I/O APIC's */
	struct machine_message *messages; /* MACHINE_MESSAGES_MAX, once there is one */
	unsigned nr_messages;		  /* entries up to the last one that was ever in use */
	struct machine_intx intx[PCI_DEVICES_MAX]; /* with a split irqchip only */
	struct ioapic ioapic;			   /* likewise; has a lock of its own */
};

#define MACHINE_INTERRUPTS_EMPTY                                                   \
	{                                                                          \
		.irq = IRQ_EMPTY, .watched = -1, .lock = PTHREAD_MUTEX_INITIALIZER \
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
 * As irq_route() and irq_unroute(), but when KVM has no route left, this process sends the message:
 * later than KVM would. Callable from any thread.
 */
int machine_interrupts_route(struct machine_interrupts *i, struct msi_route *list, size_t n,
			     struct err *err);
void machine_interrupts_unroute(struct machine_interrupts *i, int route, int fd);
/*
 * Raises line `gsi` when `fd` is signalled; when the guest acknowledges the interrupt, the line is
 * lowered and `resample` signalled. Callable from any thread.
 */
int machine_interrupts_intx(struct machine_interrupts *i, unsigned gsi, int fd, int resample,
			    struct err *err);
void machine_interrupts_unintx(struct machine_interrupts *i, unsigned gsi, int fd);

#endif
