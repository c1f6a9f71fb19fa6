/*
 * A passed-through function: opening it, its configuration space, plugging it into a machine.
 */
#include "vfio/pci_internal.h"

#include "vmm/base/bytes.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COMMAND_DEVICE 0x0547 /* bits of the guest's value for the device */

const char *vfio_pci_name(const struct vfio_pci *dev)
{
	return dev->name;
}

int vfio_pci_file(const struct vfio_pci *dev)
{
	return dev->fd;
}

struct pci_function *vfio_pci_function(struct vfio_pci *dev)
{
	return &dev->fn;
}

uint32_t vfio_pci_atomics(const struct vfio_pci *dev)
{
	return dev->atomics;
}

void vfio_say(struct vfio_pci *dev, const struct err *err)
{
	struct err line = *err;

	err_prefix(&line, 0, "%s: ", dev->name);
	dev->env->say(dev->env->to, line.text);
}

/* --- open, close --- */

static int open_config(struct vfio_pci *dev, struct err *err)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	struct pci_config ignored;
	size_t size;

	if (ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		return err_sys(err, errno,
			       "VFIO does not describe the device's configuration space");
	dev->config_offset = info.offset;
	size = dev->config_size = min_u64(info.size, PCI_CONFIG_SIZE);
	if (size < PCI_LEGACY_SIZE)
		return err_set(err, EINVAL,
			       "the device's configuration space has %zu bytes, fewer than the %u "
			       "of every PCI function",
			       size, PCI_LEGACY_SIZE);
	if (pread(dev->fd, dev->raw, size, (off_t)info.offset) != (ssize_t)size)
		return err_set(err, EIO, "the device's configuration space cannot be read");
	if ((dev->raw[PCI_HEADER_TYPE] & 0x7f) != 0)
		return err_set(err, EINVAL, "this is a bridge; only devices can be passed through");
	pci_config_init(&ignored);
	vfio_config_build(&dev->config, &ignored, dev->raw, size, dev->options.caps, false);
	return 0;
}

/* VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP (Linux 6.5), in what VFIO says of the device */
static uint32_t find_atomics(const struct vfio_device_info *info, size_t room)
{
	const struct vfio_device_info_cap_pci_atomic_comp *cap;
	uint32_t at = info->flags & VFIO_DEVICE_FLAGS_CAPS ? info->cap_offset : 0;
	uint32_t found = 0;

	for (unsigned n = 0; n < 16 && at >= sizeof(*info) && at % 4 == 0 && room >= sizeof(*cap) &&
			     at <= room - sizeof(*cap);
	     n++, at = cap->header.next) {
		cap = (const void *)((const char *)info + at);
		if (cap->header.id != VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP)
			continue;
		found |= cap->flags & VFIO_PCI_ATOMIC_COMP32 ? PCI_EXP_DEVCAP2_ATOMIC_COMP32 : 0;
		found |= cap->flags & VFIO_PCI_ATOMIC_COMP64 ? PCI_EXP_DEVCAP2_ATOMIC_COMP64 : 0;
		found |= cap->flags & VFIO_PCI_ATOMIC_COMP128 ? PCI_EXP_DEVCAP2_ATOMIC_COMP128 : 0;
	}
	return found;
}

/* A kernel that has more capabilities than there is room for tells none, and is not asked again. */
static int open_info(struct vfio_pci *dev, struct vfio_device_info *out, struct err *err)
{
	union {
		struct vfio_device_info info;
		uint8_t room[1024];
	} answer = { .info = { .argsz = sizeof(answer) } };

	if (ioctl(dev->fd, VFIO_DEVICE_GET_INFO, &answer.info) < 0)
		return err_sys(err, errno, "VFIO does not describe the device");
	dev->atomics = find_atomics(&answer.info, sizeof(answer));
	*out = answer.info;
	return 0;
}

static int open_all(struct vfio_pci *dev, struct err *err)
{
	struct vfio_device_info info;
	int ret = open_info(dev, &info, err);

	if (ret < 0)
		return ret;
	dev->flags = info.flags;
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI))
		return err_set(err, ENOTSUP, "the device is no PCI function");
	ret = open_config(dev, err);
	if (ret < 0)
		return ret;
	ret = vfio_bars_open(dev, err);
	if (ret < 0)
		return ret;
	ret = vfio_irqs_open(dev, err);
	if (ret < 0)
		return ret;
	return vfio_bars_map(dev, err);
}

