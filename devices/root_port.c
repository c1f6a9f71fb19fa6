/*
 * A root port's registers and its slot. Configuration accesses come through devices/pci.c, under
 * the host bridge's lock; the functions for the host (button, removal) take that lock. Changes its
 * own registers and calls its child's reset and env->msi.
 *
 * Accesses to configuration space are routed by the bus numbers. The windows are registers without
 * an effect: the child's BARs are decoded also outside of the windows.
 */
#include "devices/root_port.h"

#include <linux/pci_regs.h>
#include <stddef.h>

/* Type 1 header, PCI-to-PCI Bridge 1.2 section 3.2 */
#define COMMAND_SET	 0x0007 /* I/O, memory, bus master: as firmware leaves a bridge */
#define IO_BASE		 0x1c
#define IO_LIMIT	 0x1d
#define SECONDARY_STATUS 0x1e
#define MEMORY_BASE	 0x20
#define MEMORY_LIMIT	 0x22
#define PREFETCH_BASE	 0x24
#define PREFETCH_LIMIT	 0x26
#define PREFETCH_UPPER	 0x28
#define PREFETCH_WIDE	 1 /* 64 bits */
#define BRIDGE_CONTROL	 0x3e
#define SECONDARY_RESET	 0x0040
#define CONTROL_WRITABLE 0x005f

/* PCI Express Base 5.0 section 7.5.3: offsets within the capability */
#define CAP_PCIE      0x10
#define PCIE_SIZE     0x3c
#define FLAGS	      0x02
#define FLAGS_PORT    0x0142 /* version 2, root port, slot implemented */
#define DEVCAP	      0x04
#define DEVCAP_RBER   0x8000 /* role-based error reporting, which every port since 1.1 has */
#define DEVCTL	      0x08
#define DEVSTA	      0x0a
#define LNKCAP	      0x0c
#define LNKCAP_ACTIVE 0x00100000 /* LNKSTA reports whether the data link layer is active */
#define LNKCTL	      0x10
#define LNKCTL_BITS   0x00d3 /* ASPM, link disable, common clock, extended synch */
#define LNKCTL_OFF    0x0010 /* link disable */
#define LNKSTA	      0x12
#define LNKSTA_ACTIVE 0x2000
#define LINK_BITS     0x03ff /* speed and width, of capability and status */
#define LINK_ANY      0x0104 /* 16 GT/s, 16 lanes */
#define SLTCAP	      0x14
#define SLTCAP_SLOT                                                                \
	0x0004005b /* button, power controller, both indicators, hot-plug capable, \
		      no command completed events */
#define SLTCTL	      0x18
#define SLTCTL_BITS   0x17ff
#define SLTCTL_START  0x01c0 /* power on, power indicator on, attention indicator off */
#define SLTCTL_HPIE   0x0020 /* hot-plug interrupt enable */
#define SLTCTL_OFF    0x0400 /* power controller control: off */
#define SLTCTL_LIGHT  0x0300 /* power indicator */
#define SLTCTL_BLINKS 0x0200
#define SLTSTA	      0x1a
#define SLTSTA_BUTTON 0x0001
#define SLTSTA_CHANGE 0x0008 /* presence detect changed */
#define SLTSTA_HERE   0x0040 /* presence detect state */
#define SLTSTA_LINK   0x0100 /* data link layer state changed */
#define SLTSTA_EVENTS 0x001f /* status bits whose enable bits have the same numbers in SLTCTL */
#define SLTSTA_CLEARS (SLTSTA_EVENTS | SLTSTA_LINK)
#define SLTCTL_LINK   0x1000 /* enables SLTSTA_LINK */
#define RTCTL	      0x1c
#define RTSTA	      0x20
#define RTSTA_PME     0x00010000
#define DEVCAP2	      0x24
#define DEVCAP2_ATOMS 0x0380 /* atomic operations of 32, 64 and 128 bits that it completes */
#define DEVCTL2	      0x28
#define LNKCAP2	      0x2c
#define LNKCTL2	      0x30

/* PCI Local Bus 3.0 section 6.8.1: 64-bit address, one vector, no mask */
#define CAP_MSI	    0x05
#define MSI_SIZE    14
#define MSI_CONTROL 0x02
#define MSI_WIDE    0x0080
#define MSI_ENABLE  0x0001
#define MSI_ADDRESS 0x04
#define MSI_UPPER   0x08
#define MSI_DATA    0x0c

