/*
 * The registers of a virtio device, by a network adapter's: which features a driver may have, and
 * that a device which may not touch memory any more does not, whoever serves it.
 */
#include "devices/virtio_net.h"
#include "devices/virtio_pci.h"
#include "devices/virtio_remote.h"
#include "tests/unit/devices/virtio_driver.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

/* Of the BAR: section 4.1.4.3, and this device's layout */
#define FEATURES_SELECT 0x08
#define FEATURES	0x0c
#define CONFIG_VECTOR	0x10
#define STATUS		0x14
#define QUEUE_SELECT	0x16
#define QUEUE_SIZE	0x18
#define QUEUE_ENABLE	0x1c
#define QUEUE_DESC	0x20
#define QUEUE_DRIVER	0x28
#define QUEUE_DEVICE	0x30

#define DRIVER_OK   4
#define FEATURES_OK 8
#define NEEDS_RESET 64

#define COMMAND 4 /* of the configuration space: memory, bus master */

static struct virtio_pci pci;
static struct virtio_net net;
static struct virtio_remote remote;
static int vectors[VIRTIO_QUEUES_MAX + 1];
static unsigned said;

/* --- the machine --- */

static int env_claim(void *to, bool io, struct span at, struct device *bar, struct err *err)
{
	(void)to;
	(void)io;
	(void)at;
	(void)bar;
	(void)err;
	return 0;
}

static void env_unclaim(void *to, bool io, struct span at)
{
	(void)to;
	(void)io;
	(void)at;
}

static int env_doorbell(void *to, uint64_t at, int fd, struct err *err)
{
	(void)to;
	(void)at;
	(void)fd;
	return err_set(err, ENOSPC, "no more");
}

static void env_say(void *to, const char *sentence)
{
	(void)to;
	snprintf(told, sizeof(told), "%s", sentence);
	said++;
}

static const struct pci_env env = {
	.claim = env_claim,
	.unclaim = env_unclaim,
	.doorbell = env_doorbell,
	.say = env_say,
};

/* --- who serves it --- */

static unsigned frames; /* that wait */
static bool served;

static int port_send(void *port, const struct iovec *parts, unsigned n, size_t len)
{
	(void)port;
	(void)parts;
	(void)n;
	(void)len;
	return 0;
}

static ssize_t port_receive(void *port, uint8_t *to, size_t cap)
{
	(void)port;
	(void)cap;
	if (!frames)
		return -EAGAIN;
	frames--;
	memset(to, 0x5a, 60);
	return 60;
}

static void port_want(void *port, bool wanted, bool room)
{
	(void)port;
	(void)wanted;
	(void)room;
}

static void port_offloads(void *port, uint64_t features)
{
	(void)port;
	(void)features;
}

static void port_reset(void *port)
{
	(void)port;
}

static const struct net_port_ops port_ops = {
	.send = port_send,
	.receive = port_receive,
	.want = port_want,
	.offloads = port_offloads,
	.reset = port_reset,
};

static int server_start(void *server, const struct guest_ram *of, const struct served_queue *queues,
			unsigned n, uint64_t features, struct err *err)
{
	(void)server;
	(void)of;
	(void)queues;
	(void)n;
	(void)features;
	(void)err;
	assert_false(served);
	served = true;
	return 0;
}

static void server_stop(void *server, unsigned n)
{
	(void)server;
	(void)n;
	assert_true(served);
	served = false;
}

static enum server_state state_resumes(void *server)
{
	(void)server;
	return SERVER_RESUMES;
}

static const struct server_ops server_ops = { server_start, server_stop, state_resumes };

/* --- the driver --- */

static uint8_t bar_status(void)
{
	return (uint8_t)pci.bar.ops->read(&pci.bar, STATUS, 1);
}

static void bar_write(uint64_t offset, unsigned size, uint64_t value)
{
	pci.bar.ops->write(&pci.bar, offset, size, value);
}

static void command(unsigned value)
{
	pci.fn.ops->write(&pci.fn, COMMAND, 2, value);
}