int vfio_pci_open(struct vfio_pci **out, int device, const char *name,
		  const struct vfio_pci_options *options, struct err *err)
{
	struct vfio_pci *dev = calloc(1, sizeof(*dev));
	int ret;

	*out = NULL;
	if (!dev) {
		close(device);
		return err_sys(err, ENOMEM, "out of memory for the device");
	}
	dev->fd = device;
	dev->options = *options;
	memcpy(dev->name, name, strnlen(name, sizeof(dev->name) - 1));
	pthread_mutex_init(&dev->lock, NULL);
	dev->irqs.intx = dev->irqs.resample = dev->irqs.error = dev->irqs.request = -1;
	ret = open_all(dev, err);
	if (ret < 0)
		vfio_pci_close(dev);
	else
		*out = dev;
	return ret;
}

void vfio_pci_give_back(struct vfio_pci *dev)
{
	vfio_bars_unmap(dev);
	/*
	 * The descriptor's number may belong to another file soon, so no access may use it any
	 * more.
	 */
	for (unsigned i = 0; i < BARS_AND_ROM; i++)
		pthread_mutex_lock(&dev->bars[i].trap.lock);
	close(dev->fd);
	dev->fd = -1;
	for (unsigned i = 0; i < BARS_AND_ROM; i++)
		pthread_mutex_unlock(&dev->bars[i].trap.lock);
}

void vfio_pci_close(struct vfio_pci *dev)
{
	if (dev->fd >= 0)
		vfio_pci_give_back(dev);
	vfio_bars_close(dev);
	vfio_irqs_close(dev);
	free(dev);
}

void vfio_pci_shape(const struct vfio_pci *dev, struct host_pci *out)
{
	for (unsigned i = 0; i < BARS; i++)
		out->bars[i] = dev->bars[i].shape;
	out->rom_size = dev->bars[BAR_ROM].shape.size;
	out->vendor = (uint16_t)load_le(dev->raw + PCI_VENDOR_ID, 2);
	out->device = (uint16_t)load_le(dev->raw + PCI_VENDOR_ID + 2, 2);
	out->class = (uint32_t)load_le(dev->raw + PCI_REVISION_ID, 4) >> 8;
}

/* --- configuration space --- */

static struct vfio_pci *dev_of(struct pci_function *fn)
{
	return container_of(fn, struct vfio_pci, fn);
}

static bool all_of(const struct vfio_pci *dev, unsigned offset, unsigned size, enum vfio_byte class)
{
	for (unsigned i = offset; i < offset + size; i++)
		if (dev->config.class[i] != class)
			return false;
	return true;
}

uint32_t vfio_device_read(const struct vfio_pci *dev, unsigned offset, unsigned size)
{
	uint8_t bytes[4] = { 0xff, 0xff, 0xff, 0xff };

	if (pread(dev->fd, bytes, size, (off_t)(dev->config_offset + offset)) != (ssize_t)size)
		return UINT32_MAX;
	return (uint32_t)load_le(bytes, size);
}

static void device_write(const struct vfio_pci *dev, unsigned offset, unsigned size, uint32_t value)
{
	uint8_t bytes[4];
	ssize_t n;

	store_le(bytes, value, size);
	n = pwrite(dev->fd, bytes, size, (off_t)(dev->config_offset + offset));
	(void)n; /* an error: VFIO does not allow writes to this register */
}

static uint32_t vfio_pci_config_read(struct pci_function *fn, unsigned offset, unsigned size)
{
	struct vfio_pci *dev = dev_of(fn);
	uint32_t value = pci_function_read(fn, offset, size), device;

	if (all_of(dev, offset, size, VFIO_BYTE_OURS))
		return value;
	if (all_of(dev, offset, size, VFIO_BYTE_ZERO))
		return 0;
	device = vfio_device_read(dev, offset, size);
	for (unsigned i = 0; i < size; i++) {
		uint32_t byte = UINT32_C(0xff) << 8 * i;

		if (dev->config.class[offset + i] == VFIO_BYTE_DEVICE)
			value = (value & ~byte) | (device & byte);
		else if (dev->config.class[offset + i] == VFIO_BYTE_ZERO)
			value &= ~byte;
	}
	return value;
}

