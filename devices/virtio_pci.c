#include "devices/virtio_pci.h"

#include "vmm/base/bytes.h"
#include "vmm/base/platform.h"

#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VENDOR	     0x1af4
#define DEVICE	     0x1040 /* plus the device's type */
#define REVISION     1	    /* section 4.1.2.1: no transitional device */
#define NO_VECTOR    0xffff
#define BAR	     0
#define ISR_QUEUE    1
#define ISR_CONFIG   2
#define RESET_STATUS 0

/* Offsets of the BAR's parts */
#define COMMON	      0x0000
#define ISR	      0x1000
#define DEVICE_CONFIG 0x2000
#define NOTIFY	      0x3000
#define TABLE	      0x4000
#define PENDING	      0x5000
#define PART	      0x1000
#define NOTIFY_STEP   4

/* Device status: section 2.1 */
#define DRIVER_OK   4
#define FEATURES_OK 8
#define NEEDS_RESET 64

/* Capabilities: section 4.1.4 */
#define CAP_ID	      0x09
#define CAP_COMMON    1
#define CAP_NOTIFY    2
#define CAP_ISR	      3
#define CAP_DEVICE    4
#define CAP_WINDOW    5
#define CAP_SIZE      16
#define WINDOW_BAR    4
#define WINDOW_OFFSET 8
#define WINDOW_LENGTH 12
#define WINDOW_DATA   16

/* Common configuration: section 4.1.4.3 */
enum {
	DEVICE_FEATURES_SELECT = 0x00,
	DEVICE_FEATURES = 0x04,
	DRIVER_FEATURES_SELECT = 0x08,
	DRIVER_FEATURES = 0x0c,
	CONFIG_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	STATUS = 0x14,
	GENERATION = 0x15,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
	COMMON_SIZE = 0x38,
};

static struct virtio_pci *virtio_pci_of_bar(struct device *bar)
{
	return container_of(bar, struct virtio_pci, bar);
}

static struct virtio_pci *virtio_pci_of_function(struct pci_function *fn)
{
	return container_of(fn, struct virtio_pci, fn);
}

/* --- callbacks of the device; any thread --- */

static void raise_isr(struct virtio_pci *v, uint8_t bit, uint16_t vector)
{
	__atomic_fetch_or(&v->state.isr, bit, __ATOMIC_RELAXED);
	msix_raise(&v->msix, vector);
}

static void device_interrupt(void *to, unsigned queue)
{
	struct virtio_pci *v = to;

	raise_isr(v, ISR_QUEUE, __atomic_load_n(&v->state.queue_vectors[queue], __ATOMIC_RELAXED));
}

static void tell_config(struct virtio_pci *v)
{
	if (__atomic_load_n(&v->state.status, __ATOMIC_RELAXED) & DRIVER_OK)
		raise_isr(v, ISR_CONFIG,
			  __atomic_load_n(&v->state.config_vector, __ATOMIC_RELAXED));
}

static bool device_config_changed(void *to, unsigned offset, const void *bytes, unsigned n,
				  bool wait)
{
	struct virtio_pci *v = to;

	if (wait)
		pthread_mutex_lock(&v->bar.lock);
	else if (pthread_mutex_trylock(&v->bar.lock))
		return false;
	memcpy(v->dev->state.config + offset, bytes, n);
	v->state.generation++;
	pthread_mutex_unlock(&v->bar.lock);
	tell_config(v);
	return true;
}

/* Section 2.1.2: sets DEVICE_NEEDS_RESET and interrupts the driver, which must reset the device. */
static void device_needs_reset(void *to, const char *why)
{
	struct virtio_pci *v = to;
	char line[sizeof(struct err) + 64];

	if (__atomic_fetch_or(&v->state.status, NEEDS_RESET, __ATOMIC_RELAXED) & NEEDS_RESET)
		return;
	if (why) {
		snprintf(line, sizeof(line), "%s: %s; the guest must reset the device",
			 v->dev->name, why);
		v->env->say(v->env->to, line);
	}
	tell_config(v);
}

static void device_lock(void *to, bool lock)
{
	struct virtio_pci *v = to;

	if (lock)
		pthread_mutex_lock(&v->bar.lock);
	else
		pthread_mutex_unlock(&v->bar.lock);
}

