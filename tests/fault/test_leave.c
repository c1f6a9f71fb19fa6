/*
 * The end of the process while storage does not answer.
 */
#include "tests/fault/wrap.h"
#include "vmm/machine/leave.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static unsigned in_flight;

static unsigned disk_requests(const struct virtio_backend *b, const char **option,
			      const char **path)
{
	(void)b;
	*option = "--disk";
	*path = "/mnt/gone";
	return __atomic_load_n(&in_flight, __ATOMIC_RELAXED);
}

/* One that is no storage, and one that is. */
static const struct virtio_kind_ops none, storage = { .busy = disk_requests };
static struct virtio_backend list[2];
static const struct virtio_backends backends = { .list = list, .n = 2, .watch = -1 };
static struct machine_leave watched;
static char said[sizeof(struct err)];
static int left, asked; /* eventfds */
static bool wanted;

static void tell(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static bool is_told(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, ms) == 1;
}

static bool ends(void *to)
{
	assert_ptr_equal(to, list);
	tell(asked);
	return __atomic_load_n(&wanted, __ATOMIC_RELAXED);
}

static void leave(void *to, const char *sentence)
{
	assert_ptr_equal(to, list);
	strcpy(said, sentence);
	tell(left);
}

static const struct machine_leaver leaver = { ends, 1, leave, list };

static int reset(void **state)
{
	memset(list, 0, sizeof(list));
	list[0].ops = list[1].ops = &none;
	in_flight = 0;
	memset(&watched, 0, sizeof(watched));
	wanted = false;
	left = eventfd(0, EFD_NONBLOCK);
	asked = eventfd(0, EFD_NONBLOCK);
	return wrap_setup(state);
}

static int close_all(void **state)
{
	(void)state;
	close(asked);
	return close(left);
}

static void make_busy(void)
{
	list[1].ops = &storage;
	__atomic_store_n(&in_flight, 3, __ATOMIC_RELAXED);
}

/* A guest that resets itself waits; a process that ends does not, and says why. */
static void test_stuck(void **state)
{
	(void)state;
	make_busy();
	machine_leave_start(&watched, &leaver, &backends);
	assert_true(is_told(asked, 10000));
	assert_false(is_told(left, 1500));
	__atomic_store_n(&wanted, true, __ATOMIC_RELAXED);
	assert_true(is_told(left, 10000));
	machine_leave_stop(&watched);
	assert_non_null(strstr(said, "--disk /mnt/gone (3)"));
	assert_null(strchr(said, '\n'));
}

/* One that ends in time is destroyed as ever. */
static void test_ends(void **state)
{
	(void)state;
	make_busy();
	wanted = true;
	machine_leave_start(&watched, &leaver, &backends);
	assert_true(is_told(asked, 10000));
	__atomic_store_n(&in_flight, 0, __ATOMIC_RELAXED);
	assert_false(is_told(left, 1500));
	machine_leave_stop(&watched);
}

/* Nothing is behind it that could be waited for. */
static void test_nothing(void **state)
{
	(void)state;
	machine_leave_start(&watched, &leaver, &backends);
	assert_false(watched.running);
	machine_leave_stop(&watched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stuck, reset, close_all),
		cmocka_unit_test_setup_teardown(test_ends, reset, close_all),
		cmocka_unit_test_setup_teardown(test_nothing, reset, close_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
