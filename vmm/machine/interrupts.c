#include "vmm/machine/interrupts.h"

#include "vmm/base/platform.h"
#include "vmm/base/span.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
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

/* --- eventfds --- */

/* In the word that epoll keeps for a descriptor: an entry of intx, else of messages. */
#define WORD_LINE (UINT32_C(1) << 31)

static int interrupts_watch(const struct machine_interrupts *i, int fd, uint32_t word,
			    struct err *err)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = word };

	if (epoll_ctl(i->watched, EPOLL_CTL_ADD, fd, &event) < 0)
		return err_sys(err, errno, "cannot watch the eventfd of an interrupt");
	return 0;
}

static bool take_signal(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

/*
 * Sends the messages whose eventfds were signalled, and returns the GSIs of lines that were, as
 * bits.
 */
static uint32_t take_signals(struct machine_interrupts *i)
{
	struct epoll_event events[64];
	uint32_t gsis = 0;
	int n;

	pthread_mutex_lock(&i->lock);
	n = epoll_wait(i->watched, events, ARRAY_SIZE(events), 0);
	for (int e = 0; e < n; e++) {
		uint32_t word = events[e].data.u32;

		if (word & WORD_LINE) {
			const struct machine_intx *x = &i->intx[word & ~WORD_LINE];

			if (take_signal(x->fd))
				gsis |= 1u << x->gsi;
		} else {
			const struct machine_message *m = &i->messages[word];

			if (take_signal(m->fd))
				irq_message(&i->irq, m->address, m->data);
		}
	}
	pthread_mutex_unlock(&i->lock);
	return gsis;
}

static bool has_line(struct machine_interrupts *i, unsigned gsi)
{
	bool has = false;

	pthread_mutex_lock(&i->lock);
	for (size_t n = 0; n < ARRAY_SIZE(i->intx); n++)
		has |= i->intx[n].fd >= 0 && i->intx[n].gsi == gsi;
	pthread_mutex_unlock(&i->lock);
	return has;
}

static void eventfds_ready(void *to, short revents)
{
	struct machine_interrupts *i = to;
	uint32_t gsis = take_signals(i);

	(void)revents;
	for (unsigned gsi = 0; gsi < IOAPIC_PINS; gsi++) {
		if (!(gsis >> gsi & 1))
			continue;
		ioapic_set(&i->ioapic, gsi, true);
		/* A vCPU may have turned INTx off meanwhile, and nobody would lower the line. */
		if (!has_line(i, gsi))
			ioapic_set(&i->ioapic, gsi, false);
	}
}

/* --- messages for which KVM has no route left --- */

/* Handles of these follow those of KVM's routes. */
#define FIRST_MESSAGE (IRQ_FIRST_ROUTE + IRQ_ROUTES_MAX)

static int add_message(struct machine_interrupts *i, struct machine_message m, unsigned *from,
		       struct err *err)
{
	int ret;

	if (!i->messages)
		i->messages = calloc(MACHINE_MESSAGES_MAX, sizeof(*i->messages));
	if (!i->messages)
		return err_sys(err, ENOMEM, "out of memory for %u interrupt messages",
			       MACHINE_MESSAGES_MAX);
	while (*from < i->nr_messages && i->messages[*from].used)
		++*from;
	if (*from == MACHINE_MESSAGES_MAX)
		return err_set(err, ENOSPC, "there are no more than %u interrupt messages",
			       MACHINE_MESSAGES_MAX);
	ret = interrupts_watch(i, m.fd, *from, err);
	if (ret < 0)
		return ret;
	i->messages[*from] = m;
	if (*from == i->nr_messages)
		i->nr_messages++;
	return FIRST_MESSAGE + (int)*from;
}

/* Those of `list` that KVM does not send: with `add`, those, too, for which it has no room. */
static int route_messages(struct machine_interrupts *i, struct msi_route *list, size_t n, bool add,
			  struct err *err)
{
	unsigned from = 0;
	int ret = 0;

	pthread_mutex_lock(&i->lock);
	for (size_t j = 0; j < n; j++) {
		struct machine_message m = { list[j].fd, true, list[j].address, list[j].data };

		if (list[j].handle >= FIRST_MESSAGE)
			i->messages[list[j].handle - FIRST_MESSAGE] = m;
		if (list[j].handle >= 0 || !add || ret < 0)
			continue;
		ret = add_message(i, m, &from, err);
		list[j].handle = ret < 0 ? -1 : ret;
	}
	pthread_mutex_unlock(&i->lock);
	return ret < 0 ? ret : 0;
}

int machine_interrupts_route(struct machine_interrupts *i, struct msi_route *list, size_t n,
			     struct err *err)
{
	struct err full = { "" };
	int ret = irq_route(&i->irq, list, n, &full), own;

	own = route_messages(i, list, n, ret == -ENOSPC, err);
	if (ret == 0 || ret == -ENOSPC)
		return own;
	return err_set(err, -ret, "%s", full.text);
}

void machine_interrupts_unroute(struct machine_interrupts *i, int route, int fd)
{
	if (route < FIRST_MESSAGE) {
		irq_unroute(&i->irq, route, fd);
		return;
	}
	pthread_mutex_lock(&i->lock);
	(void)epoll_ctl(i->watched, EPOLL_CTL_DEL, fd, NULL);
	i->messages[route - FIRST_MESSAGE].used = false;
	pthread_mutex_unlock(&i->lock);
}

/* --- lines of eventfds --- */

static int interrupts_add_line(struct machine_interrupts *i, struct machine_intx line,
			       struct err *err)
{
	uint32_t n = 0;
	int ret;

	while (n < ARRAY_SIZE(i->intx) && i->intx[n].fd >= 0)
		n++;
	if (n == ARRAY_SIZE(i->intx))
		return err_set(err, ENOSPC, "more than %u devices use INTx", n);
	ret = interrupts_watch(i, line.fd, n | WORD_LINE, err);
	if (ret == 0)
		i->intx[n] = line;
	return ret;
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
			(void)epoll_ctl(i->watched, EPOLL_CTL_DEL, fd, NULL);
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

static int create_ioapic(struct machine_interrupts *i, struct bus *memory, struct err *err)
{
	const struct ioapic_out out = { ioapic_sends, ioapic_watches, ioapic_acknowledged, i };
	int ret;

	ioapic_init(&i->ioapic, out);
	ret = bus_add(memory, (struct span){ IOAPIC_BASE, IOAPIC_BASE + IOAPIC_SIZE },
		      &i->ioapic.dev, err);
	return ret < 0 ? err_prefix(err, ret, "I/O APIC: ") : 0;
}

int machine_interrupts_create(struct machine_interrupts *i, const struct kvm *kvm,
			      struct bus *memory, struct loop *loop, struct err *err)
{
	int ret;

	*i = (struct machine_interrupts)MACHINE_INTERRUPTS_EMPTY;
	i->kvm = kvm;
	irq_init(&i->irq, kvm);
	for (size_t n = 0; n < ARRAY_SIZE(i->intx); n++)
		i->intx[n].fd = -1;
	ret = kvm->split ? create_ioapic(i, memory, err) : 0;
	if (ret < 0)
		return ret;
	i->watched = epoll_create1(EPOLL_CLOEXEC);
	if (i->watched < 0)
		return err_sys(err, errno, "cannot make an epoll descriptor");
	ret = loop_watch(loop, i->watched, POLLIN, eventfds_ready, i, err);
	if (ret == 0)
		i->loop = loop;
	return ret;
}

void machine_interrupts_destroy(struct machine_interrupts *i)
{
	if (i->loop)
		loop_forget(i->loop, i->watched);
	if (i->watched >= 0)
		close(i->watched);
	free(i->messages);
	irq_destroy(&i->irq);
	*i = (struct machine_interrupts)MACHINE_INTERRUPTS_EMPTY;
}