/* Returns the eventfd that interrupts the driver for a queue; -1: the queue has no vector. */
static int device_interrupt_fd(void *to, unsigned queue)
{
	struct virtio_pci *v = to;
	uint16_t vector = v->state.queue_vectors[queue];

	return vector < v->msix.n ? v->msix.vectors[vector].fd : -1;
}

/* --- common configuration; with the BAR's lock held --- */

static void virtio_pci_reset(struct virtio_pci *v)
{
	struct virtio_pci_state *st = &v->state;

	virtio_reset(v->dev);
	st->driver_features = 0;
	st->device_features_select = st->driver_features_select = 0;
	/* Atomic, because threads that send interrupts read the vectors without the lock. */
	__atomic_store_n(&st->config_vector, NO_VECTOR, __ATOMIC_RELAXED);
	st->queue_select = 0;
	for (unsigned i = 0; i < v->dev->nr_queues; i++)
		__atomic_store_n(&st->queue_vectors[i], NO_VECTOR, __ATOMIC_RELAXED);
	__atomic_store_n(&st->isr, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&st->status, RESET_STATUS, __ATOMIC_RELAXED);
}

/* Section 2.2.2: whether the device may let the driver set FEATURES_OK. */
static bool features_good(const struct virtio_pci *v)
{
	const struct virtio_device *dev = v->dev;

	return !(v->state.driver_features & ~dev->features) &&
	       (v->state.driver_features & VIRTIO_BIT(F_VERSION_1)) &&
	       (!dev->ops->features_good || dev->ops->features_good(v->state.driver_features));
}

/*
 * Section 3.1.1: a driver adds one bit after the other. FEATURES_OK ends the negotiation of
 * features, DRIVER_OK starts the device.
 */
static void write_status(struct virtio_pci *v, uint8_t value)
{
	uint8_t was = __atomic_load_n(&v->state.status, __ATOMIC_RELAXED);

	if (value == RESET_STATUS) {
		virtio_pci_reset(v);
		return;
	}
	if ((value & FEATURES_OK) && !(was & FEATURES_OK) && !features_good(v))
		value &= (uint8_t)~FEATURES_OK; /* refused: the driver reads the status back */
	if ((value & DRIVER_OK) && (!((value | was) & FEATURES_OK) || (was & NEEDS_RESET)))
		value &= (uint8_t)~DRIVER_OK;
	__atomic_fetch_or(&v->state.status, value, __ATOMIC_RELAXED);
	if ((value & DRIVER_OK) && !(was & DRIVER_OK)) {
		v->dev->state.accepted = v->state.driver_features;
		virtio_start(v->dev);
	}
}

/* Returns the selected queue; NULL: there is no queue of this number. */
static struct virtio_queue *selected(struct virtio_pci *v)
{
	return v->state.queue_select < v->dev->nr_queues ? &v->dev->queues[v->state.queue_select]
							 : NULL;
}

static uint64_t read_queue(struct virtio_pci *v, unsigned offset)
{
	const struct virtio_pci_state *st = &v->state;
	struct virtio_queue *q = selected(v);

	if (!q)
		return 0; /* size 0: there is no such queue */
	switch (offset) {
	case QUEUE_SIZE:
		return q->ring.state.size;
	case QUEUE_VECTOR:
		return st->queue_vectors[st->queue_select];
	case QUEUE_ENABLE:
		return q->state.enabled;
	case QUEUE_NOTIFY_OFF:
		return st->queue_select;
	case QUEUE_DESC:
		return q->ring.state.desc;
	case QUEUE_DRIVER:
		return q->ring.state.driver;
	case QUEUE_DEVICE:
		return q->ring.state.device;
	}
	return 0;
}

