#include "vmm/machine/interrupts.h"

#include "vmm/base/platform.h"
#include "vmm/base/span.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

static_assert(IOAPIC_PINS == IRQ_PINS, "GSIs are pins");

/* --- what the I/O APIC asks for --- */

static void ioapic_sends(void *to, uint64_t address, uint32_t data)
{
	const struct machine_interrupts *i = to;

	irq_message(&i->irq, address, data);
}

/*
 * KVM can refuse no such route: the address is always in its range. Should it run out of memory,
 * the line is lost, which the guest notices.
 */
static void ioapic_watches(void *to, unsigned pin, bool wanted, uint64_t address, uint32_t data)
{
	struct machine_interrupts *i = to;

	(void)irq_pin(&i->irq, pin, wanted, address, data, NULL);
}

/* All devices at a line ask anew for their interrupt, as they share it. */
static bool ioapic_acknowledged(void *to, unsigned pin)
{
	struct machine_interrupts *i = to;
	bool lowered = false;
	uint64_t one = 1;

	pthread_mutex_lock(&i->lock);
	for (size_t n = 0; n < ARRAY_SIZE(i->intx); n++) {
		ssize_t written;

		if (i->intx[n].fd < 0 || i->intx[n].gsi != pin)
			continue;
		lowered = true;
		written = write(i->intx[n].resample, &one, sizeof(one));
		(void)written; /* the counter cannot be full */
	}
	pthread_mutex_unlock(&i->lock);
	return lowered;
}

/* --- lines of eventfds --- */

/* Returns the GSIs whose eventfds were signalled, as bits. */
static uint32_t take_signals(struct machine_interrupts *i)
{
	struct epoll_event events[PCI_DEVICES_MAX];
	uint32_t gsis = 0;
	uint64_t count;
	int n;

	pthread_mutex_lock(&i->lock);
	n = epoll_wait(i->lines, events, ARRAY_SIZE(events), 0);
	for (int e = 0; e < n; e++) {
		const struct machine_intx *x = &i->intx[events[e].data.u32];

		if (x->fd >= 0 && read(x->fd, &count, sizeof(count)) == sizeof(count))
			gsis |= 1u << x->gsi;
	}
	pthread_mutex_unlock(&i->lock);
	return gsis;
}

static void lines_ready(void *to, short revents)
{
	struct machine_interrupts *i = to;
	uint32_t gsis = take_signals(i);

	(void)revents;
	for (unsigned gsi = 0; gsi < IOAPIC_PINS; gsi++)
		if (gsis >> gsi & 1)
			ioapic_set(&i->ioapic, gsi, true);
}

static int interrupts_add_line(struct machine_interrupts *i, struct machine_intx line,
			       struct err *err)
{
	size_t n = 0;
	struct epoll_event event = { .events = EPOLLIN };

	while (n < ARRAY_SIZE(i->intx) && i->intx[n].fd >= 0)
		n++;
	if (n == ARRAY_SIZE(i->intx))
		return err_set(err, ENOSPC, "more than %zu devices use INTx", n);
	event.data.u32 = (uint32_t)n;
	if (epoll_ctl(i->lines, EPOLL_CTL_ADD, line.fd, &event) < 0)
		return err_sys(err, errno, "cannot watch an eventfd for GSI %u", line.gsi);
	i->intx[n] = line;
	return 0;
}

int machine_interrupts_intx(struct machine_interrupts *i, unsigned gsi, int fd, int resample,
			    struct err *err)
{
	int ret;

	if (!i->kvm->split)
		return irq_level(&i->irq, gsi, fd, resample, err);
	pthread_mutex_lock(&i->lock);
	ret = interrupts_add_line(i, (struct machine_intx){ fd, resample, gsi }, err);
	pthread_mutex_unlock(&i->lock);
	return ret;
}

void machine_interrupts_unintx(struct machine_interrupts *i, unsigned gsi, int fd)
{
	bool shared = false;

	if (!i->kvm->split) {
		irq_unlevel(&i->irq, gsi, fd);
		return;
	}
	pthread_mutex_lock(&i->lock);
	for (size_t n = 0; n < ARRAY_SIZE(i->intx); n++) {
		if (i->intx[n].fd == fd) {
			(void)epoll_ctl(i->lines, EPOLL_CTL_DEL, fd, NULL);
			i->intx[n].fd = -1;
		}
		shared |= i->intx[n].fd >= 0 && i->intx[n].gsi == gsi;
	}
	pthread_mutex_unlock(&i->lock);
	/* Nobody is left who would lower it when the guest acknowledges its interrupt. */
	if (!shared)
		ioapic_set(&i->ioapic, gsi, false);
}

/* --- all of them --- */

void machine_interrupts_set(struct machine_interrupts *i, unsigned gsi, bool level)
{
	if (i->kvm->split)
		ioapic_set(&i->ioapic, gsi, level);
	else
		kvm_irq_line(i->kvm, gsi, level);
}

void machine_interrupts_eoi(struct machine_interrupts *i, uint8_t vector)
{
	ioapic_eoi(&i->ioapic, vector);
}

int machine_interrupts_create(struct machine_interrupts *i, const struct kvm *kvm,
			      struct bus *memory, struct loop *loop, struct err *err)
{
	const struct ioapic_out out = { ioapic_sends, ioapic_watches, ioapic_acknowledged, i };
	int ret;

	*i = (struct machine_interrupts)MACHINE_INTERRUPTS_EMPTY;
	i->kvm = kvm;
	irq_init(&i->irq, kvm);
	if (!kvm->split)
		return 0;
	for (size_t n = 0; n < ARRAY_SIZE(i->intx); n++)
		i->intx[n].fd = -1;
	ioapic_init(&i->ioapic, out);
	ret = bus_add(memory, (struct span){ IOAPIC_BASE, IOAPIC_BASE + IOAPIC_SIZE },
		      &i->ioapic.dev, err);
	if (ret < 0)
		return err_prefix(err, ret, "I/O APIC: ");
	i->lines = epoll_create1(EPOLL_CLOEXEC);
	if (i->lines < 0)
		return err_sys(err, errno, "cannot make an epoll descriptor");
	ret = loop_watch(loop, i->lines, POLLIN, lines_ready, i, err);
	if (ret < 0) {
		close(i->lines);
		i->lines = -1;
		return ret;
	}
	i->loop = loop;
	return 0;
}

void machine_interrupts_destroy(struct machine_interrupts *i)
{
	if (i->loop)
		loop_forget(i->loop, i->lines);
	if (i->lines >= 0)
		close(i->lines);
	irq_destroy(&i->irq);
	*i = (struct machine_interrupts)MACHINE_INTERRUPTS_EMPTY;
}
