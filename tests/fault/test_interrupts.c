/*
 * Interrupts of a machine whose I/O APIC is ours, against a KVM that the test plays: lines of
 * devices and of eventfds, from the level to the message, and back by the acknowledgement.
 */
#include "tests/fault/wrap.h"
#include "vmm/base/platform.h"
#include "vmm/machine/interrupts.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LEVEL 0x8000u

static struct err err;
static struct kvm kvm = { .fd = 3, .vm = 4 };
static struct machine_interrupts interrupts;
static struct bus memory;
static struct loop loop;

static struct {
	struct kvm_msi sent;
	unsigned nr_sent, nr_routes, levels;
	int irqfd; /* the last that KVM was given */
	uint32_t irqfd_flags;
} host;

static bool played(int fd, unsigned long request, void *arg, int *ret)
{
	assert_int_equal(fd, kvm.vm);
	*ret = 0;
	switch (request) {
	case KVM_SET_GSI_ROUTING:
		host.nr_routes = ((const struct kvm_irq_routing *)arg)->nr;
		break;
	case KVM_SIGNAL_MSI:
		host.sent = *(const struct kvm_msi *)arg;
		host.nr_sent++;
		break;
	case KVM_IRQ_LINE:
		host.levels++;
		break;
	case KVM_IRQFD:
		host.irqfd = (int)((const struct kvm_irqfd *)arg)->fd;
		host.irqfd_flags = ((const struct kvm_irqfd *)arg)->flags;
		break;
	default:
		fail_msg("ioctl %#lx", request);
	}
	return true;
}

static int play(void **state)
{
	memset(&host, 0, sizeof(host));
	wrap_setup(state);
	wrap_ioctl(played);
	bus_init(&memory);
	kvm.split = true;
	return loop_create(&loop, &err) < 0 ? -1 : 0;
}

static int unplay(void **state)
{
	(void)state;
	wrap_reset();
	loop_destroy(&loop);
	return 0;
}

static void pin_put(unsigned pin, uint32_t low, uint32_t high)
{
	uint32_t values[4] = { 0x11 + 2 * pin, high, 0x10 + 2 * pin, low };

	for (unsigned i = 0; i < 4; i++)
		assert_true(bus_write(&memory, IOAPIC_BASE + (i & 1 ? 0x10 : 0), 4, &values[i]));
}

static void serve(void)
{
	loop_stop(&loop);
	assert_int_equal(loop_run(&loop, &err), 0);
	loop_rearm(&loop);
}