static uint64_t read_field(struct virtio_pci *v, unsigned offset)
{
	const struct virtio_pci_state *st = &v->state;
	uint32_t select;

	switch (offset) {
	case DEVICE_FEATURES_SELECT:
		return st->device_features_select;
	case DEVICE_FEATURES:
		select = st->device_features_select;
		return select > 1 ? 0 : (uint32_t)(v->dev->features >> 32 * select);
	case DRIVER_FEATURES_SELECT:
		return st->driver_features_select;
	case DRIVER_FEATURES:
		select = st->driver_features_select;
		return select > 1 ? 0 : (uint32_t)(st->driver_features >> 32 * select);
	case CONFIG_VECTOR:
		return st->config_vector;
	case NUM_QUEUES:
		return v->dev->nr_queues;
	case STATUS:
		return __atomic_load_n(&st->status, __ATOMIC_RELAXED);
	case GENERATION:
		return st->generation;
	case QUEUE_SELECT:
		return st->queue_select;
	}
	return read_queue(v, offset);
}

/* Writes half of a 64-bit field, because drivers may write the halves one by one (4.1.3.1). */
static void put_half(uint64_t *field, bool high, uint32_t value)
{
	*field = high ? (*field & UINT32_MAX) | (uint64_t)value << 32
		      : (*field & ~(uint64_t)UINT32_MAX) | value;
}

/* Section 4.1.5.1.2.1: a vector that does not exist reads back as NO_VECTOR. */
static uint16_t vector_of(const struct virtio_pci *v, uint64_t value)
{
	return value < v->msix.n ? (uint16_t)value : NO_VECTOR;
}

static void write_address(struct virtio_queue *q, unsigned offset, uint32_t value)
{
	uint64_t *const fields[] = { &q->ring.state.desc, &q->ring.state.driver,
				     &q->ring.state.device };
	unsigned half = (offset - QUEUE_DESC) / 4;

	put_half(fields[half / 2], half & 1, value);
}

/* Size and addresses of a queue do not change while it is enabled: section 4.1.4.3.2. */
static void write_queue(struct virtio_pci *v, unsigned offset, uint64_t value)
{
	struct virtio_pci_state *st = &v->state;
	struct virtio_queue *q = selected(v);

	if (!q)
		return;
	if (offset == QUEUE_VECTOR) {
		__atomic_store_n(&st->queue_vectors[st->queue_select], vector_of(v, value),
				 __ATOMIC_RELAXED);
		return;
	}
	pthread_mutex_lock(&q->lock);
	if (!q->state.enabled && offset == QUEUE_SIZE && value && value <= q->size_max)
		q->ring.state.size = (unsigned)value;
	else if (!q->state.enabled && offset >= QUEUE_DESC && offset < COMMON_SIZE)
		write_address(q, offset, (uint32_t)value);
	else if (offset == QUEUE_ENABLE && value == 1)
		q->state.enabled = true;
	pthread_mutex_unlock(&q->lock);
	if (offset == QUEUE_ENABLE && value == 1 && (st->status & DRIVER_OK))
		virtio_start_queue(v->dev, st->queue_select);
}

static void write_field(struct virtio_pci *v, unsigned offset, uint64_t value)
{
	struct virtio_pci_state *st = &v->state;

	switch (offset) {
	case DEVICE_FEATURES_SELECT:
		st->device_features_select = (uint32_t)value;
		return;
	case DRIVER_FEATURES_SELECT:
		st->driver_features_select = (uint32_t)value;
		return;
	case DRIVER_FEATURES:
		if (st->driver_features_select < 2 && !(st->status & FEATURES_OK))
			put_half(&st->driver_features, st->driver_features_select, (uint32_t)value);
		return;
	case CONFIG_VECTOR:
		__atomic_store_n(&st->config_vector, vector_of(v, value), __ATOMIC_RELAXED);
		return;
	case STATUS:
		write_status(v, (uint8_t)value);
		return;
	case QUEUE_SELECT:
		st->queue_select = (uint16_t)value;
		return;
	}
	write_queue(v, offset, value);
}

/* A driver accesses a field with the field's size, and 64-bit fields also by halves (4.1.3.1). */
static uint64_t common_read(struct virtio_pci *v, unsigned offset, unsigned size)
{
	if (offset >= COMMON_SIZE)
		return 0;
	if (offset >= QUEUE_DESC) {
		uint64_t value = read_field(v, offset & ~7u) >> 8 * (offset & 7);

		return size == 8 ? value : value & ((UINT64_C(1) << 8 * size) - 1);
	}
	return read_field(v, offset);
}