/* Returns whether the device takes them. */
static bool accept_features(uint64_t features)
{
	bar_write(STATUS, 1, 0);
	bar_write(STATUS, 1, 3);
	for (unsigned half = 0; half < 2; half++) {
		bar_write(FEATURES_SELECT, 4, half);
		bar_write(FEATURES, 4, (uint32_t)(features >> 32 * half));
	}
	bar_write(STATUS, 1, 3 | FEATURES_OK);
	return bar_status() & FEATURES_OK;
}

static void start_driver(void)
{
	assert_true(accept_features(VIRTIO_BIT(F_VERSION_1)));
	for (unsigned i = 0; i < 2; i++) {
		memset(memory + RING(i), 0, 0x3000);
		bar_write(QUEUE_SELECT, 2, i);
		bar_write(QUEUE_SIZE, 2, ENTRIES);
		bar_write(QUEUE_DESC, 8, RING(i));
		bar_write(QUEUE_DRIVER, 8, RING(i) + 0x1000);
		bar_write(QUEUE_DEVICE, 8, RING(i) + 0x2000);
		bar_write(QUEUE_ENABLE, 2, 1);
	}
	for (unsigned i = 0; i < 4; i++) {
		describe(0, i, DATA + 0x1000 * i, 2000, DESC_WRITE, 0);
		offer(0, 1, i);
	}
	bar_write(STATUS, 1, 7 | FEATURES_OK);
	assert_int_equal(bar_status(), 7 | FEATURES_OK);
}

static void plug_pci(struct virtio_device *device)
{
	dev = device;
	for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++)
		vectors[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	virtio_pci_plug(&pci, dev, &ram, &env, kicks, vectors, UINT64_C(0x100000000));
	frames = said = 0;
	served = false;
	memset(memory + DATA, 0xee, 0x4000);
}

static void unplug_pci(void)
{
	virtio_pci_unplug(&pci);
	assert_false(served);
	for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++)
		close(vectors[i]);
}

static void plug_net(const struct server *server, unsigned pairs)
{
	static const uint8_t mac[6] = { 0x52, 0x54 };
	const struct net_port port = { .ops = &port_ops, .features = NET_OFFLOADS };
	const struct net_port ports[] = { port, port };
	struct err err;

	assert_int_equal(virtio_net_init(&net, ports, pairs, server, mac, &err), 0);
	plug_pci(&net.dev);
}

/* --- tests --- */

static void test_features(void **state)
{
	const struct server server = { &server_ops, NULL, 0 };
	static const uint8_t mac[6] = { 0x52, 0x54 };

	(void)state;
	plug_net(NULL, 1);
	assert_true(accept_features(VIRTIO_BIT(F_VERSION_1)));
	assert_true(accept_features(dev->features));
	assert_false(accept_features(dev->features & ~VIRTIO_BIT(F_VERSION_1)));
	assert_false(accept_features(dev->features | UINT64_C(1) << 63));
	/* VIRTIO_NET_F_GUEST_TSO4 needs _GUEST_CSUM. */
	assert_false(accept_features(VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(NET_F_GUEST_TSO4)));
	assert_true(accept_features(VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(NET_F_GUEST_TSO4) |
				    VIRTIO_BIT(NET_F_GUEST_CSUM)));
	unplug_pci();
	virtio_net_destroy(&net);

	virtio_remote_net(&remote, 0xff83, mac, &server);
	plug_pci(&remote.dev);
	assert_true(accept_features(dev->features));
	assert_false(accept_features(VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(NET_F_GUEST_TSO4)));
	unplug_pci();
}

/* The device is as still as its guest asks, also when the bit is set again before the reset. */
static void still(void)
{
	assert_false(bar_status() & DRIVER_OK);
	assert_true(bar_status() & NEEDS_RESET);
	bar_write(STATUS, 1, 7 | FEATURES_OK); /* not without a reset */
	assert_false(bar_status() & DRIVER_OK);
	frames = 2;
	for (unsigned i = 0; i < 2 && !dev->server.ops; i++)
		virtio_kicked(dev, i);
	if (!dev->server.ops)
		(void)virtio_net_serve(&net, 0);
	else
		assert_true(virtio_server_back(dev));
	assert_false(served);
	assert_int_equal(used(0), 0);
	assert_int_equal(memory[DATA], 0xee);
	assert_int_equal(said, 0);
}

