/*
 * The interrupt routes that KVM is given, against a KVM that the test plays.
 */
#include "tests/fault/wrap.h"
#include "vmm/host/irq.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static struct err err;
static const struct kvm kvm = { .fd = 3, .vm = 4 };
static struct irq irq;

/* --- the played KVM: its table, and which eventfd drives which GSI --- */

static struct {
	unsigned tables; /* how often it was written */
	struct kvm_irq_routing_entry table[IRQ_ROUTES_MAX + 64];
	unsigned nr;
	int fds[IRQ_ROUTES_MAX + 64]; /* 0: none */
	int resample[64];
	struct kvm_msi sent;
} host;

static void play_irqfd(const struct kvm_irqfd *i)
{
	if (i->flags & KVM_IRQFD_FLAG_DEASSIGN) {
		assert_int_equal(host.fds[i->gsi], i->fd);
		host.fds[i->gsi] = 0;
		return;
	}
	assert_int_equal(host.fds[i->gsi], 0);
	host.fds[i->gsi] = (int)i->fd;
	if (i->flags & KVM_IRQFD_FLAG_RESAMPLE)
		host.resample[i->gsi] = (int)i->resamplefd;
}

static bool played(int fd, unsigned long request, void *arg, int *ret)
{
	const struct kvm_irq_routing *table = arg;

	assert_int_equal(fd, kvm.vm);
	*ret = 0;
	switch (request) {
	case KVM_SET_GSI_ROUTING:
		host.tables++;
		host.nr = table->nr;
		memcpy(host.table, table->entries, table->nr * sizeof(host.table[0]));
		break;
	case KVM_IRQFD:
		play_irqfd(arg);
		break;
	case KVM_SIGNAL_MSI:
		host.sent = *(struct kvm_msi *)arg;
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
	irq_init(&irq, &kvm);
	return 0;
}

static int unplay(void **state)
{
	(void)state;
	irq_destroy(&irq);
	wrap_reset();
	return 0;
}

static const struct kvm_irq_routing_entry *find_message(unsigned gsi)
{
	for (unsigned i = 0; i < host.nr; i++)
		if (host.table[i].gsi == gsi && host.table[i].type == KVM_IRQ_ROUTING_MSI)
			return &host.table[i];
	return NULL;
}

static void expect_message(int gsi, uint64_t address, uint32_t data)
{
	const struct kvm_irq_routing_entry *e = find_message((unsigned)gsi);

	assert_non_null(e);
	assert_int_equal(e->u.msi.address_lo, (uint32_t)address);
	assert_int_equal(e->u.msi.address_hi, address >> 32);
	assert_int_equal(e->u.msi.data, data);
}

static int route(int fd, uint64_t address, uint32_t data)
{
	struct msi_route r = { fd, -1, address, data };
	int ret = irq_route(&irq, &r, 1, &err);

	assert_true(ret == 0 || r.handle == -1);
	return ret < 0 ? ret : r.handle;
}

static int move(int gsi, uint64_t address, uint32_t data)
{
	return irq_route(&irq, &(struct msi_route){ 0, gsi, address, data }, 1, &err);
}

/* --- tests --- */

static void test_routes(void **state)
{
	int a = route(10, 0xfee01000, 0x41);
	int b = route(11, UINT64_C(0x100fee02000), 0x42);

	(void)state;
	assert_true(a >= IRQ_FIRST_ROUTE && b >= IRQ_FIRST_ROUTE && a != b);
	expect_message(a, 0xfee01000, 0x41);
	expect_message(b, UINT64_C(0x100fee02000), 0x42);
	assert_int_equal(host.fds[a], 10);
	assert_int_equal(host.fds[b], 11);

	assert_int_equal(move(a, 0xfee03000, 0x43), 0);
	expect_message(a, 0xfee03000, 0x43);
	wrap_count();
	assert_int_equal(move(a, 0xfee03000, 0x43), 0);
	assert_int_equal(wrap_calls(), 0); /* nothing to change */

	irq_unroute(&irq, a, 10);
	assert_int_equal(host.fds[a], 0);
	assert_int_equal(route(12, 0xfee04000, 0x44), a);
	expect_message(a, 0xfee04000, 0x44);
	expect_message(b, UINT64_C(0x100fee02000), 0x42);
}

/* The pins stay as KVM made them: serial line and RTC go through the I/O APIC still. */
static void test_pins(void **state)
{
	bool ioapic[IRQ_PINS] = { false };
	unsigned pics = 0;

	(void)state;
	assert_true(route(10, 0xfee01000, 0x41) >= 0);
	for (unsigned i = 0; i < host.nr; i++) {
		const struct kvm_irq_routing_entry *e = &host.table[i];

		if (e->type != KVM_IRQ_ROUTING_IRQCHIP)
			continue;
		if (e->u.irqchip.irqchip == KVM_IRQCHIP_IOAPIC) {
			assert_int_equal(e->gsi, e->u.irqchip.pin);
			ioapic[e->gsi] = true;
		} else {
			unsigned chip = e->gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;

			assert_int_equal(e->u.irqchip.irqchip, chip);
			assert_int_equal(e->gsi % 8, e->u.irqchip.pin);
			pics++;
		}
	}
	for (unsigned pin = 0; pin < IRQ_PINS; pin++)
		assert_true(ioapic[pin]);
	assert_int_equal(pics, 16);
}

static void test_level_and_message(void **state)
{
	(void)state;
	assert_int_equal(irq_level(&irq, 17, 20, 21, &err), 0);
	assert_int_equal(host.fds[17], 20);
	assert_int_equal(host.resample[17], 21);
	irq_unlevel(&irq, 17, 20);
	assert_int_equal(host.fds[17], 0);
	irq_message(&irq, UINT64_C(0x100fee05000), 0x45);
	assert_int_equal(host.sent.address_lo, 0xfee05000);
	assert_int_equal(host.sent.address_hi, 0x100);
	assert_int_equal(host.sent.data, 0x45);
}

/*
 * With an I/O APIC of ours: no pin of KVM's, which it would refuse, the messages of level-triggered
 * pins instead, and destinations past 255 where KVM takes them.
 */
static void test_split(void **state)
{
	static const struct kvm split = { .fd = 3, .vm = 4, .split = true };
	int gsi;

	(void)state;
	irq_init(&irq, &split);
	gsi = route(10, 0xfee2c020, 0x41); /* ID 12Ch */
	assert_int_equal(gsi, IRQ_FIRST_ROUTE);
	assert_int_equal(host.nr, 1);
	expect_message(gsi, UINT64_C(0x100fee2c000), 0x41);
	assert_int_equal(move(gsi, 0xfee01fe0, 0x41), 0);
	expect_message(gsi, UINT64_C(0x7f00fee01000), 0x41);
	irq_message(&irq, 0xfee2c020, 0x45);
	assert_int_equal(host.sent.address_lo, 0xfee2c000);
	assert_int_equal(host.sent.address_hi, 0x100);

	assert_int_equal(irq_pin(&irq, 9, true, 0xfee2c020, 0xc051, &err), 0);
	assert_int_equal(host.nr, 2);
	expect_message(9, UINT64_C(0x100fee2c000), 0xc051);
	wrap_count();
	assert_int_equal(irq_pin(&irq, 9, true, 0xfee2c020, 0xc051, &err), 0);
	assert_int_equal(wrap_calls(), 0); /* nothing to change */
	wrap_fail_named("ioctl", 1, EINVAL);
	assert_int_equal(irq_pin(&irq, 9, false, 0, 0, &err), -EINVAL);
	assert_int_equal(irq_pin(&irq, 10, true, 0xfee00000, 0xc052, &err), 0);
	expect_message(9, UINT64_C(0x100fee2c000), 0xc051); /* it stayed */
	assert_int_equal(irq_pin(&irq, 9, false, 0, 0, &err), 0);
	assert_null(find_message(9));
	expect_message(10, 0xfee00000, 0xc052);
	irq_unroute(&irq, gsi, 10);
}

#define MANY 65u

static void list_many(struct msi_route list[MANY])
{
	for (unsigned i = 0; i < MANY; i++)
		list[i] = (struct msi_route){ 100 + (int)i, -1, 0xfee00000 + 0x1000 * i, 0x30 + i };
}

static void unroute_many(const struct msi_route list[MANY])
{
	for (unsigned i = 0; i < MANY; i++)
		irq_unroute(&irq, list[i].handle, list[i].fd);
}

/* One table for all of them, and none for those that come back as they were. */
static void test_at_once(void **state)
{
	struct msi_route list[MANY];

	(void)state;
	list_many(list);
	assert_int_equal(irq_route(&irq, list, MANY, &err), 0);
	assert_int_equal(host.tables, 1);
	for (unsigned i = 0; i < MANY; i++) {
		expect_message(list[i].handle, 0xfee00000 + 0x1000 * i, 0x30 + i);
		assert_int_equal(host.fds[list[i].handle], 100 + i);
	}
	unroute_many(list);
	list_many(list);
	assert_int_equal(irq_route(&irq, list, MANY, &err), 0);
	assert_int_equal(host.tables, 1);
	assert_int_equal(host.fds[list[MANY - 1].handle], 100 + MANY - 1);
	/* Another message, where the table still has the one that nobody sends. */
	irq_unroute(&irq, list[3].handle, list[3].fd);
	list[3].handle = -1;
	list[3].data++;
	list[5].data++;
	assert_int_equal(irq_route(&irq, list, MANY, &err), 0);
	assert_int_equal(host.tables, 2);
	expect_message(list[3].handle, 0xfee03000, 0x34);
	expect_message(list[5].handle, 0xfee05000, 0x36);
	unroute_many(list);
}

/* What fails leaves the others, and says which they are. */
static void test_at_once_failing(void **state)
{
	struct msi_route list[MANY];

	(void)state;
	list_many(list);
	wrap_fail_named("ioctl", 1, EINVAL); /* the table */
	assert_int_equal(irq_route(&irq, list, MANY, &err), -EINVAL);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(list[i].handle, -1);
	wrap_fail_named("ioctl", 1 + 8, EBUSY); /* the eventfd of the eighth */
	assert_int_equal(irq_route(&irq, list, MANY, &err), -EBUSY);
	wrap_assert_says(&err, "KVM refuses an eventfd for GSI 31");
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(list[i].handle < 0, i == 7);
	/* Now it is new, and another one changes: if KVM refuses both, that one stays. */
	list[2].data = 0x99;
	wrap_fail_named("ioctl", 1, EINVAL);
	assert_int_equal(irq_route(&irq, list, MANY, &err), -EINVAL);
	assert_int_equal(list[7].handle, -1);
	assert_int_equal(list[2].data, 0x32);
	assert_int_equal(irq_route(&irq, list, MANY, &err), 0);
	expect_message(list[2].handle, 0xfee02000, 0x32);
	assert_int_equal(host.fds[list[7].handle], 107);
	unroute_many(list);
}

/* With room for some, those are routed. */
static void test_at_once_full(void **state)
{
	struct msi_route list[MANY];

	(void)state;
	for (unsigned i = 0; i < IRQ_ROUTES_MAX - 2; i++)
		assert_true(route(1, 0xfee00000, i) >= 0);
	list_many(list);
	host.tables = 0;
	assert_int_equal(irq_route(&irq, list, MANY, &err), -ENOSPC);
	assert_int_equal(host.tables, 1);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(list[i].handle >= 0, i < 2);
	assert_int_equal(host.fds[list[1].handle], 101);
}

static void test_full(void **state)
{
	int gsi = 0;

	(void)state;
	wrap_count();
	for (unsigned i = 0; i < IRQ_ROUTES_MAX && gsi >= 0; i += 1)
		gsi = route(1, 0xfee00000, i);
	assert_int_equal(gsi, IRQ_FIRST_ROUTE + IRQ_ROUTES_MAX - 1);
	assert_int_equal(route(1, 0xfee00000, 0), -ENOSPC);
	wrap_assert_says(&err, "no more than 4032 routes");
}

/* --- each call failing --- */

static int attempt(void *to, struct err *e)
{
	int a, b, ret;

	(void)to;
	memset(&host, 0, sizeof(host));
	irq_init(&irq, &kvm);
	a = b = ret = route(10, 0xfee01000, 0x41);
	if (a >= 0)
		ret = b = route(11, 0xfee02000, 0x42);
	if (b >= 0)
		ret = move(a, 0xfee03000, 0x43);
	if (ret == 0)
		ret = irq_level(&irq, 17, 20, 21, e);
	if (ret == 0)
		irq_unlevel(&irq, 17, 20);
	if (b >= 0)
		irq_unroute(&irq, b, 11);
	if (a >= 0)
		irq_unroute(&irq, a, 10);
	irq_destroy(&irq);
	return ret < 0 ? ret : 0;
}

static void test_failures(void **state)
{
	struct wrap_held before = wrap_held();

	(void)state;
	for (unsigned n = 1; n <= 7; n++) {
		wrap_fail_named("ioctl", n, EINVAL);
		err.text[0] = '\0';
		assert_int_equal(attempt(NULL, &err), n == 7 ? 0 : -EINVAL); /* 7: deassign */
		if (n < 7)
			wrap_assert_says(&err, "KVM refuses");
		wrap_assert_released(before, "the attempt");
	}
	for (unsigned n = 1; n <= 4; n++) {
		wrap_fail_named("calloc", n, ENOMEM);
		assert_int_equal(attempt(NULL, &err), -ENOMEM);
		wrap_assert_released(before, "the attempt");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_routes, play, unplay),
		cmocka_unit_test_setup_teardown(test_pins, play, unplay),
		cmocka_unit_test_setup_teardown(test_level_and_message, play, unplay),
		cmocka_unit_test_setup_teardown(test_split, play, unplay),
		cmocka_unit_test_setup_teardown(test_at_once, play, unplay),
		cmocka_unit_test_setup_teardown(test_at_once_failing, play, unplay),
		cmocka_unit_test_setup_teardown(test_at_once_full, play, unplay),
		cmocka_unit_test_setup_teardown(test_full, play, unplay),
		cmocka_unit_test_setup_teardown(test_failures, play, unplay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