static void common_write(struct virtio_pci *v, unsigned offset, unsigned size, uint64_t value)
{
	if (offset >= COMMON_SIZE || (offset >= QUEUE_DESC && (size < 4 || offset % size)))
		return;
	write_field(v, offset, value);
	if (size == 8 && offset >= QUEUE_DESC)
		write_field(v, offset + 4, value >> 32);
}

/* --- the BAR; with its lock held --- */

static uint64_t virtio_pci_config_read(const struct virtio_pci *v, uint64_t offset, unsigned size)
{
	if (!span_holds((struct span){ 0, v->dev->config_size }, offset, size))
		return 0;
	return load_le(v->dev->state.config + offset, size);
}

static void virtio_pci_config_write(struct virtio_pci *v, uint64_t offset, unsigned size,
				    uint64_t value)
{
	struct virtio_device *dev = v->dev;

	if (!dev->ops->config_written ||
	    !span_holds((struct span){ 0, dev->config_size }, offset, size))
		return;
	store_le(dev->state.config + offset, value, size);
	dev->ops->config_written(dev);
}

static uint64_t virtio_pci_bar_read(struct device *bar, uint64_t offset, unsigned size)
{
	struct virtio_pci *v = virtio_pci_of_bar(bar);
	unsigned in_part = (unsigned)(offset % PART);

	switch (offset - in_part) {
	case COMMON:
		return common_read(v, in_part, size);
	case ISR: /* reading clears it */
		return in_part ? 0 : __atomic_exchange_n(&v->state.isr, 0, __ATOMIC_RELAXED);
	case DEVICE_CONFIG:
		return virtio_pci_config_read(v, in_part, size);
	case TABLE:
		return msix_table_read(&v->msix, in_part, size);
	case PENDING:
		return msix_pending_read(&v->msix, in_part, size);
	}
	return 0;
}

static void virtio_pci_bar_write(struct device *bar, uint64_t offset, unsigned size, uint64_t value)
{
	struct virtio_pci *v = virtio_pci_of_bar(bar);
	unsigned in_part = (unsigned)(offset % PART), queue = in_part / NOTIFY_STEP;
	uint64_t one = 1;

	switch (offset - in_part) {
	case COMMON:
		common_write(v, in_part, size, value);
		return;
	case DEVICE_CONFIG:
		virtio_pci_config_write(v, in_part, size, value);
		return;
	case NOTIFY: /* only if KVM has no doorbell for the queue */
		if (queue < v->dev->nr_queues &&
		    write(v->dev->queues[queue].kick, &one, sizeof(one)) < 0)
			return; /* the counter is full, so the eventfd is readable */
		return;
	case TABLE:
		msix_table_write(&v->msix, in_part, size, value);
		return;
	}
}

static const struct device_ops bar_ops = {
	.name = "virtio BAR",
	.read = virtio_pci_bar_read,
	.write = virtio_pci_bar_write,
};

/* --- configuration space; under the host bridge's lock --- */

static void virtio_pci_hide_bar(struct virtio_pci *v)
{
	if (span_empty(v->at))
		return;
	for (unsigned i = 0; i < v->dev->nr_queues; i++) {
		if (v->rings[i])
			v->env->undoorbell(v->env->to, v->at.base + NOTIFY + NOTIFY_STEP * i,
					   v->dev->queues[i].kick);
		v->rings[i] = false;
	}
	v->env->unclaim(v->env->to, false, v->at);
	v->at = (struct span){ 0, 0 };
}

static void virtio_pci_bar_moved(struct pci_function *fn, unsigned bar, struct span at)
{
	struct virtio_pci *v = virtio_pci_of_function(fn);
	struct err err = { "" };

	(void)bar;
	virtio_pci_hide_bar(v);
	if (span_empty(at))
		return;
	if (v->env->claim(v->env->to, false, at, &v->bar, &err) < 0) {
		err_prefix(&err, 0,
			   "%s: the guest put its BAR where it cannot be: ", v->dev->ops->name);
		v->env->say(v->env->to, err.text);
		return;
	}
	v->at = at;
	/* Without a doorbell the driver's write exits and comes to virtio_pci_bar_write(). */
	for (unsigned i = 0; i < v->dev->nr_queues; i++)
		v->rings[i] = v->env->doorbell(v->env->to, at.base + NOTIFY + NOTIFY_STEP * i,
					       v->dev->queues[i].kick, &err) == 0;
}