/* PCI Power Management 1.2 section 3.2: D0 and D3hot, which have no effect on the port; no PME */
#define CAP_PM	       0x01
#define PM_SIZE	       8
#define PM_CAP	       0x02
#define PM_VERSION     3
#define PM_CONTROL     0x04
#define PM_STATE       0x3
#define PM_KEEPS_STATE 0x8 /* No_Soft_Reset: the registers survive D3hot */

static struct root_port *port_of(struct pci_function *fn)
{
	return container_of(fn, struct root_port, fn);
}

static uint32_t get(const struct root_port *p, unsigned reg, unsigned size)
{
	return pci_config_get(&p->fn.config, p->pcie + reg, size);
}

static void set(struct root_port *p, unsigned reg, unsigned size, uint32_t value)
{
	pci_config_set(&p->fn.config, p->pcie + reg, size, value);
}

/* --- events of the slot --- */

/*
 * Section 6.7.3.4: sends a message when an enabled event is set and none was before. For an event
 * that was set before the guest enabled MSI, the message is sent when MSI is enabled.
 */
static void update_interrupt(struct root_port *p)
{
	uint32_t control = get(p, SLTCTL, 2), status = get(p, SLTSTA, 2);
	uint32_t events = status & control & SLTSTA_EVENTS;
	const struct pci_config *c = &p->fn.config;
	bool raised;

	if ((status & SLTSTA_LINK) && (control & SLTCTL_LINK))
		events |= SLTSTA_LINK;
	raised = events && (control & SLTCTL_HPIE) &&
		 (pci_config_get(c, p->msi + MSI_CONTROL, 2) & MSI_ENABLE);
	if (raised && !p->state.raised) {
		uint64_t upper = pci_config_get(c, p->msi + MSI_UPPER, 4);

		p->env->msi(p->env->to, upper << 32 | pci_config_get(c, p->msi + MSI_ADDRESS, 4),
			    pci_config_get(c, p->msi + MSI_DATA, 2));
	}
	p->state.raised = raised;
}

static void reset_child(struct root_port *p)
{
	for (struct pci_function *fn = p->bus.slots[0]; fn; fn = fn->next)
		if (fn->ops->reset)
			fn->ops->reset(fn);
}

/*
 * Updates link and status of the slot from the device in it, its power and the link disable bit,
 * and signals changes to the guest. A device that loses its link is reset.
 */
static void update_slot(struct root_port *p)
{
	uint32_t status = get(p, SLTSTA, 2), was = status;
	bool link =
		p->child && !(get(p, SLTCTL, 2) & SLTCTL_OFF) && !(get(p, LNKCTL, 2) & LNKCTL_OFF);

	status = p->child ? status | SLTSTA_HERE : status & ~(uint32_t)SLTSTA_HERE;
	if ((status ^ was) & SLTSTA_HERE)
		status |= SLTSTA_CHANGE;
	if (link != !!p->bus.slots[0])
		status |= SLTSTA_LINK;
	if (!link && p->child && p->bus.slots[0]) /* only when the link goes down */
		reset_child(p);
	p->bus.slots[0] = link ? p->child : NULL;
	set(p, LNKSTA, 2, (get(p, LNKCAP, 4) & LINK_BITS) | (link ? LNKSTA_ACTIVE : 0));
	set(p, SLTSTA, 2, status);
	update_interrupt(p);
}

/* Removes the device from the slot, which has no power, and returns it to the host. */
static void release(struct root_port *p)
{
	void (*released)(void *to) = p->released;

	reset_child(p);
	p->child = NULL;
	p->released = NULL;
	update_slot(p);
	released(p->to);
}

static void port_write(struct pci_function *fn, unsigned offset, unsigned size, uint32_t value)
{
	struct root_port *p = port_of(fn);
	uint32_t bridge = pci_config_get(&fn->config, BRIDGE_CONTROL, 2);
	uint32_t power = pci_config_get(&fn->config, p->pm + PM_CONTROL, 2);
	uint32_t state;

	pci_function_write(fn, offset, size, value);
	if (pci_config_get(&fn->config, BRIDGE_CONTROL, 2) & ~bridge & SECONDARY_RESET)
		reset_child(p);
	state = pci_config_get(&fn->config, p->pm + PM_CONTROL, 2) & PM_STATE;
	if (state == 1 || state == 2) /* section 3.2.4: D1 and D2 do not exist: not written */
		pci_config_set(&fn->config, p->pm + PM_CONTROL, 2, power);
	if (p->released && p->child && (get(p, SLTCTL, 2) & SLTCTL_OFF))
		release(p);
	else
		update_slot(p);
}

