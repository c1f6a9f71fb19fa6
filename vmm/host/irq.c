#include "vmm/host/irq.h"

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

static int irq_set_table(struct irq *irq, struct err *err)
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
		const struct irq_route *r = &irq->routes[i].now;

		if (r->used)
			table->entries[n++] = message_entry(irq, IRQ_FIRST_ROUTE + i, r);
	}
	table->nr = n;
	if (ioctl(irq->kvm->vm, KVM_SET_GSI_ROUTING, table) < 0)
		ret = err_sys(err, errno, "KVM refuses a table of %u interrupt routes", n);
	for (unsigned i = 0; ret == 0 && i < irq->nr_routes; i++)
		irq->routes[i].in_kvm = irq->routes[i].now;
	free(table);
	return ret;
}

/* --- routes to messages --- */

/* Finds the lowest free entry from `*from` on, so that the table stays short. */
static int find_free(struct irq *irq, unsigned *from, struct err *err)
{
	if (!irq->routes)
		irq->routes = calloc(IRQ_ROUTES_MAX, sizeof(*irq->routes));
	if (!irq->routes)
		return err_sys(err, ENOMEM, "out of memory for %u interrupt routes",
			       IRQ_ROUTES_MAX);
	while (*from < irq->nr_routes && irq->routes[*from].now.used)
		++*from;
	if (*from == IRQ_ROUTES_MAX)
		return err_set(err, ENOSPC,
			       "KVM has no more than %u routes for message-signalled interrupts",
			       IRQ_ROUTES_MAX);
	if (*from == irq->nr_routes)
		irq->nr_routes++;
	return (int)(*from)++;
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

static bool same_message(const struct irq_route *a, const struct irq_route *b)
{
	return a->used == b->used && a->address == b->address && a->data == b->data;
}

/* The entry of a handle; NULL: there is none, or it is not from here. */
static struct irq_eventfd_route *route_of(struct irq *irq, const struct msi_route *m)
{
	if (m->handle < 0 || m->handle >= IRQ_FIRST_ROUTE + IRQ_ROUTES_MAX)
		return NULL;
	return &irq->routes[m->handle - IRQ_FIRST_ROUTE];
}

/*
 * Gives all of `list` entries, as far as there is room. Returns whether KVM's table has to be
 * written; it may keep what no eventfd drives any more.
 */
static bool irq_place_all(struct irq *irq, struct msi_route *list, size_t n, int *ret,
			  struct err *err)
{
	struct irq_eventfd_route *r;
	unsigned from = 0;
	bool differs = false;

	for (size_t i = 0; i < n; i++) {
		if (list[i].handle < 0 && *ret == 0) {
			int free_one = find_free(irq, &from, err);

			*ret = free_one < 0 ? free_one : 0;
			list[i].handle = free_one < 0 ? -1 : IRQ_FIRST_ROUTE + free_one;
		}
		r = route_of(irq, &list[i]);
		if (!r)
			continue;
		r->now = (struct irq_route){ true, list[i].address, list[i].data };
		differs |= !same_message(&r->now, &r->in_kvm);
	}
	return differs;
}

/* After KVM refused the table: routes send what they sent before, and new ones are none. */
static void replace_all(struct irq *irq, struct msi_route *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct irq_eventfd_route *r = route_of(irq, &list[i]);

		if (!r)
			continue;
		if (r->driven) {
			r->now = r->in_kvm;
			list[i].address = r->now.address;
			list[i].data = r->now.data;
		} else {
			r->now.used = false;
			list[i].handle = -1;
		}
	}
}

/* Gives KVM the eventfds of new routes, which must not be signalled before the table is written. */
static int drive_all(struct irq *irq, struct msi_route *list, size_t n, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < n; i++) {
		struct irq_eventfd_route *r = route_of(irq, &list[i]);
		struct err own = { "" };
		int failed;

		if (!r || r->driven)
			continue;
		failed = assign(irq, (unsigned)list[i].handle, list[i].fd, -1, &own);
		r->driven = failed == 0;
		if (failed == 0)
			continue;
		r->now.used = false;
		list[i].handle = -1;
		if (ret == 0) {
			ret = failed;
			*err = own;
		}
	}
	return ret;
}

int irq_route(struct irq *irq, struct msi_route *list, size_t n, struct err *err)
{
	int ret = 0, failed = 0;

	pthread_mutex_lock(&irq->lock);
	if (irq_place_all(irq, list, n, &ret, err)) {
		failed = irq_set_table(irq, err);
		if (failed < 0)
			replace_all(irq, list, n);
	}
	if (failed == 0)
		failed = drive_all(irq, list, n, err);
	pthread_mutex_unlock(&irq->lock);
	return failed < 0 ? failed : ret;
}

/* Called with the lock held. On failure the route stays as it was. */
static int replace(struct irq *irq, struct irq_route *r, struct irq_route by, struct err *err)
{
	struct irq_route was = *r;
	int ret;

	if (same_message(&was, &by))
		return 0;
	*r = by;
	ret = irq_set_table(irq, err);
	if (ret < 0)
		*r = was;
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
	irq->routes[gsi - IRQ_FIRST_ROUTE].now.used = false;
	irq->routes[gsi - IRQ_FIRST_ROUTE].driven = false;
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
