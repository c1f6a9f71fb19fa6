/*
 * Tap interfaces that somebody else opened, with the kernel's part of them pretended: which are
 * taken, and what they are told when the driver changes.
 */
#include "tests/fault/wrap.h"
#include "vmm/backends/net.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define GOOD (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

static struct net net;
static struct err err;

/* --- the kernel's part --- */

static struct {
	int fd, flags;
	const char *name;
} taps[2];
static unsigned offloads, nr_offloads;

/* As set_offload() in drivers/net/tun.c has it: segments need checksums, ECN needs segments. */
static bool odd(unsigned flags)
{
	if (flags & TUN_F_CSUM) {
		flags &= ~TUN_F_CSUM;
		if (flags & (TUN_F_TSO4 | TUN_F_TSO6))
			flags &= ~(unsigned)(TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN);
	}
	return flags;
}

static bool answer(int fd, unsigned long request, void *arg, int *ret)
{
	struct ifreq *ifr = arg;
	unsigned i = fd == taps[1].fd;

	*ret = 0;
	switch (request) {
	case TUNGETIFF:
		if (!taps[i].name) {
			errno = ENOTTY;
			*ret = -1;
			return true;
		}
		ifr->ifr_flags = (short)taps[i].flags;
		strcpy(ifr->ifr_name, taps[i].name);
		return true;
	case TUNSETQUEUE:
		if (!(taps[i].flags & IFF_MULTI_QUEUE)) {
			errno = EINVAL;
			*ret = -1;
		}
		return true;
	case TUNSETOFFLOAD:
		if (odd((unsigned)(uintptr_t)arg)) {
			errno = EINVAL;
			*ret = -1;
			return true;
		}
		offloads = (unsigned)(uintptr_t)arg;
		nr_offloads++;
		return true;
	case TUNSETVNETHDRSZ: /* whatever the flags are */
		return true;
	}
	return false;
}

static int open_fds(unsigned n, int flags, int other_flags)
{
	int fds[2];

	for (unsigned i = 0; i < n; i++) {
		taps[i].fd = fds[i] = open("/dev/zero", O_RDWR | O_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
	taps[0].flags = flags;
	taps[1].flags = other_flags;
	wrap_ioctl(answer);
	return net_open_fds(&net, fds, n, NET_VHOST_OFF, &err);
}

static void test_descriptors(void **state)
{
	static const struct {
		int flags;
		const char *says;
	} bad[] = {
		{ IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, "open it with IFF_TAP" },
		{ IFF_TAP | IFF_VNET_HDR, "open it with IFF_NO_PI" },
		{ IFF_TAP | IFF_NO_PI, "open it with IFF_VNET_HDR" },
	};
	struct wrap_held before = wrap_held();

	(void)state;
	taps[0].name = taps[1].name = "tap0";
	assert_int_equal(open_fds(1, GOOD, 0), 0);
	net_close(&net);
	assert_int_equal(open_fds(2, GOOD | IFF_MULTI_QUEUE, GOOD | IFF_MULTI_QUEUE), 0);
	net_close(&net);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(open_fds(1, bad[i].flags, 0), -EINVAL);
		wrap_assert_says(&err, bad[i].says);
		assert_int_equal(open_fds(2, GOOD | IFF_MULTI_QUEUE, bad[i].flags), -EINVAL);
		wrap_assert_says(&err, bad[i].says);
	}
	assert_true(open_fds(2, GOOD, GOOD) < 0);
	wrap_assert_says(&err, "the tap interface has one queue");
	taps[1].name = "tap1";
	assert_int_equal(open_fds(2, GOOD | IFF_MULTI_QUEUE, GOOD | IFF_MULTI_QUEUE), -EINVAL);
	wrap_assert_says(&err, "the descriptor is of interface tap1, and the first one of tap0");
	taps[0].name = NULL;
	assert_int_equal(open_fds(1, GOOD, 0), -EINVAL);
	wrap_assert_says(&err, "the descriptor is not attached to a tap interface");
	wrap_assert_released(before, "descriptors of others");
}

/* What one driver left to the other side is not the next one's, whatever that asks for. */
static void test_offloads(void **state)
{
	struct net_port port;

	(void)state;
	taps[0].name = "tap0";
	assert_int_equal(open_fds(1, GOOD, 0), 0);
	port = net_port_of(&net.pairs[0]);
	port.ops->offloads(port.to, VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_GUEST_TSO4));
	assert_int_equal(offloads, TUN_F_CSUM | TUN_F_TSO4);
	port.ops->offloads(port.to, VIRTIO_BIT(NET_F_GUEST_TSO6));
	assert_int_equal(offloads, 0);
	port.ops->offloads(port.to, VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_GUEST_ECN));
	assert_int_equal(offloads, 0);
	port.ops->offloads(port.to, VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_GUEST_TSO4));
	nr_offloads = 0;
	port.ops->reset(port.to); /* it comes to an end, although /dev/zero does not */
	assert_int_equal(nr_offloads, 1);
	assert_int_equal(offloads, 0);
	net_close(&net);
}

/* What waits for a driver that is gone is lost. */
static void test_drained(void **state)
{
	uint8_t frame[2000] = { 0 };
	struct net_port port;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	taps[0].name = "tap0";
	taps[0].fd = ends[0];
	taps[0].flags = GOOD;
	wrap_ioctl(answer);
	assert_int_equal(net_open_fds(&net, ends, 1, NET_VHOST_OFF, &err), 0);
	port = net_port_of(&net.pairs[0]);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(write(ends[1], frame, sizeof(frame)), sizeof(frame));
	port.ops->reset(port.to);
	assert_int_equal(port.ops->receive(port.to, frame, sizeof(frame)), -EAGAIN);
	assert_int_equal(write(ends[1], frame, 60), 60);
	assert_int_equal(port.ops->receive(port.to, frame, sizeof(frame)), 60);
	net_close(&net);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_descriptors, wrap_setup),
		cmocka_unit_test_setup(test_offloads, wrap_setup),
		cmocka_unit_test_setup(test_drained, wrap_setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
