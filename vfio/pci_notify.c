/*
 * Events that VFIO signals for a passed-through function: errors of the device, and requests of the
 * host to have it back. On the loop's thread.
 */
#include "vfio/pci_internal.h"

#include "vmm/base/bytes.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <unistd.h>

#define AER_SIZE 0x10 /* bytes that are read */

static bool vfio_notify_drain(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

/* Returns the offset of the AER capability (PCI Express Base 6.0 section 7.8.4), or 0. */
static unsigned find_aer(const struct vfio_pci *dev)
{
	unsigned at = PCI_LEGACY_SIZE;

	for (unsigned n = 0; n < 64 && at >= PCI_LEGACY_SIZE && at + AER_SIZE <= dev->config_size;
	     n++) {
		uint32_t header = (uint32_t)load_le(dev->raw + at, 4);

		if ((header & 0xffff) == PCI_EXT_CAP_ID_ERR)
			return at;
		at = header >> 20 & ~3u;
	}
	return 0;
}

/*
 * VFIO signals errors of both severities alike. After a non-fatal error the link and the device
 * work, and only a transaction was lost, which the guest's driver must handle. An error is fatal if
 * its status bit is also set in the severity register, or if the device does not respond.
 */
static bool is_fatal(const struct vfio_pci *dev)
{
	unsigned aer = find_aer(dev);

	return !aer || (vfio_device_read(dev, aer + PCI_ERR_UNCOR_STATUS, 4) &
			vfio_device_read(dev, aer + PCI_ERR_UNCOR_SEVER, 4));
}

static void error_ready(void *to)
{
	struct vfio_pci *dev = to;
	bool fatal, ends;
	struct err err;

	if (!vfio_notify_drain(dev->irqs.error))
		return;
	fatal = is_fatal(dev);
	ends = fatal && !dev->options.error_continues;
	err_set(&err, EIO, "the host reports %s error of the device%s",
		fatal ? "an unrecoverable" : "a recoverable",
		ends ? " (on-error=continue would go on)" : "; the guest goes on");
	if (!ends) {
		vfio_say(dev, &err);
		return;
	}
	err_prefix(&err, 0, "%s: ", dev->name);
	dev->env->fail(dev->env->to, err.text);
}

static void request_ready(void *to)
{
	struct vfio_pci *dev = to;

	if (vfio_notify_drain(dev->irqs.request) && dev->events.request)
		dev->events.request(dev->events.to, dev);
}

static int notifier_start(struct vfio_pci *dev, uint32_t index, int *fd, void (*ready)(void *dev),
			  struct err *err)
{
	int ret;

	if (!dev->irqs.counts[index])
		return 0;
	*fd = vfio_irq_eventfd(err);
	if (*fd < 0)
		return *fd;
	ret = dev->env->watch(dev->env->to, *fd, ready, dev, err);
	if (ret < 0) {
		vfio_irq_close(fd);
		return ret;
	}
	ret = vfio_irq_set_one(dev, index, VFIO_IRQ_SET_ACTION_TRIGGER, 0, *fd);
	return ret < 0 ? err_sys(err, -ret, "VFIO refuses a notifier") : 0;
}

static void notifier_stop(struct vfio_pci *dev, uint32_t index, int *fd)
{
	if (*fd < 0)
		return;
	(void)vfio_irq_set_one(dev, index, VFIO_IRQ_SET_ACTION_TRIGGER, 0, -1);
	dev->env->unwatch(dev->env->to, *fd);
	vfio_irq_close(fd);
}

int vfio_notifiers_start(struct vfio_pci *dev, struct err *err)
{
	struct vfio_irqs *irqs = &dev->irqs;
	int ret = notifier_start(dev, VFIO_PCI_ERR_IRQ_INDEX, &irqs->error, error_ready, err);

	if (ret < 0)
		return ret;
	return notifier_start(dev, VFIO_PCI_REQ_IRQ_INDEX, &irqs->request, request_ready, err);
}

void vfio_notifiers_stop(struct vfio_pci *dev)
{
	notifier_stop(dev, VFIO_PCI_REQ_IRQ_INDEX, &dev->irqs.request);
	notifier_stop(dev, VFIO_PCI_ERR_IRQ_INDEX, &dev->irqs.error);
}