/* Writes the device's part of the guest's command register to the device. */
static void command_to_device(const struct vfio_pci *dev, uint32_t command)
{
	/* VFIO masks INTx itself, so the guest's bit for that is kept from the device. */
	device_write(dev, PCI_COMMAND, 2,
		     command & COMMAND_DEVICE & ~(uint32_t)PCI_COMMAND_INTX_DISABLE);
}

/*
 * Writes a register that is emulated. Mapped memory must respond, so the device decodes it before
 * the guest sees it and until after the guest's view is removed.
 */
static void write_ours(struct vfio_pci *dev, unsigned offset, unsigned size, uint32_t value)
{
	uint32_t was = pci_config_get(&dev->fn.config, PCI_COMMAND, 2), now;

	if (offset < PCI_COMMAND + 2 && offset + size > PCI_COMMAND) {
		struct pci_config after = dev->fn.config;

		pci_config_write(&after, offset, size, value);
		command_to_device(dev, was | pci_config_get(&after, PCI_COMMAND, 2));
	}
	pci_function_write(&dev->fn, offset, size, value);
	now = pci_config_get(&dev->fn.config, PCI_COMMAND, 2);
	if (offset < PCI_COMMAND + 2 && offset + size > PCI_COMMAND)
		command_to_device(dev, now);
}

static bool sets_bit(unsigned offset, unsigned size, uint32_t value, unsigned at, unsigned bit)
{
	return offset <= at && offset + size > at && (value >> 8 * (at - offset) >> bit & 1);
}

/* PCI Express Base 5.0 section 7.5.3.4, and the PCI engineering change Advanced Capabilities. */
static bool resets_function(const struct vfio_config *v, unsigned offset, unsigned size,
			    uint32_t value)
{
	return (v->pcie && sets_bit(offset, size, value, v->pcie + PCI_EXP_DEVCTL + 1, 7)) ||
	       (v->af && sets_bit(offset, size, value, v->af + PCI_AF_CTRL, 0));
}

/*
 * Writes a register of the device. In a low-power state a device does not respond, so its BARs are
 * not mapped meanwhile. The state is read back, because the device may refuse it.
 */
static void write_device(struct vfio_pci *dev, unsigned offset, unsigned size, uint32_t value)
{
	unsigned pm = dev->config.pm ? dev->config.pm + PCI_PM_CTRL : 0;
	bool state = pm && offset <= pm && offset + size > pm;
	bool sleeps = state && (value >> 8 * (pm - offset) & PCI_PM_CTRL_STATE_MASK);

	if (sleeps)
		pci_function_sleep(&dev->fn, true);
	for (unsigned i = 0; i < size; i++) {
		if (all_of(dev, offset, size, VFIO_BYTE_DEVICE)) {
			device_write(dev, offset, size, value);
			break;
		}
		if (dev->config.class[offset + i] == VFIO_BYTE_DEVICE)
			device_write(dev, offset + i, 1, value >> 8 * i);
	}
	if (resets_function(&dev->config, offset, size, value))
		vfio_bars_were_reset(dev);
	if (state)
		pci_function_sleep(&dev->fn, vfio_device_read(dev, pm, 1) & PCI_PM_CTRL_STATE_MASK);
}

static void vfio_pci_config_write(struct pci_function *fn, unsigned offset, unsigned size,
				  uint32_t value)
{
	struct vfio_pci *dev = dev_of(fn);

	if (!all_of(dev, offset, size, VFIO_BYTE_OURS))
		write_device(dev, offset, size, value);
	write_ours(dev, offset, size, value); /* only emulated bytes are writable there */
	vfio_irqs_update(dev);
}

static void vfio_pci_bar_moved(struct pci_function *fn, unsigned bar, struct span at)
{
	vfio_bar_moved(dev_of(fn), bar, at);
}

/*
 * Stops DMA and sets power state D0, as the emulated registers say, also for devices without a
 * reset.
 */
