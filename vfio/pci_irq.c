/*
 * Interrupts of a passed-through function: the guest's INTx, MSI and MSI-X registers on one side,
 * VFIO's eventfds on the other, and KVM's routes between them. No interrupt passes through here.
 *
 * A masked vector keeps its eventfd but has no route: an interrupt that comes meanwhile stays in
 * the eventfd, which is the pending bit, and is delivered when the vector is routed again.
 */
#include "vfio/pci_internal.h"

#include "vmm/base/bytes.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* --- VFIO's side --- */

/*
 * VFIO_DEVICE_SET_IRQS for `count` descriptors, for which `set` has room. A positive result: the
 * host has only that many vectors, and none was set.
 */
static int send_irqs(struct vfio_pci *dev, struct vfio_irq_set *set, uint32_t index,
		     uint32_t action, unsigned start, unsigned count, const int32_t *fds)
{
	size_t data = fds ? count * sizeof(*fds) : 0;
	int ret;

	*set = (struct vfio_irq_set){
		.argsz = (uint32_t)(sizeof(*set) + data),
		.flags = action | (fds ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
		.index = index,
		.start = start,
		.count = count,
	};
	if (fds)
		memcpy(set->data, fds, data);
	ret = ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, set);
	return ret < 0 ? -errno : ret;
}

static int set_irqs(struct vfio_pci *dev, uint32_t index, unsigned count, const int32_t *fds)
{
	struct vfio_irq_set *set = malloc(sizeof(*set) + count * sizeof(*fds));
	int ret;

	if (!set)
		return -ENOMEM;
	ret = send_irqs(dev, set, index, VFIO_IRQ_SET_ACTION_TRIGGER, 0, count, fds);
	free(set);
	return ret;
}

int vfio_irq_set_one(struct vfio_pci *dev, uint32_t index, uint32_t action, unsigned start, int fd)
{
	union {
		struct vfio_irq_set set;
		uint8_t room[sizeof(struct vfio_irq_set) + sizeof(int32_t)];
	} one;
	int32_t file = fd;

	return send_irqs(dev, &one.set, index, action, start, 1, &file);
}

/* Count 0 without data disables the index. */
static void disable(struct vfio_pci *dev, uint32_t index)
{
	struct vfio_irq_set set;

	(void)send_irqs(dev, &set, index, VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0, NULL);
}

int vfio_irq_eventfd(struct err *err)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? err_sys(err, errno, "cannot make an eventfd") : fd;
}

