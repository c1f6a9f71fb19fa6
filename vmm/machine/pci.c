#include "vmm/machine/pci.h"

#include "vmm/base/platform.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* --- struct pci_env: guest addresses --- */

static int env_claim(void *to, bool io, struct span at, struct device *dev, struct err *err)
{
	struct machine_pci *p = to;

	return bus_add(io ? p->parts.ports : p->parts.memory, at, dev, err);
}

static void env_unclaim(void *to, bool io, struct span at)
{
	struct machine_pci *p = to;

	bus_remove(io ? p->parts.ports : p->parts.memory, at);
}

static int env_map(void *to, struct span at, void *hva, struct err *err)
{
	struct machine_pci *p = to;
	int ret;

	pthread_mutex_lock(&p->lock);
	ret = kvm_map(p->parts.kvm, at, hva, err);
	pthread_mutex_unlock(&p->lock);
	return ret;
}

static void env_unmap(void *to, int handle)
{
	struct machine_pci *p = to;
	bool stuck;

	pthread_mutex_lock(&p->lock);
	stuck = kvm_unmap(p->parts.kvm, handle) < 0;
	p->stuck |= stuck;
	pthread_mutex_unlock(&p->lock);
	if (stuck)
		p->parts.fail(p->parts.to, "KVM_SET_USER_MEMORY_REGION failed to take the memory "
					   "of a device's BAR from the guest; the guest is ended");
}

/* --- interrupts --- */

static void env_msi(void *to, uint64_t address, uint32_t data)
{
	struct machine_pci *p = to;

	irq_message(&p->parts.interrupts->irq, address, data);
}

static int env_route(void *to, struct msi_route *list, size_t n, struct err *err)
{
	struct machine_pci *p = to;

	return machine_interrupts_route(p->parts.interrupts, list, n, err);
}

static void env_unroute(void *to, int handle, int fd)
{
	struct machine_pci *p = to;

	machine_interrupts_unroute(p->parts.interrupts, handle, fd);
}

static int env_intx(void *to, unsigned gsi, int fd, int resample, struct err *err)
{
	struct machine_pci *p = to;

	return machine_interrupts_intx(p->parts.interrupts, gsi, fd, resample, err);
}

static void env_unintx(void *to, unsigned gsi, int fd)
{
	struct machine_pci *p = to;

	machine_interrupts_unintx(p->parts.interrupts, gsi, fd);
}

/* --- doorbells --- */

static int env_doorbell(void *to, uint64_t at, int fd, struct err *err)
{
	struct machine_pci *p = to;

	return kvm_doorbell(p->parts.kvm, at, fd, err);
}

static void env_undoorbell(void *to, uint64_t at, int fd)
{
	struct machine_pci *p = to;

	kvm_undoorbell(p->parts.kvm, at, fd);
}

/* --- the loop --- */

static void watch_ready(void *to, short revents)
{
	struct machine_watch *w = to;

	(void)revents;
	w->ready(w->dev);
}

static int env_watch(void *to, int fd, void (*ready)(void *dev), void *dev, struct err *err)
{
	struct machine_pci *p = to;

	for (size_t i = 0; i < ARRAY_SIZE(p->watches); i++) {
		struct machine_watch *w = &p->watches[i];
		int ret;

		if (w->fd >= 0)
			continue;
		*w = (struct machine_watch){ fd, ready, dev };
		ret = loop_watch(p->parts.loop, fd, POLLIN, watch_ready, w, err);
		if (ret < 0)
			w->fd = -1;
		return ret;
	}
	return err_set(err, ENOSPC,
		       "too many descriptors of PCI devices: the event loop watches %zu at most",
		       ARRAY_SIZE(p->watches));
}

static void env_unwatch(void *to, int fd)
{
	struct machine_pci *p = to;

	for (size_t i = 0; i < ARRAY_SIZE(p->watches); i++) {
		if (p->watches[i].fd != fd)
			continue;
		loop_forget(p->parts.loop, fd);
		p->watches[i].fd = -1;
	}
}

/* --- sentences for the user --- */

#define SAY_BURST 10

/* Limits sentences that a guest causes: the user gets a few at once, then one a second. */
static void env_say(void *to, const char *sentence)
{
	struct machine_pci *p = to;
	struct timespec now;
	bool say;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&p->say_lock);
	say = p->said < SAY_BURST || now.tv_sec > p->said_at;
	if (say) {
		p->said++;
		p->said_at = now.tv_sec;
	}
	pthread_mutex_unlock(&p->say_lock);
	if (say)
		p->parts.say(p->parts.to, sentence);
}