static void quiet_device(const struct vfio_pci *dev)
{
	command_to_device(dev, 0);
	if (dev->config.pm)
		device_write(dev, dev->config.pm + PCI_PM_CTRL, 2, 0);
}

/* Called when the bus above is reset, or the slot loses power: the device is reset. */
static void vfio_pci_function_reset(struct pci_function *fn)
{
	struct vfio_pci *dev = dev_of(fn);
	struct err err = { "" };

	pci_function_reset(fn);
	vfio_irqs_stop(dev);
	if (dev->config.msi)
		pci_config_set(&fn->config, dev->config.msi + 2, 1,
			       pci_config_get(&fn->config, dev->config.msi + 2, 1) & ~0x71u);
	if (dev->config.msix)
		pci_config_set(&fn->config, dev->config.msix + 3, 1,
			       pci_config_get(&fn->config, dev->config.msix + 3, 1) & ~0xc0u);
	quiet_device(dev);
	vfio_pci_reset_alone(dev, &err);
	if (*err.text)
		dev->env->say(dev->env->to, err.text);
	vfio_irqs_update(dev);
}

static const struct pci_ops function_ops = {
	.name = "passed-through device",
	.read = vfio_pci_config_read,
	.write = vfio_pci_config_write,
	.bar_moved = vfio_pci_bar_moved,
	.reset = vfio_pci_function_reset,
};

/* --- plug, unplug --- */

static void make_function(struct vfio_pci *dev)
{
	const uint8_t *raw = dev->raw;
	const struct pci_identity identity = {
		.vendor = (uint16_t)load_le(raw + PCI_VENDOR_ID, 2),
		.device = (uint16_t)load_le(raw + PCI_VENDOR_ID + 2, 2),
		.class = (uint32_t)load_le(raw + PCI_REVISION_ID, 4) >> 8,
		.revision = raw[PCI_REVISION_ID],
		.subsystem_vendor = (uint16_t)load_le(raw + PCI_SUBSYSTEM_VENDOR_ID, 2),
		.subsystem = (uint16_t)load_le(raw + PCI_SUBSYSTEM_VENDOR_ID + 2, 2),
		.pin = dev->irqs.counts[VFIO_PCI_INTX_IRQ_INDEX] && raw[PCI_INTERRUPT_PIN] <= 4
			       ? raw[PCI_INTERRUPT_PIN]
			       : 0,
	};

	pci_function_init(&dev->fn, &function_ops, &identity);
	vfio_config_build(&dev->config, &dev->fn.config, raw, dev->config_size, dev->options.caps,
			  dev->place.root_bus);
	for (unsigned i = 0; i < BARS_AND_ROM; i++) {
		const struct vfio_bar *bar = &dev->bars[i];

		if (bar->shape.size)
			pci_function_add_bar(&dev->fn, i, &bar->shape, dev->place.bars[i]);
	}
}

int vfio_pci_plug(struct vfio_pci *dev, const struct pci_env *env, struct iommu *io,
		  const struct vfio_pci_place *place, const struct vfio_pci_events *events,
		  struct err *err)
{
	int ret;

	dev->env = env;
	dev->io = io;
	dev->place = *place;
	dev->events = *events;
	make_function(dev);
	quiet_device(dev);
	vfio_irqs_stop(dev); /* masks all vectors of the table */
	ret = vfio_notifiers_start(dev, err);
	if (ret < 0) {
		vfio_pci_unplug(dev);
		return ret;
	}
	vfio_irqs_update(dev);
	if (dev->irqs.intx_refused) /* no guest has read the registers yet, so it sees no INTx */
		dev->fn.config.state.data[PCI_INTERRUPT_PIN] = 0;
	return 0;
}

void vfio_pci_unplug(struct vfio_pci *dev)
{
	if (!dev->env)
		return;
	/* Stop DMA now; decoding stays on until no vCPU can access the BARs. */
	command_to_device(dev, pci_config_get(&dev->fn.config, PCI_COMMAND, 2) &
				       ~(uint32_t)PCI_COMMAND_MASTER);
	pci_function_unmap(&dev->fn);
	command_to_device(dev, 0);
	vfio_irqs_stop(dev);
	vfio_notifiers_stop(dev);
	dev->env = NULL;
	dev->io = NULL;
}
