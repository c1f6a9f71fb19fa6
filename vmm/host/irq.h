/*
 * Interrupt routes of one machine: the GSI routing table of KVM, and the eventfds that trigger its
 * routes.
 *
 * Host side. Below IRQ_FIRST_ROUTE are the pins of KVM's interrupt controllers, as KVM itself wires
 * them, or where the I/O APIC is this process's (struct kvm, split) the messages of its pins whose
 * acknowledgement is to be reported. Above are routes to messages (MSI, MSI-X), one GSI each.
 * Addresses are the guest's; where they can have 15 bits of destination, all of them are translated
 * here (vmm/base/msi.h). Callable from any thread.
 */
#ifndef HOST_IRQ_H
#define HOST_IRQ_H

#include "vmm/base/msi.h"
#include "vmm/host/kvm.h"

#include <pthread.h>

#define IRQ_PINS	24
#define IRQ_FIRST_ROUTE IRQ_PINS
/* KVM_CAP_IRQ_ROUTING has been 4096 since Linux 4.17 (KVM_MAX_IRQ_ROUTES). */
#define IRQ_ROUTES_MAX (4096 - 64)

struct irq_route {
	bool used;
	uint64_t address;
	uint32_t data;
};

/* A route of an eventfd, and what KVM's table has at its place: what is written when they differ.
 */
struct irq_eventfd_route {
	struct irq_route now, in_kvm;
	bool driven; /* KVM has the eventfd */
};

struct irq {
	const struct kvm *kvm;
	pthread_mutex_t lock;
	struct irq_eventfd_route *routes; /* IRQ_ROUTES_MAX, once there is one */
	unsigned nr_routes;		  /* entries up to the last one that was ever in use */
	struct irq_route pins[IRQ_PINS];  /* used by a split irqchip only */
};

#define IRQ_EMPTY                                  \
	{                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER, \
	}

/* `kvm` has its interrupt controllers; borrowed. */
void irq_init(struct irq *irq, const struct kvm *kvm);
void irq_destroy(struct irq *irq);

/*
 * Makes KVM send the messages of `list` whenever their eventfds are signalled, at once if one is
 * signalled already: adds those whose handle is -1, which gets the GSI, and changes the others.
 * KVM's table, which KVM takes only as a whole, is written once for all of them, and not at all if
 * it has these messages already. Handles that are not from here are left alone.
 *
 * On failure, the first one's -errno and sentence, each entry of `list` says what is: its message
 * is the one that is sent, and its handle is -1 if none is. -ENOSPC alone: those that have a handle
 * are routed, and there is no room for the others.
 */
int irq_route(struct irq *irq, struct msi_route *list, size_t n, struct err *err);
void irq_unroute(struct irq *irq, int gsi, int fd);

/*
 * With a split irqchip: the message of a level-triggered pin. When a CPU acknowledges the last one
 * that it got, its vCPU exits (KVM_EXIT_IOAPIC_EOI). `used` false: no longer.
 */
int irq_pin(struct irq *irq, unsigned pin, bool used, uint64_t address, uint32_t data,
	    struct err *err);

/*
 * Without a split irqchip. Makes KVM raise pin `gsi` when `fd` is signalled; when the guest
 * acknowledges the interrupt, KVM lowers the pin and signals `resample` (KVM_IRQFD_FLAG_RESAMPLE).
 */
int irq_level(struct irq *irq, unsigned gsi, int fd, int resample, struct err *err);
void irq_unlevel(struct irq *irq, unsigned gsi, int fd);

/* Sends one message without a route. */
void irq_message(const struct irq *irq, uint64_t address, uint32_t data);

#endif
