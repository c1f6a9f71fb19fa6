#include "vmm/host/irq.h"

#include "vmm/base/msi.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static_assert(sizeof(struct kvm_irq_routing_entry) == 48, "KVM_SET_GSI_ROUTING");
static_assert(sizeof(struct kvm_irqfd) == 32, "KVM_IRQFD");
static_assert(sizeof(struct kvm_msi) == 32, "KVM_SIGNAL_MSI");

#define PIC_PINS   8
#define ISA_PINS   (2 * PIC_PINS)
#define PIN_ROUTES (ISA_PINS + IRQ_PINS)

void irq_init(struct irq *irq, const struct kvm *kvm)
{
	*irq = (struct irq)IRQ_EMPTY;
	irq->kvm = kvm;
}

void irq_destroy(struct irq *irq)
{
	free(irq->routes);
	irq->routes = NULL;
	irq->nr_routes = 0;
}

/* --- the table, which KVM replaces as a whole --- */

/* The routes that KVM_CREATE_IRQCHIP sets up: arch/x86/kvm/irq_comm.c, default_routing. */
static unsigned put_pins(struct kvm_irq_routing_entry *e)
{
	unsigned n = 0;

	for (unsigned gsi = 0; gsi < IRQ_PINS; gsi++) {
		e[n++] = (struct kvm_irq_routing_entry){
			.gsi = gsi,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { .irqchip = KVM_IRQCHIP_IOAPIC, .pin = gsi },
		};
		if (gsi >= ISA_PINS)
			continue;
		e[n++] = (struct kvm_irq_routing_entry){
			.gsi = gsi,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { .irqchip = gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER
								 : KVM_IRQCHIP_PIC_SLAVE,
				       .pin = gsi % PIC_PINS },
		};
	}
	return n;
}

static uint64_t irq_address(const struct irq *irq, uint64_t address)
{
	return irq->kvm->split ? msi_for_kvm(address) : address;
}

static struct kvm_irq_routing_entry message_entry(const struct irq *irq, unsigned gsi,
						  const struct irq_route *r)
{
	uint64_t address = irq_address(irq, r->address);

	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = (uint32_t)address,
			   .address_hi = (uint32_t)(address >> 32),
			   .data = r->data },
	};
}

/* Without an I/O APIC of KVM's there are no pins of its own, which KVM would refuse. */
static unsigned put_split_pins(const struct irq *irq, struct kvm_irq_routing_entry *e)
{
	unsigned n = 0;

	for (unsigned pin = 0; pin < IRQ_PINS; pin++)
		if (irq->pins[pin].used)
			e[n++] = message_entry(irq, pin, &irq->pins[pin]);
	return n;
}

static int irq_set_table(const struct irq *irq, struct err *err)
{
	struct kvm_irq_routing *table;
	unsigned n;
	int ret = 0;

	table = calloc(1,
		       sizeof(*table) + (PIN_ROUTES + irq->nr_routes) * sizeof(table->entries[0]));
	if (!table)
		return err_sys(err, ENOMEM, "out of memory for %u interrupt routes",
			       irq->nr_routes);
	n = irq->kvm->split ? put_split_pins(irq, table->entries) : put_pins(table->entries);
	for (unsigned i = 0; i < irq->nr_routes; i++) {
		const struct irq_route *r = &irq->routes[i];

		if (r->used)
			table->entries[n++] = message_entry(irq, IRQ_FIRST_ROUTE + i, r);
	}
	table->nr = n;
	if (ioctl(irq->kvm->vm, KVM_SET_GSI_ROUTING, table) < 0)
		ret = err_sys(err, errno, "KVM refuses a table of %u interrupt routes", n);
	free(table);
	return ret;
}

/* --- routes to messages --- */

/* Finds the lowest free entry, so that the table stays short. */
static int find_free(struct irq *irq, struct err *err)
{
	unsigned i = 0;

	if (!irq->routes)
		irq->routes = calloc(IRQ_ROUTES_MAX, sizeof(*irq->routes));
	if (!irq->routes)
		return err_sys(err, ENOMEM, "out of memory for %u interrupt routes",
			       IRQ_ROUTES_MAX);
	while (i < irq->nr_routes && irq->routes[i].used)
		i++;
	if (i == IRQ_ROUTES_MAX)
		return err_set(err, ENOSPC,
			       "KVM has no more than %u routes for message-signalled interrupts",
			       IRQ_ROUTES_MAX);
	if (i == irq->nr_routes)
		irq->nr_routes++;
	return (int)i;
}