static void test_bus_master(void **state)
{
	(void)state;
	plug_net(NULL, 1);
	/* Before a driver is ready it has nothing to say. Nor need it be set at all. */
	command(6);
	command(2);
	assert_int_equal(bar_status(), 0);
	start_driver();
	command(3);
	assert_int_equal(bar_status(), 7 | FEATURES_OK);
	frames = 1;
	(void)virtio_net_serve(&net, 0);
	assert_int_equal(used(0), 1);

	start_driver();
	command(6);
	memset(memory + DATA, 0xee, 0x4000);
	command(2);
	still();
	command(6);
	still();
	start_driver();
	frames = 1;
	(void)virtio_net_serve(&net, 0);
	assert_int_equal(used(0), 1);
	unplug_pci();
	virtio_net_destroy(&net);
}

/* The same by a server, as vhost and vhost-user are. */
static void test_bus_master_of_server(void **state)
{
	const struct server server = { &server_ops, NULL, 0 };
	static const uint8_t mac[6] = { 0x52, 0x54 };

	(void)state;
	for (unsigned is_remote = 0; is_remote < 2; is_remote++) {
		if (is_remote) {
			virtio_remote_net(&remote, 0, mac, &server);
			plug_pci(&remote.dev);
		} else {
			plug_net(&server, 1);
		}
		command(6);
		start_driver();
		assert_true(served);
		command(2);
		still();
		command(6);
		still();
		start_driver();
		assert_true(served);
		unplug_pci();
		if (!is_remote)
			virtio_net_destroy(&net);
	}
}

/* A ring that was given up is a driver's that must start anew; of the last one's nobody hears. */
static void test_ring_given_up(void **state)
{
	const struct server server = { &server_ops, NULL, 0 };
	int error = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t one = 1;

	(void)state;
	plug_net(&server, 1);
	dev->server_error = error;
	virtio_server_failed(dev); /* nothing is served yet, nor was anything said */
	start_driver();
	virtio_server_failed(dev);
	assert_int_equal(bar_status(), 7 | FEATURES_OK);
	assert_int_equal(write(error, &one, sizeof(one)), sizeof(one));
	virtio_server_failed(dev);
	assert_int_equal(bar_status(), 7 | FEATURES_OK | NEEDS_RESET);
	assert_int_equal(said, 1);
	assert_non_null(strstr(told, "gave up a ring"));

	assert_int_equal(write(error, &one, sizeof(one)), sizeof(one));
	start_driver();
	virtio_server_failed(dev);
	assert_int_equal(bar_status(), 7 | FEATURES_OK);
	bar_write(STATUS, 1, 0);
	assert_int_equal(write(error, &one, sizeof(one)), sizeof(one));
	virtio_server_failed(dev);
	assert_int_equal(bar_status(), 0);
	assert_int_equal(said, 1);
	unplug_pci();
	virtio_net_destroy(&net);
	close(error);
}

/* Section 5.1.4: the driver sees the link go and come. */
static void test_link(void **state)
{
	const struct server server = { &server_ops, NULL, 0 };
	static const uint8_t mac[6] = { 0x52, 0x54 };
	uint64_t count;

	(void)state;
	virtio_remote_net(&remote, 0, mac, &server);
	plug_pci(&remote.dev);
	start_driver();
	bar_write(CONFIG_VECTOR, 2, 2);
	for (unsigned up = 0; up < 2; up++) {
		virtio_remote_link(&remote, up);
		assert_int_equal(pci.bar.ops->read(&pci.bar, 0x2000 + 6, 2), up);
		assert_int_equal(read(vectors[2], &count, sizeof(count)), sizeof(count));
	}
	unplug_pci();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_features, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bus_master, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bus_master_of_server, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ring_given_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_link, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