/*
 * Reads the registers of the window through which drivers that cannot map the BAR access it
 * (4.1.4.9). False: they select nothing in the BAR.
 */
static bool window(struct virtio_pci *v, uint64_t *offset, unsigned *size)
{
	const struct pci_config *c = &v->fn.config;

	*offset = pci_config_get(c, v->window_cap + WINDOW_OFFSET, 4);
	*size = pci_config_get(c, v->window_cap + WINDOW_LENGTH, 4);
	return pci_config_get(c, v->window_cap + WINDOW_BAR, 1) == BAR &&
	       (*size == 1 || *size == 2 || *size == 4) && *offset % *size == 0 &&
	       *offset < VIRTIO_BAR_SIZE;
}

static bool touches_window(const struct virtio_pci *v, unsigned offset, unsigned size)
{
	unsigned data = v->window_cap + WINDOW_DATA;

	return offset < data + 4 && offset + size > data;
}

static uint32_t function_read(struct pci_function *fn, unsigned offset, unsigned size)
{
	struct virtio_pci *v = virtio_pci_of_function(fn);
	uint64_t at;
	unsigned n;

	if (touches_window(v, offset, size) && window(v, &at, &n)) {
		uint32_t value;

		pthread_mutex_lock(&v->bar.lock);
		value = (uint32_t)virtio_pci_bar_read(&v->bar, at, n);
		pthread_mutex_unlock(&v->bar.lock);
		pci_config_set(&fn->config, v->window_cap + WINDOW_DATA, 4, value);
	}
	return pci_function_read(fn, offset, size);
}