static int assign(const struct irq *irq, unsigned gsi, int fd, int resample, struct err *err)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)fd,
		.gsi = gsi,
		.flags = resample >= 0 ? KVM_IRQFD_FLAG_RESAMPLE : 0,
		.resamplefd = resample >= 0 ? (uint32_t)resample : 0,
	};

	if (ioctl(irq->kvm->vm, KVM_IRQFD, &irqfd) < 0)
		return err_sys(err, errno, "KVM refuses an eventfd for GSI %u", gsi);
	return 0;
}

static void deassign(const struct irq *irq, unsigned gsi, int fd)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)fd,
		.gsi = gsi,
		.flags = KVM_IRQFD_FLAG_DEASSIGN,
	};

	(void)ioctl(irq->kvm->vm, KVM_IRQFD,
		    &irqfd); /* fails only if the eventfd was never assigned */
}

int irq_route(struct irq *irq, int fd, uint64_t address, uint32_t data, struct err *err)
{
	int i, ret;

	pthread_mutex_lock(&irq->lock);
	i = ret = find_free(irq, err);
	if (ret < 0)
		goto out;
	irq->routes[i] = (struct irq_route){ true, address, data };
	ret = irq_set_table(irq, err);
	if (ret < 0)
		goto free_route;
	ret = assign(irq, IRQ_FIRST_ROUTE + (unsigned)i, fd, -1, err);
	if (ret < 0)
		goto free_route;
	ret = IRQ_FIRST_ROUTE + i;
	goto out;

free_route:
	irq->routes[i].used = false;
out:
	pthread_mutex_unlock(&irq->lock);
	return ret;
}

/* Called with the lock held. On failure the route stays as it was. */
static int replace(struct irq *irq, struct irq_route *r, struct irq_route by, struct err *err)
{
	struct irq_route was = *r;
	int ret;

	if (was.used == by.used && was.address == by.address && was.data == by.data)
		return 0;
	*r = by;
	ret = irq_set_table(irq, err);
	if (ret < 0)
		*r = was;
	return ret;
}

int irq_move(struct irq *irq, int gsi, uint64_t address, uint32_t data, struct err *err)
{
	int ret;

	pthread_mutex_lock(&irq->lock);
	ret = replace(irq, &irq->routes[gsi - IRQ_FIRST_ROUTE],
		      (struct irq_route){ true, address, data }, err);
	pthread_mutex_unlock(&irq->lock);
	return ret;
}

int irq_pin(struct irq *irq, unsigned pin, bool used, uint64_t address, uint32_t data,
	    struct err *err)
{
	int ret;

	pthread_mutex_lock(&irq->lock);
	ret = replace(irq, &irq->pins[pin], (struct irq_route){ used, address, data }, err);
	pthread_mutex_unlock(&irq->lock);
	return ret;
}

/* KVM keeps the route, which no eventfd drives any more, until the table is next written. */
void irq_unroute(struct irq *irq, int gsi, int fd)
{
	pthread_mutex_lock(&irq->lock);
	deassign(irq, (unsigned)gsi, fd);
	irq->routes[gsi - IRQ_FIRST_ROUTE].used = false;
	pthread_mutex_unlock(&irq->lock);
}

/* --- levels and single messages --- */

int irq_level(struct irq *irq, unsigned gsi, int fd, int resample, struct err *err)
{
	return assign(irq, gsi, fd, resample, err);
}

void irq_unlevel(struct irq *irq, unsigned gsi, int fd)
{
	deassign(irq, gsi, fd);
}

void irq_message(const struct irq *irq, uint64_t address, uint32_t data)
{
	uint64_t to = irq_address(irq, address);
	struct kvm_msi msi = {
		.address_lo = (uint32_t)to,
		.address_hi = (uint32_t)(to >> 32),
		.data = data,
	};

	(void)ioctl(irq->kvm->vm, KVM_SIGNAL_MSI,
		    &msi); /* an error is the guest's: it chose the address */
}