static void env_fail(void *to, const char *sentence)
{
	struct machine_pci *p = to;

	p->parts.fail(p->parts.to, sentence);
}

static const struct pci_env env_ops = {
	.claim = env_claim,
	.unclaim = env_unclaim,
	.map = env_map,
	.unmap = env_unmap,
	.msi = env_msi,
	.route = env_route,
	.unroute = env_unroute,
	.intx = env_intx,
	.unintx = env_unintx,
	.doorbell = env_doorbell,
	.undoorbell = env_undoorbell,
	.watch = env_watch,
	.unwatch = env_unwatch,
	.say = env_say,
	.fail = env_fail,
};

/* --- hot unplug: the host asks, the guest ejects, the host gets the device --- */

/* Gives the group of a device that was given back to the host, too, if that was its last one. */
static void leave_group(struct machine_pci *p, unsigned i)
{
	struct passthrough *pt = p->parts.passthrough;
	int group = passthrough_empty_group(pt, i);

	if (group < 0)
		return;
	kvm_remove_vfio(p->parts.kvm, group);
	passthrough_leave(pt, i);
}

static void slot_empty(struct machine_slot *s)
{
	struct passthrough *pt = s->pci->parts.passthrough;

	pci_host_lock(&s->pci->host);
	vfio_pci_unplug(s->device);
	pci_host_unlock(&s->pci->host);
	/*
	 * While KVM still maps the device's memory, nothing else may be mapped at these addresses.
	 */
	if (s->pci->stuck)
		return;
	/*
	 * KVM must forget a device of iommufd before the device is closed, and a group after its
	 * last device is.
	 */
	kvm_remove_vfio(s->pci->parts.kvm, vfio_pci_file(s->device));
	passthrough_drop(pt, s->index);
	if (!pt->busy || !passthrough_is_empty(pt))
		leave_group(s->pci, s->index);
	else
		__atomic_store_n(&pt->unwanted, true, __ATOMIC_RELEASE); /* it leaves soon */
	s->device = NULL;
	s->released = false;
}

static void leave_ready(void *to)
{
	struct machine_pci *p = to;
	char line[256];
	uint64_t count;

	if (read(p->leave, &count, sizeof(count)) != sizeof(count))
		return;
	for (unsigned i = 0; i < p->nr_slots; i++) {
		struct machine_slot *s = &p->slots[i];

		if (!__atomic_load_n(&s->released, __ATOMIC_ACQUIRE) || !s->device)
			continue;
		snprintf(line, sizeof(line), "%s: %s; the host can have it",
			 vfio_pci_name(s->device),
			 p->parts.passthrough->absent ? "the guest does not get the device"
						      : "the guest released the device");
		slot_empty(s);
		env_say(p, line);
	}
}

/*
 * Called on a vCPU's thread, under the host bridge's lock; the loop does the rest. A guest releases
 * a slot, hence all functions behind the port.
 */
static void slot_released(void *to)
{
	const struct machine_slot *s = to;
	struct machine_pci *p = s->pci;
	uint64_t one = 1;
	ssize_t n;

	for (unsigned i = 0; i < p->nr_slots; i++)
		if (p->slots[i].port == s->port)
			__atomic_store_n(&p->slots[i].released, true, __ATOMIC_RELEASE);
	n = write(p->leave, &one, sizeof(one));
	(void)n; /* the counter cannot be full */
}

static void slot_requested(void *to, struct vfio_pci *device)
{
	struct machine_slot *s = to;
	char line[256];

	if (s->pci->parts.passthrough->absent) { /* the guest need not be asked */
		slot_released(s);
		return;
	}
	if (s->port) {
		snprintf(line, sizeof(line),
			 "%s: the host wants the device back; the guest is asked",
			 vfio_pci_name(device));
		root_port_press_button(s->port, slot_released, s);
	} else {
		snprintf(
			line, sizeof(line),
			"%s: the host wants the device back, but with port=off the guest cannot be "
			"asked: power the guest off",
			vfio_pci_name(device));
	}
	env_say(s->pci, line);
}

/* --- devices that come after the start --- */

/*
 * The lowest function of the card that is to come into a port's slot, which the others follow
 * (pci_bus_add()); NULL: there is none, or the host has it.
 */