static const struct pci_ops port_ops = {
	.name = "root port",
	.write = port_write,
};

/* --- the registers before the guest starts, as firmware sets them --- */

/*
 * Sets the windows. A base above the limit closes a window. Of memory addresses bits 19:0 are not
 * in the registers, and of ports bits 11:0: they count as zeroes in the base and as ones in the
 * limit.
 */
static void set_windows(struct root_port *p, const struct root_port_numbers *n)
{
	struct pci_config *c = &p->fn.config;
	bool io = !span_empty(n->io), low = !span_empty(n->mem32), high = !span_empty(n->prefetch);

	pci_config_set(c, IO_BASE, 1, io ? n->io.base >> 8 & 0xf0 : 0xf0);
	pci_config_set(c, IO_LIMIT, 1, io ? (n->io.end - 1) >> 8 & 0xf0 : 0);
	pci_config_set(c, MEMORY_BASE, 2, low ? n->mem32.base >> 16 & 0xfff0 : 0xfff0);
	pci_config_set(c, MEMORY_LIMIT, 2, low ? (n->mem32.end - 1) >> 16 & 0xfff0 : 0);
	pci_config_set(c, PREFETCH_BASE, 2,
		       (high ? n->prefetch.base >> 16 & 0xfff0 : 0xfff0) | PREFETCH_WIDE);
	pci_config_set(c, PREFETCH_LIMIT, 2,
		       (high ? (n->prefetch.end - 1) >> 16 & 0xfff0 : 0) | PREFETCH_WIDE);
	pci_config_set(c, PREFETCH_UPPER, 4, high ? (uint32_t)(n->prefetch.base >> 32) : 0);
	pci_config_set(c, PREFETCH_UPPER + 4, 4,
		       high ? (uint32_t)((n->prefetch.end - 1) >> 32) : 0);
	pci_config_allow(c, IO_BASE, 2, 0xf0f0);
	pci_config_allow(c, MEMORY_BASE, 4, 0xfff0fff0);
	pci_config_allow(c, PREFETCH_BASE, 4, 0xfff0fff0);
	pci_config_allow(c, PREFETCH_UPPER, 4, 0xffffffff);
	pci_config_allow(c, PREFETCH_UPPER + 4, 4, 0xffffffff);
}

static void set_bridge(struct root_port *p, const struct root_port_numbers *n)
{
	struct pci_config *c = &p->fn.config;

	pci_config_set(c, PCI_COMMAND, 2, COMMAND_SET);
	pci_config_set(c, PCI_PRIMARY_BUS, 1, n->primary);
	pci_config_set(c, PCI_SECONDARY_BUS, 1, n->bus);
	pci_config_set(c, PCI_SUBORDINATE_BUS, 1, n->bus);
	pci_config_allow(c, PCI_PRIMARY_BUS, 4, 0x00ffffff);
	pci_config_allow_clear(c, SECONDARY_STATUS, 2, 0xf900);
	pci_config_allow(c, BRIDGE_CONTROL, 2, CONTROL_WRITABLE);
	set_windows(p, n);
}

/* Every speed up to the highest is supported: section 7.5.3.18, bit 1 is 2.5 GT/s. */
static void set_link(struct root_port *p, const struct root_port_numbers *n)
{
	uint32_t link = n->link_speed ? n->link_speed | (uint32_t)n->link_width << 4 : LINK_ANY;
	unsigned speed = link & 0xf;

	set(p, LNKCAP, 4, link | LNKCAP_ACTIVE | (n->slot & 0xffu) << 24);
	set(p, LNKCAP2, 4, (2u << speed) - 2);
	set(p, LNKCTL2, 2, speed);
}