void vfio_irq_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int vfio_irqs_open(struct vfio_pci *dev, struct err *err)
{
	struct vfio_irqs *irqs = &dev->irqs;
	const struct vfio_config *c = &dev->config;

	for (unsigned i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		struct vfio_irq_info info = { .argsz = sizeof(info), .index = i };

		/* Older kernels lack the last indexes. */
		if (ioctl(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0)
			continue;
		irqs->counts[i] = info.count;
		irqs->flags[i] = info.flags;
	}
	irqs->nr_vectors =
		(unsigned)max_u64(c->msix ? c->msix_vectors : 0, c->msi ? c->msi_vectors : 0);
	if (!irqs->nr_vectors)
		return 0;
	irqs->vectors = calloc(irqs->nr_vectors, sizeof(*irqs->vectors));
	irqs->table = calloc(irqs->nr_vectors, PCI_MSIX_ENTRY_SIZE);
	irqs->changes = calloc(irqs->nr_vectors, sizeof(*irqs->changes));
	irqs->changed = calloc(irqs->nr_vectors, sizeof(*irqs->changed));
	if (!irqs->vectors || !irqs->table || !irqs->changes || !irqs->changed)
		return err_sys(err, ENOMEM, "out of memory for %u interrupt vectors",
			       irqs->nr_vectors);
	for (unsigned i = 0; i < irqs->nr_vectors; i++)
		irqs->vectors[i] = (struct vfio_vector){ .fd = -1, .route = -1 };
	return 0;
}

void vfio_irqs_close(struct vfio_pci *dev)
{
	free(dev->irqs.vectors);
	free(dev->irqs.table);
	free(dev->irqs.changes);
	free(dev->irqs.changed);
	dev->irqs.vectors = NULL;
	dev->irqs.table = NULL;
	dev->irqs.changes = NULL;
	dev->irqs.changed = NULL;
}

/* --- INTx --- */

static void intx_stop(struct vfio_pci *dev)
{
	struct vfio_irqs *irqs = &dev->irqs;
	unsigned pin = dev->fn.config.state.data[PCI_INTERRUPT_PIN];

	disable(dev, VFIO_PCI_INTX_IRQ_INDEX);
	dev->env->unintx(dev->env->to, dev->place.gsi[(pin - 1) & 3], irqs->intx);
	vfio_irq_close(&irqs->intx);
	vfio_irq_close(&irqs->resample);
}

/*
 * Sets up INTx. VFIO masks the line when it fires; when the guest acknowledges the interrupt, KVM
 * signals `resample`, and VFIO unmasks the line again.
 */
static int intx_start(struct vfio_pci *dev, struct err *err)
{
	struct vfio_irqs *irqs = &dev->irqs;
	unsigned pin = dev->fn.config.state.data[PCI_INTERRUPT_PIN];
	int ret;

	irqs->intx = vfio_irq_eventfd(err);
	irqs->resample = vfio_irq_eventfd(err);
	if (irqs->intx < 0 || irqs->resample < 0) {
		vfio_irq_close(&irqs->intx);
		vfio_irq_close(&irqs->resample);
		return -EMFILE;
	}
	ret = dev->env->intx(dev->env->to, dev->place.gsi[(pin - 1) & 3], irqs->intx,
			     irqs->resample, err);
	if (ret < 0) {
		vfio_irq_close(&irqs->intx);
		vfio_irq_close(&irqs->resample);
		return ret;
	}
	ret = vfio_irq_set_one(dev, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, 0,
			       irqs->intx);
	if (ret < 0)
		goto refused;
	ret = vfio_irq_set_one(dev, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK, 0,
			       irqs->resample);
	if (ret < 0)
		goto refused;
	return 0;

refused:
	intx_stop(dev);
	irqs->intx_refused = true;
	return err_sys(err, -ret, "VFIO refuses INTx");
}

/* --- vectors: MSI and MSI-X alike --- */

static uint32_t mode_index(const struct vfio_irqs *irqs)
{
	return irqs->mode == VFIO_IRQ_MSIX ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX;
}

static void unroute(struct vfio_pci *dev, struct vfio_vector *v)
{
	if (v->route >= 0)
		dev->env->unroute(dev->env->to, v->route, v->fd);
	v->route = -1;
}

static void vectors_stop(struct vfio_pci *dev)
{
	struct vfio_irqs *irqs = &dev->irqs;

	if (irqs->nr_enabled)
		disable(dev, mode_index(irqs));
	irqs->nr_enabled = 0;
	for (unsigned i = 0; i < irqs->nr_vectors; i++) {
		unroute(dev, &irqs->vectors[i]);
		vfio_irq_close(&irqs->vectors[i].fd);
		irqs->vectors[i].given = false;
	}
}

/*
 * Sets up vectors 0 to `n` - 1 in one call; those without an eventfd deliver nothing. If the host
 * has fewer vectors, these are set up, and `err` says so.
 */
static int enable_to(struct vfio_pci *dev, unsigned n, struct err *err)
{
	struct vfio_irqs *irqs = &dev->irqs;
	int32_t *fds = calloc(n, sizeof(*fds));
	unsigned asked = n;
	int ret;

	if (!fds)
		return err_sys(err, ENOMEM, "out of memory for %u interrupt vectors", n);
	for (unsigned i = 0; i < n; i++)
		fds[i] = irqs->vectors[i].fd;
	ret = set_irqs(dev, mode_index(irqs), n, fds);
	if (ret > 0 && (unsigned)ret < n) {
		n = (unsigned)ret;
		err_set(err, ENOSPC, "the host has %u of the %u interrupt vectors", n, asked);
		ret = set_irqs(dev, mode_index(irqs), n, fds);
	}
	free(fds);
	if (ret)
		return err_sys(err, ret < 0 ? -ret : ENOSPC, "VFIO refuses %u interrupt vectors",
			       n);
	irqs->nr_enabled = n;
	irqs->nr_asked = asked;
	for (unsigned i = 0; i < n; i++)
		irqs->vectors[i].given = irqs->vectors[i].fd >= 0;
	return 0;
}

/* The number of vectors that the guest's MSI registers enable. */
static unsigned msi_used(const struct vfio_pci *dev)
{
	uint32_t control = pci_config_get(&dev->fn.config, dev->config.msi + PCI_MSI_FLAGS, 2);

	return (unsigned)min_u64(1u << (control >> 4 & 7), dev->config.msi_vectors);
}

/* Whether the kernel cannot add vectors later, so that all are set up at once, without eventfds. */
static bool is_fixed(const struct vfio_pci *dev)
{
	return dev->irqs.mode == VFIO_IRQ_MSI ||
	       (dev->irqs.flags[VFIO_PCI_MSIX_IRQ_INDEX] & VFIO_IRQ_INFO_NORESIZE);
}

/*
 * Enables MSI or MSI-X in the device as soon as the guest enables it, before any vector has an
 * eventfd, because devices and their firmware read the enable bit.
 */
static int enable_first(struct vfio_pci *dev, struct err *err)
{
	unsigned n = dev->config.msix_vectors;

	if (dev->irqs.mode == VFIO_IRQ_MSI)
		n = msi_used(dev);
	else if (!is_fixed(dev))
		while (n > 1 && dev->irqs.vectors[n - 1].fd < 0)
			n--;
	return enable_to(dev, n, err);
}

/* Hands VFIO the eventfds of vectors `first` to `last` that it does not have yet. */
static int give(struct vfio_pci *dev, unsigned first, unsigned last, struct err *err)
{
	struct vfio_irqs *irqs = &dev->irqs;

	if (!irqs->nr_enabled)
		return enable_first(dev, err);
	/* enable_to() has told the user already that the host has no more. */
	if (is_fixed(dev))
		last = (unsigned)min_u64(last, irqs->nr_enabled - 1);
	for (unsigned i = first; i <= last; i++) {
		struct vfio_vector *v = &irqs->vectors[i];
		int ret;

		if (v->fd < 0 || v->given)
			continue;
		ret = vfio_irq_set_one(dev, mode_index(irqs), VFIO_IRQ_SET_ACTION_TRIGGER, i,
				       v->fd);
		if (ret < 0)
			return err_sys(err, -ret, "VFIO refuses interrupt vector %u", i);
		v->given = true;
		irqs->nr_enabled = (unsigned)max_u64(irqs->nr_enabled, i + 1);
	}
	return 0;
}

struct message {
	uint64_t address;
	uint32_t data;
	bool masked;
};

static struct message msix_message(const struct vfio_pci *dev, unsigned vector)
{
	const uint8_t *entry = dev->irqs.table + PCI_MSIX_ENTRY_SIZE * vector;
	uint32_t control = pci_config_get(&dev->fn.config, dev->config.msix + PCI_MSIX_FLAGS, 2);

	return (struct message){
		.address = load_le(entry, 8),
		.data = (uint32_t)load_le(entry + 8, 4),
		.masked = (control & PCI_MSIX_FLAGS_MASKALL) ||
			  (entry[PCI_MSIX_ENTRY_VECTOR_CTRL] & PCI_MSIX_ENTRY_CTRL_MASKBIT),
	};
}

/* The message of a vector: the device puts the vector's number into the low bits of the data. */
static struct message msi_message(const struct vfio_pci *dev, unsigned vector)
{
	const struct vfio_config *v = &dev->config;
	const struct pci_config *c = &dev->fn.config;
	unsigned data = v->msi + (v->msi_wide ? 12 : 8);
	uint32_t control = pci_config_get(c, v->msi + PCI_MSI_FLAGS, 2);
	unsigned used = 1u << min_u64(control >> 4 & 7, 5);
	uint32_t mask = v->msi_masks ? pci_config_get(c, data + 4, 4) : 0;
	uint64_t upper = v->msi_wide ? pci_config_get(c, v->msi + 8, 4) : 0;

	return (struct message){
		.address = upper << 32 | pci_config_get(c, v->msi + 4, 4),
		.data = (pci_config_get(c, data, 2) & ~(used - 1)) | vector,
		.masked = vector >= used || (mask >> vector & 1),
	};
}

static unsigned mode_vectors(const struct vfio_pci *dev)
{
	return dev->irqs.mode == VFIO_IRQ_MSIX ? dev->config.msix_vectors : dev->config.msi_vectors;
}

/*
 * Removes the route of a masked vector, and gives an unmasked one its eventfd. Returns 1 if its
 * route is to be added or changed, as *wanted says.
 */
static int look_at_vector(struct vfio_pci *dev, unsigned i, struct msi_route *wanted,
			  struct err *err)
{
	struct message m =
		dev->irqs.mode == VFIO_IRQ_MSIX ? msix_message(dev, i) : msi_message(dev, i);
	struct vfio_vector *v = &dev->irqs.vectors[i];

	if (m.masked) {
		unroute(dev, v);
		return 0;
	}
	if (v->fd < 0) {
		int fd = vfio_irq_eventfd(err);

		if (fd < 0)
			return fd;
		v->fd = fd;
	}
	*wanted = (struct msi_route){ v->fd, v->route, m.address, m.data };
	return v->route < 0 || v->address != m.address || v->data != m.data;
}

/*
 * Adds, changes or removes the routes of vectors `first` to `last`; a masked one has none. A
 * failure is tried again at the next change.
 */
static int route_vectors(struct vfio_pci *dev, unsigned first, unsigned last, struct err *err)
{
	struct vfio_irqs *irqs = &dev->irqs;
	int ret = 0, routed = 0;
	unsigned n = 0;

	for (unsigned i = first; ret >= 0 && i <= last; i++) {
		ret = look_at_vector(dev, i, &irqs->changes[n], err);
		if (ret == 1)
			irqs->changed[n++] = i;
	}
	if (n)
		routed = dev->env->route(dev->env->to, irqs->changes, n, err);
	for (unsigned i = 0; i < n; i++) {
		struct vfio_vector *v = &irqs->vectors[irqs->changed[i]];

		v->route = irqs->changes[i].handle;
		v->address = irqs->changes[i].address;
		v->data = irqs->changes[i].data;
	}
	return ret < 0 ? ret : routed;
}

/* Sets up vectors `first` to `last` as the guest's registers say. */
static int sync_vectors(struct vfio_pci *dev, unsigned first, unsigned last, struct err *err)
{
	int ret = route_vectors(dev, first, last, err), given;

	given = give(dev, first, last, err); /* vectors before one that failed work */
	return ret < 0 ? ret : given;
}

/* --- the choice between INTx, MSI and MSI-X --- */

static enum vfio_irq_mode wanted_mode(const struct vfio_pci *dev)
{
	const struct vfio_config *v = &dev->config;
	const struct pci_config *c = &dev->fn.config;

	if (v->msix && (pci_config_get(c, v->msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE))
		return VFIO_IRQ_MSIX;
	if (v->msi && (pci_config_get(c, v->msi + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE))
		return VFIO_IRQ_MSI;
	if (c->state.data[PCI_INTERRUPT_PIN] &&
	    !(pci_config_get(c, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE))
		return VFIO_IRQ_INTX;
	return VFIO_IRQ_NONE;
}

static void mode_stop(struct vfio_pci *dev)
{
	switch (dev->irqs.mode) {
	case VFIO_IRQ_NONE:
		break;
	case VFIO_IRQ_INTX:
		intx_stop(dev);
		break;
	case VFIO_IRQ_MSI:
	case VFIO_IRQ_MSIX:
		vectors_stop(dev);
		break;
	}
	dev->irqs.mode = VFIO_IRQ_NONE;
}

void vfio_irqs_update(struct vfio_pci *dev)
{
	enum vfio_irq_mode want = wanted_mode(dev);
	struct vfio_irqs *irqs = &dev->irqs;
	struct err err = { "" };
	int ret = 0;

	pthread_mutex_lock(&dev->lock);
	irqs->intx_refused &= want == VFIO_IRQ_INTX;
	if (irqs->intx_refused)
		want = VFIO_IRQ_NONE;
	if (want != irqs->mode) {
		mode_stop(dev);
		if (want == VFIO_IRQ_INTX)
			ret = intx_start(dev, &err);
		if (ret == 0)
			irqs->mode = want;
	} else if (want == VFIO_IRQ_MSI && irqs->nr_enabled && irqs->nr_asked != msi_used(dev)) {
		vectors_stop(
			dev); /* the guest changed the number of vectors while MSI is enabled */
	}
	if (ret == 0 && (want == VFIO_IRQ_MSI || want == VFIO_IRQ_MSIX))
		(void)sync_vectors(dev, 0, mode_vectors(dev) - 1, &err);
	pthread_mutex_unlock(&dev->lock);
	if (*err.text)
		vfio_say(dev, &err);
}

void vfio_irqs_stop(struct vfio_pci *dev)
{
	pthread_mutex_lock(&dev->lock);
	mode_stop(dev);
	dev->irqs.intx_refused = false;
	/* Mask every vector, as after a reset. */
	for (unsigned i = 0; i < dev->irqs.nr_vectors; i++) {
		memset(dev->irqs.table + PCI_MSIX_ENTRY_SIZE * i, 0, PCI_MSIX_ENTRY_SIZE);
		dev->irqs.table[PCI_MSIX_ENTRY_SIZE * i + PCI_MSIX_ENTRY_VECTOR_CTRL] =
			PCI_MSIX_ENTRY_CTRL_MASKBIT;
	}
	pthread_mutex_unlock(&dev->lock);
}

/* --- the MSI-X table and pending bits in memory --- */

/* PCI Local Bus 3.0 section 6.8.2: a vector is pending if it fired while it was masked. */
static bool is_pending(const struct vfio_vector *v)
{
	struct pollfd p = { .fd = v->fd, .events = POLLIN };

	return v->fd >= 0 && v->route < 0 && poll(&p, 1, 0) == 1;
}

static uint64_t read_pending(const struct vfio_pci *dev, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	for (unsigned bit = 0; bit < 8 * size; bit++) {
		uint64_t vector = 8 * offset + bit;

		if (vector < dev->config.msix_vectors && is_pending(&dev->irqs.vectors[vector]))
			value |= UINT64_C(1) << bit;
	}
	return value;
}

static bool in_table(const struct vfio_config *c, unsigned bar, uint64_t offset, unsigned size)
{
	struct span table = { c->table_offset, c->table_offset + UINT64_C(16) * c->msix_vectors };

	return c->msix && bar == c->table_bar && span_holds(table, offset, size);
}

static bool in_pending(const struct vfio_config *c, unsigned bar, uint64_t offset, unsigned size)
{
	struct span pba = { c->pba_offset,
			    c->pba_offset + UINT64_C(8) * ((c->msix_vectors + 63) / 64) };

	return c->msix && bar == c->pba_bar && span_holds(pba, offset, size);
}

bool vfio_msix_read(struct vfio_pci *dev, unsigned bar, uint64_t offset, unsigned size,
		    uint64_t *value)
{
	const struct vfio_config *c = &dev->config;
	bool table = in_table(c, bar, offset, size), pba = in_pending(c, bar, offset, size);

	if (!table && !pba)
		return false;
	pthread_mutex_lock(&dev->lock);
	*value = table ? load_le(dev->irqs.table + (offset - c->table_offset), size)
		       : read_pending(dev, offset - c->pba_offset, size);
	pthread_mutex_unlock(&dev->lock);
	return true;
}

/* The specification allows only aligned accesses of 4 and 8 bytes; others are dropped. */
bool vfio_msix_write(struct vfio_pci *dev, unsigned bar, uint64_t offset, unsigned size,
		     uint64_t value)
{
	const struct vfio_config *c = &dev->config;
	struct err err = { "" };
	uint64_t at;

	if (!in_table(c, bar, offset, size))
		return in_pending(c, bar, offset, size);
	at = offset - c->table_offset;
	if (size < 4 || at % size)
		return true;
	pthread_mutex_lock(&dev->lock);
	store_le(dev->irqs.table + at, value, size);
	if (dev->irqs.mode == VFIO_IRQ_MSIX)
		(void)sync_vectors(dev, (unsigned)(at / PCI_MSIX_ENTRY_SIZE),
				   (unsigned)(at / PCI_MSIX_ENTRY_SIZE), &err);
	if (*err.text) /* the device is plugged, because unplugging needs the lock */
		vfio_say(dev, &err);
	pthread_mutex_unlock(&dev->lock);
	return true;
}