static struct pci_function *card_for(const struct machine_pci *p, const struct root_port *port)
{
	struct pci_function *card = NULL;

	for (unsigned i = 0; i < p->nr_slots; i++) {
		const struct machine_slot *s = &p->slots[i];
		struct pci_function *fn = s->device ? vfio_pci_function(s->device) : NULL;

		if (s->port != port || !fn || __atomic_load_n(&s->released, __ATOMIC_ACQUIRE))
			continue;
		if (!card || fn->number < card->number)
			card = fn;
	}
	return card;
}

void machine_pci_mapped(struct machine_pci *p)
{
	for (unsigned i = 0; i < p->nr_slots; i++)
		if (!p->slots[i].device)
			leave_group(p, i);
	for (unsigned i = 0; i < p->nr_ports && !p->parts.passthrough->absent; i++) {
		struct pci_function *card = card_for(p, &p->ports[i]);

		if (card)
			root_port_insert(&p->ports[i], card);
	}
}

/* --- create, destroy --- */

static struct pci_bus *root_bus(struct machine_pci *p, unsigned bridge)
{
	return bridge ? &p->roots[bridge - 1] : &p->host.root;
}

void machine_pci_add(struct machine_pci *p, const struct plan_pci *place, struct pci_function *fn)
{
	pci_bus_add(root_bus(p, plan_bridge_of(p->parts.plan, place->bus)), place->slot,
		    place->function, fn);
}

/* Root buses, and room for ports, which are made after the devices behind them. */
static int create_roots(struct machine_pci *p, struct err *err)
{
	const struct plan *plan = p->parts.plan;

	p->roots = calloc(plan->nr_bridges, sizeof(*p->roots));
	p->ports = calloc(plan->nr_ports + 1, sizeof(*p->ports));
	if (!p->roots || !p->ports)
		return err_sys(err, ENOMEM, "out of memory for %u host bridges and %u root ports",
			       plan->nr_bridges, plan->nr_ports);
	for (unsigned i = 1; i < plan->nr_bridges; i++)
		pci_host_add_root(&p->host, root_bus(p, i), (uint8_t)plan->bridges[i].bus);
	return 0;
}

/* Whether there are other functions behind the port of a passed-through device. */
static bool has_neighbours(const struct plan *plan, const struct plan_pci *fn)
{
	for (unsigned i = 0; i < plan->nr_pci; i++)
		if (&plan->pci[i] != fn && fn->port != PLAN_NO_PORT &&
		    plan->pci[i].port == fn->port)
			return true;
	return false;
}

static int machine_pci_create_slot(struct machine_pci *p, unsigned i, struct err *err)
{
	const struct plan_pci *fn = &p->parts.plan->pci[i];
	struct passthrough *pt = p->parts.passthrough;
	struct machine_slot *s = &p->slots[i];
	const struct vfio_pci_events events = { slot_requested, s };
	struct vfio_pci_place place = {
		.p2p = pt->n > 1,
		.root_bus = fn->port == PLAN_NO_PORT,
		.neighbours = has_neighbours(p->parts.plan, fn),
		.bus = fn->bus,
		.all = pt->devices,
		.nr_all = pt->n,
	};
	int ret;

	*s = (struct machine_slot){ .pci = p, .index = i };
	p->nr_slots = i + 1;
	if (!pt->devices[i])
		return 0; /* the device was given back before a reset of the guest */
	for (unsigned b = 0; b < BARS_AND_ROM; b++)
		place.bars[b] = fn->bars[b].at;
	for (unsigned pin = 0; pin < 4; pin++)
		place.gsi[pin] = plan_pci_gsi(p->parts.plan, fn, pin);
	ret = vfio_pci_plug(pt->devices[i], &p->env, &pt->iommu, &place, &events, err);
	if (ret < 0)
		return err_prefix(err, ret, "%s: ", fn->name);
	s->device = pt->devices[i];
	if (fn->port == PLAN_NO_PORT)
		machine_pci_add(p, fn, vfio_pci_function(s->device));
	else
		s->port = &p->ports[fn->port];
	return 0;
}

/* What the host completes of the atomic operations of all that is behind a port. */
static uint32_t port_atomics(const struct machine_pci *p, unsigned port)
{
	uint32_t atomics = UINT32_MAX;
	bool any = false;

	for (unsigned i = 0; i < p->nr_slots; i++) {
		if (p->parts.plan->pci[i].port != port || !p->slots[i].device)
			continue;
		atomics &= vfio_pci_atomics(p->slots[i].device);
		any = true;
	}
	return any ? atomics : 0;
}