static void set_pcie(struct root_port *p, const struct root_port_numbers *n)
{
	struct pci_config *c = &p->fn.config;
	unsigned at = p->pcie = pci_config_add_cap(c, CAP_PCIE, PCIE_SIZE);

	set(p, FLAGS, 2, FLAGS_PORT);
	set(p, DEVCAP, 4, DEVCAP_RBER);
	set(p, DEVCAP2, 4, n->atomics & DEVCAP2_ATOMS);
	set_link(p, n);
	set(p, SLTCAP, 4, SLTCAP_SLOT | (uint32_t)n->slot << 19);
	set(p, SLTCTL, 2, SLTCTL_START);
	pci_config_allow(c, at + DEVCTL, 2, 0x000f); /* error reporting enable bits */
	pci_config_allow_clear(c, at + DEVSTA, 2, 0x000f);
	pci_config_allow(c, at + LNKCTL, 2, LNKCTL_BITS);
	pci_config_allow(c, at + SLTCTL, 2, SLTCTL_BITS);
	pci_config_allow_clear(c, at + SLTSTA, 2, SLTSTA_CLEARS);
	pci_config_allow(c, at + RTCTL, 2, 0x000f);
	pci_config_allow_clear(c, at + RTSTA, 4, RTSTA_PME);
	pci_config_allow(c, at + LNKCTL2, 2, 0x000f);
}

static void set_msi(struct root_port *p)
{
	struct pci_config *c = &p->fn.config;
	unsigned at = p->msi = pci_config_add_cap(c, CAP_MSI, MSI_SIZE);

	pci_config_set(c, at + MSI_CONTROL, 2, MSI_WIDE);
	pci_config_allow(c, at + MSI_CONTROL, 2, MSI_ENABLE);
	pci_config_allow(c, at + MSI_ADDRESS, 4, 0xfffffffc);
	pci_config_allow(c, at + MSI_UPPER, 4, 0xffffffff);
	pci_config_allow(c, at + MSI_DATA, 2, 0xffff);
}

static void set_pm(struct root_port *p)
{
	struct pci_config *c = &p->fn.config;
	unsigned at = p->pm = pci_config_add_cap(c, CAP_PM, PM_SIZE);

	pci_config_set(c, at + PM_CAP, 2, PM_VERSION);
	pci_config_set(c, at + PM_CONTROL, 2, PM_KEEPS_STATE);
	pci_config_allow(c, at + PM_CONTROL, 2, PM_STATE);
}

void root_port_init(struct root_port *port, struct pci_host *host, const struct pci_env *env,
		    const struct root_port_numbers *numbers, struct pci_function *child)
{
	/* Red Hat's IDs for the generic PCIe root port of virtual machines. */
	static const struct pci_identity identity = {
		.vendor = 0x1b36,
		.device = 0x000c,
		.class = 0x060400,
		.header = 1,
	};

	*port = (struct root_port){ .host = host, .env = env, .child = child };
	pci_function_init(&port->fn, &port_ops, &identity);
	port->fn.behind = &port->bus;
	set_bridge(port, numbers);
	set_pcie(port, numbers);
	set_msi(port);
	set_pm(port);
	update_slot(port);
	set(port, SLTSTA, 2, get(port, SLTSTA, 2) & SLTSTA_HERE); /* without events so far */
}

/* --- for the host --- */

/*
 * Does not press the button while the power indicator blinks, because a second press then cancels
 * the removal (section 6.7.1.5).
 */
void root_port_press_button(struct root_port *port, void (*released)(void *to), void *to)
{
	uint32_t control;

	pci_host_lock(port->host);
	control = get(port, SLTCTL, 2);
	if (port->child) {
		port->released = released;
		port->to = to;
		if (control & SLTCTL_OFF)
			release(port);
		else if ((control & SLTCTL_LIGHT) != SLTCTL_BLINKS)
			set(port, SLTSTA, 2, get(port, SLTSTA, 2) | SLTSTA_BUTTON);
		update_interrupt(port);
	}
	pci_host_unlock(port->host);
}

/*
 * In a slot with power the link comes up, which is an event of its own, and a press of the button
 * would ask the guest to release the card. A slot without power comes to life when the button is
 * pressed (section 6.7.1.5): Linux turns off the power of a slot that it finds empty, and of a slot
 * with a button enables no event of the presence (pciehp_hpc.c, pcie_init() and
 * pcie_enable_notification()). As the presence has changed as well, it does not wait for a second
 * press.
 */
void root_port_insert(struct root_port *port, struct pci_function *card)
{
	pci_host_lock(port->host);
	if (!port->child) {
		port->released = NULL;
		port->child = card;
		if (get(port, SLTCTL, 2) & SLTCTL_OFF)
			set(port, SLTSTA, 2, get(port, SLTSTA, 2) | SLTSTA_BUTTON);
		update_slot(port);
	}
	pci_host_unlock(port->host);
}

void root_port_remove(struct root_port *port)
{
	pci_host_lock(port->host);
	port->released = NULL;
	port->child = NULL;
	update_slot(port);
	pci_host_unlock(port->host);
}