static uint64_t taken(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static int route(int fd, uint64_t address, uint32_t data)
{
	struct msi_route r = { fd, -1, address, data };
	int ret = machine_interrupts_route(&interrupts, &r, 1, &err);

	return ret < 0 ? ret : r.handle;
}

/* --- tests --- */

static void create(void)
{
	assert_int_equal(machine_interrupts_create(&interrupts, &kvm, &memory, &loop, &err), 0);
}

/* A device's line reaches the last CPU; two devices share one of eventfds. */
static void test_split(void **state)
{
	int fds[4];

	(void)state;
	create();
	for (unsigned i = 0; i < 4; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pin_put(4, 0x31, 0x2c020000); /* ID 12Ch */
	machine_interrupts_set(&interrupts, 4, true);
	assert_int_equal(host.nr_sent, 1);
	assert_int_equal(host.sent.address_lo, 0xfee2c000);
	assert_int_equal(host.sent.address_hi, 0x100);
	assert_int_equal(host.sent.data, 0x31);
	assert_int_equal(host.levels + host.nr_routes, 0);

	pin_put(17, LEVEL | 0x51, 0);
	assert_int_equal(host.nr_routes, 1); /* KVM is to report the acknowledgement */
	assert_int_equal(machine_interrupts_intx(&interrupts, 17, fds[0], fds[1], &err), 0);
	assert_int_equal(machine_interrupts_intx(&interrupts, 17, fds[2], fds[3], &err), 0);
	signal_fd(fds[0]);
	serve();
	assert_int_equal(host.nr_sent, 2);
	assert_int_equal(host.sent.data, 0xc051);
	signal_fd(fds[2]); /* the line is high already */
	serve();
	assert_int_equal(host.nr_sent, 2);
	machine_interrupts_eoi(&interrupts, 0x51);
	assert_int_equal(taken(fds[1]), 1);
	assert_int_equal(taken(fds[3]), 1);
	assert_int_equal(host.nr_sent, 2); /* it fell: the devices ask again if they want to */

	/* The first leaves; what it signalled is the host's. The second goes on. */
	signal_fd(fds[0]);
	machine_interrupts_unintx(&interrupts, 17, fds[0]);
	serve();
	assert_int_equal(host.nr_sent, 2);
	signal_fd(fds[2]);
	serve();
	assert_int_equal(host.nr_sent, 3);
	/* With the last one the line falls: an acknowledgement alone sends nothing more. */
	machine_interrupts_unintx(&interrupts, 17, fds[2]);
	machine_interrupts_eoi(&interrupts, 0x51);
	assert_int_equal(taken(fds[3]), 0);
	assert_int_equal(host.nr_sent, 3);
	pin_put(17, 0x51, 0);
	assert_int_equal(host.nr_routes, 0);
	machine_interrupts_destroy(&interrupts);
	for (unsigned i = 0; i < 4; i++)
		close(fds[i]);
}

/* Where the I/O APIC is KVM's, lines are. */
static void test_whole(void **state)
{
	uint32_t value;

	(void)state;
	kvm.split = false;
	create();
	assert_false(bus_read(&memory, IOAPIC_BASE, 4, &value));
	machine_interrupts_set(&interrupts, 4, true);
	assert_int_equal(host.levels, 1);
	assert_int_equal(machine_interrupts_intx(&interrupts, 17, 20, 21, &err), 0);
	assert_int_equal(host.irqfd, 20);
	assert_int_equal(host.irqfd_flags, KVM_IRQFD_FLAG_RESAMPLE);
	machine_interrupts_unintx(&interrupts, 17, 20);
	assert_int_equal(host.irqfd_flags, KVM_IRQFD_FLAG_DEASSIGN);
	machine_interrupts_destroy(&interrupts);
}

/* Vectors beyond KVM's routes have their messages sent by the loop. */
static void test_more_vectors_than_routes(void **state)
{
	int fds[2], routes[2];
	struct msi_route moved;

	(void)state;
	kvm.split = false;
	create();
	for (unsigned n = 0; n < IRQ_ROUTES_MAX; n++)
		assert_true(route(20, 0xfee01000, n) < IRQ_FIRST_ROUTE + IRQ_ROUTES_MAX);
	host.irqfd = 0;
	for (unsigned n = 0; n < 2; n++) {
		fds[n] = eventfd(n, EFD_CLOEXEC | EFD_NONBLOCK); /* the second is signalled */
		routes[n] = route(fds[n], 0xfee02000, 0x41 + n);
		assert_true(routes[n] >= IRQ_FIRST_ROUTE + IRQ_ROUTES_MAX);
	}
	assert_int_equal(host.irqfd, 0);
	serve();
	assert_int_equal(host.nr_sent, 1);
	assert_int_equal(host.sent.data, 0x42);
	moved = (struct msi_route){ fds[0], routes[0], 0xfee03000, 0x51 };
	assert_int_equal(machine_interrupts_route(&interrupts, &moved, 1, &err), 0);
	signal_fd(fds[0]);
	serve();
	assert_int_equal(host.nr_sent, 2);
	assert_int_equal(host.sent.address_lo, 0xfee03000);
	assert_int_equal(host.sent.data, 0x51);
	/* A masked vector keeps its signal, which the guest sees as the pending bit. */
	machine_interrupts_unroute(&interrupts, routes[0], fds[0]);
	signal_fd(fds[0]);
	serve();
	assert_int_equal(host.nr_sent, 2);
	assert_int_equal(route(fds[0], 0xfee03000, 0x52), routes[0]);
	serve();
	assert_int_equal(host.nr_sent, 3);
	assert_int_equal(host.sent.data, 0x52);
	/* Routes that KVM has again are taken first. */
	machine_interrupts_unroute(&interrupts, IRQ_FIRST_ROUTE, 20);
	assert_int_equal(route(20, 0xfee01000, 0), IRQ_FIRST_ROUTE);
	wrap_fail_named("epoll_ctl", 1, ENOMEM);
	assert_int_equal(route(20, 0xfee01000, 0), -ENOMEM);
	wrap_assert_says(&err, "cannot watch the eventfd");
	machine_interrupts_destroy(&interrupts);
	close(fds[0]);
	close(fds[1]);
}

static void test_all_lines_are_taken(void **state)
{
	int fds[PCI_DEVICES_MAX + 1];

	(void)state;
	create();
	for (unsigned i = 0; i <= PCI_DEVICES_MAX; i++) {
		int ret;

		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ret = machine_interrupts_intx(&interrupts, 16, fds[i], fds[i], &err);
		assert_int_equal(ret, i < PCI_DEVICES_MAX ? 0 : -ENOSPC);
	}
	wrap_assert_says(&err, "devices use INTx");
	machine_interrupts_destroy(&interrupts);
	for (unsigned i = 0; i <= PCI_DEVICES_MAX; i++)
		close(fds[i]);
}

static int attempt(void *to, struct err *e)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ret = machine_interrupts_create(&interrupts, &kvm, &memory, &loop, e);

	(void)to;
	if (ret == 0)
		ret = machine_interrupts_intx(&interrupts, 16, fd, fd, e);
	machine_interrupts_destroy(&interrupts);
	bus_remove(&memory, (struct span){ IOAPIC_BASE, IOAPIC_BASE + IOAPIC_SIZE });
	close(fd);
	return ret;
}

static void test_failures(void **state)
{
	static const struct wrap_harmless none[] = { { { 0 }, 0, NULL } };

	(void)state;
	wrap_sweep(attempt, NULL, EMFILE, none);
	wrap_sweep(attempt, NULL, ENOMEM, none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_split, play, unplay),
		cmocka_unit_test_setup_teardown(test_whole, play, unplay),
		cmocka_unit_test_setup_teardown(test_more_vectors_than_routes, play, unplay),
		cmocka_unit_test_setup_teardown(test_all_lines_are_taken, play, unplay),
		cmocka_unit_test_setup_teardown(test_failures, play, unplay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