static void create_port(struct machine_pci *p, unsigned i)
{
	const struct plan *plan = p->parts.plan;
	const struct plan_port *port = &plan->ports[i];
	unsigned bridge = plan_bridge_of(plan, port->bus);
	const struct root_port_numbers numbers = {
		.slot = (uint16_t)plan_port_number(plan, port),
		.primary = (uint8_t)plan->bridges[bridge].bus,
		.bus = (uint8_t)port->bus,
		.link_speed = (uint8_t)port->link_speed,
		.link_width = (uint8_t)port->link_width,
		.atomics = port_atomics(p, i),
		.io = port->io,
		.mem32 = port->mem32,
		.prefetch = port->prefetch,
	};
	struct pci_bus behind = { .slots = { NULL } };

	for (unsigned j = 0; j < p->nr_slots; j++)
		if (plan->pci[j].port == i && p->slots[j].device)
			pci_bus_add(&behind, 0, plan->pci[j].function,
				    vfio_pci_function(p->slots[j].device));
	root_port_init(&p->ports[i], &p->host, &p->env, &numbers,
		       p->parts.passthrough->absent ? NULL : behind.slots[0]);
	pci_bus_add(root_bus(p, bridge), port->slot, port->function, &p->ports[i].fn);
	p->nr_ports = i + 1;
}

/* Tells KVM of the groups, or with iommufd, which has no groups, of the devices. */
static int tell_kvm(struct machine_pci *p, struct err *err)
{
	const struct passthrough *pt = p->parts.passthrough;
	int files[PCI_DEVICES_MAX];
	size_t n = pt->iommu.ops->kvm_files(&pt->iommu, files, ARRAY_SIZE(files));
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < n; i++)
		ret = kvm_add_vfio(p->parts.kvm, files[i], err);
	if (n > 0)
		return ret;
	for (unsigned i = 0; ret == 0 && i < pt->n; i++)
		if (pt->devices[i])
			ret = kvm_add_vfio(p->parts.kvm, vfio_pci_file(pt->devices[i]), err);
	return ret;
}

static int machine_pci_create_devices(struct machine_pci *p, struct err *err)
{
	int ret = tell_kvm(p, err);

	if (ret < 0)
		return ret;
	p->leave = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->leave < 0)
		return err_sys(err, errno, "cannot make an eventfd");
	ret = env_watch(p, p->leave, leave_ready, p, err);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < p->parts.passthrough->n; i++) {
		ret = machine_pci_create_slot(p, i, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int machine_pci_create(struct machine_pci *p, const struct machine_pci_parts *parts,
		       struct err *err)
{
	uint64_t ecam_size = plan_buses(parts->plan) * MIB;
	int ret;

	*p = (struct machine_pci)MACHINE_PCI_EMPTY;
	p->parts = *parts;
	p->env = env_ops;
	p->env.to = p;
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->say_lock, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(p->watches); i++)
		p->watches[i].fd = -1;
	pci_host_init(&p->host, parts->at_cf9);
	ret = bus_add(parts->memory, (struct span){ ECAM_BASE, ECAM_BASE + ecam_size },
		      &p->host.ecam, err);
	if (ret < 0)
		goto fail;
	ret = bus_add(parts->ports, (struct span){ PORT_PCI, PORT_PCI + PCI_PORTS }, &p->host.ports,
		      err);
	if (ret < 0)
		goto fail;
	ret = create_roots(p, err);
	if (ret < 0)
		goto fail;
	if (parts->passthrough) {
		ret = machine_pci_create_devices(p, err);
		if (ret < 0)
			goto fail;
	}
	for (unsigned i = 0; i < parts->plan->nr_ports; i++)
		create_port(p, i);
	return 0;

fail:
	machine_pci_destroy(p);
	return ret;
}

void machine_pci_destroy(struct machine_pci *p)
{
	for (unsigned i = 0; i < p->nr_slots; i++)
		if (p->slots[i].device)
			vfio_pci_unplug(p->slots[i].device);
	p->nr_slots = 0;
	p->nr_ports = 0;
	free(p->ports);
	p->ports = NULL;
	free(p->roots);
	p->roots = NULL;
	if (p->leave >= 0) {
		env_unwatch(p, p->leave);
		close(p->leave);
		p->leave = -1;
	}
}