static bool is_master(const struct pci_function *fn)
{
	return pci_config_get(&fn->config, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

/*
 * Resets the device when the guest clears bus mastering, because the function may not access memory
 * any more. Linux clears the bit before kexec, while drivers may still be ready, and the buffers of
 * those drivers are memory of the next kernel afterwards. The next kernel sets the bit first and
 * resets the device later (virtio_pci_probe), so setting the bit does not start the device again;
 * only a reset by the driver does. A device works without the bit if it was never set, because
 * small drivers do not set it.
 */
static void stop_mastering(struct virtio_pci *v)
{
	pthread_mutex_lock(&v->bar.lock);
	if (__atomic_load_n(&v->state.status, __ATOMIC_RELAXED) & DRIVER_OK) {
		__atomic_fetch_or(&v->state.status, NEEDS_RESET, __ATOMIC_RELAXED);
		__atomic_fetch_and(&v->state.status, (uint8_t)~DRIVER_OK, __ATOMIC_RELAXED);
		virtio_reset(v->dev);
	}
	pthread_mutex_unlock(&v->bar.lock);
}

static void virtio_pci_function_write(struct pci_function *fn, unsigned offset, unsigned size,
				      uint32_t value)
{
	struct virtio_pci *v = virtio_pci_of_function(fn);
	bool was_master = is_master(fn);
	uint64_t at;
	unsigned n;

	pci_function_write(fn, offset, size, value);
	if (was_master && !is_master(fn))
		stop_mastering(v);
	msix_update(&v->msix, &fn->config, v->msix_cap);
	if (!touches_window(v, offset, size) || !window(v, &at, &n))
		return;
	pthread_mutex_lock(&v->bar.lock);
	virtio_pci_bar_write(&v->bar, at, n,
			     pci_config_get(&fn->config, v->window_cap + WINDOW_DATA, n));
	pthread_mutex_unlock(&v->bar.lock);
}

static void virtio_pci_function_reset(struct pci_function *fn)
{
	struct virtio_pci *v = virtio_pci_of_function(fn);

	pci_function_reset(fn);
	pthread_mutex_lock(&v->bar.lock);
	virtio_pci_reset(v);
	pthread_mutex_unlock(&v->bar.lock);
	pci_config_set(&fn->config, v->msix_cap + 3, 1,
		       pci_config_get(&fn->config, v->msix_cap + 3, 1) & ~0xc0u);
	msix_update(&v->msix, &fn->config, v->msix_cap);
}

static const struct pci_ops function_ops = {
	.name = "virtio device",
	.read = function_read,
	.write = virtio_pci_function_write,
	.bar_moved = virtio_pci_bar_moved,
	.reset = virtio_pci_function_reset,
};

/* --- plug, unplug --- */

static unsigned add_cap(struct virtio_pci *v, uint8_t kind, uint32_t offset, uint32_t length,
			unsigned extra)
{
	struct pci_config *c = &v->fn.config;
	unsigned cap = pci_config_add_cap(c, CAP_ID, CAP_SIZE + extra);

	pci_config_set(c, cap + 2, 1, CAP_SIZE + extra);
	pci_config_set(c, cap + 3, 1, kind);
	pci_config_set(c, cap + WINDOW_BAR, 1, BAR);
	pci_config_set(c, cap + WINDOW_OFFSET, 4, offset);
	pci_config_set(c, cap + WINDOW_LENGTH, 4, length);
	return cap;
}

static void add_caps(struct virtio_pci *v)
{
	struct pci_config *c = &v->fn.config;
	unsigned cap;

	add_cap(v, CAP_COMMON, COMMON, COMMON_SIZE, 0);
	add_cap(v, CAP_ISR, ISR, 1, 0);
	if (v->dev->config_size)
		add_cap(v, CAP_DEVICE, DEVICE_CONFIG, v->dev->config_size, 0);
	cap = add_cap(v, CAP_NOTIFY, NOTIFY, NOTIFY_STEP * v->dev->nr_queues, 4);
	pci_config_set(c, cap + CAP_SIZE, 4, NOTIFY_STEP);
	v->window_cap = add_cap(v, CAP_WINDOW, 0, 0, 4);
	pci_config_allow(c, v->window_cap + WINDOW_BAR, 1, 0xff);
	pci_config_allow(c, v->window_cap + WINDOW_OFFSET, 4, UINT32_MAX);
	pci_config_allow(c, v->window_cap + WINDOW_LENGTH, 4, UINT32_MAX);
	pci_config_allow(c, v->window_cap + WINDOW_DATA, 4, UINT32_MAX);
	v->msix_cap = msix_add_cap(&v->msix, c, BAR, TABLE, PENDING);
}

void virtio_pci_plug(struct virtio_pci *v, struct virtio_device *dev, const struct guest_ram *ram,
		     const struct pci_env *env, const int *kicks, const int *vectors, uint64_t bar)
{
	const struct pci_identity identity = {
		.vendor = VENDOR,
		.device = (uint16_t)(DEVICE + dev->ops->type),
		.subsystem_vendor = VENDOR,
		.subsystem = (uint16_t)(DEVICE + dev->ops->type),
		.class = dev->ops->class,
		.revision = REVISION,
	};
	const struct bar_shape shape = { .size = VIRTIO_BAR_SIZE, .wide = true };

	memset(v, 0, sizeof(*v));
	v->dev = dev;
	v->env = env;
	device_init(&v->bar, &bar_ops);
	for (unsigned i = 0; i < dev->nr_queues; i++) {
		dev->queues[i].kick = kicks[i];
		dev->queues[i].ring.ram = ram;
	}
	dev->interrupt = device_interrupt;
	dev->config_changed = device_config_changed;
	dev->needs_reset = device_needs_reset;
	dev->interrupt_fd = device_interrupt_fd;
	dev->lock = device_lock;
	dev->to = v;
	pci_function_init(&v->fn, &function_ops, &identity);
	msix_init(&v->msix, env, vectors, dev->nr_queues + 1);
	add_caps(v);
	pci_function_add_bar(&v->fn, BAR, &shape, bar);
	virtio_pci_reset(v);
}

void virtio_pci_unplug(struct virtio_pci *v)
{
	if (!v->dev)
		return;
	pci_function_unmap(&v->fn);
	virtio_pci_reset(v);
	msix_stop(&v->msix);
	v->dev->interrupt = NULL;
	v->dev->config_changed = NULL;
	v->dev->needs_reset = NULL;
	v->dev->interrupt_fd = NULL;
	v->dev->lock = NULL;
	v->dev = NULL;
}
