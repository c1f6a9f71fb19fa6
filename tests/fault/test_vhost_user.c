/*
 * The front-end of vhost-user, and a program on the other side of the socket: what it is told, and
 * that nobody waits for one that does not answer who has something else to do.
 */
#include "tests/fault/vhost_user_program.h"
#include "tests/fault/wrap.h"
#include "vmm/backends/vhost_user.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE   4096u
#define BLOCKS 10

static struct vhost_user user;
static struct err err;

/* --- guest memory: blocks far apart, of one file --- */

static uint8_t *memory;
static int memfd;
static struct ram_block blocks[BLOCKS];
static struct guest_ram ram = { blocks, BLOCKS };

static void make_memory(void)
{
	memfd = memfd_create("ram", MFD_CLOEXEC);
	assert_int_equal(ftruncate(memfd, BLOCKS * PAGE), 0);
	memory = mmap(NULL, BLOCKS * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = (struct ram_block){ { 0x10000000 * i, 0x10000000 * i + PAGE },
						memory + i * PAGE,
						memfd,
						i * PAGE };
}

static int set_up(void **state)
{
	wrap_setup(state);
	make_memory();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wrap_reset();
	munmap(memory, BLOCKS * PAGE);
	close(memfd);
	return 0;
}

/* --- the front-end --- */

static const struct vhost_user_kind kind = { .state = VHOST_USER_FRAMES };

static int open_user(void)
{
	return vhost_user_open(&user, "--net vhost-user=", path, &kind, 2, &err);
}

static int start(const struct guest_ram *of, int error)
{
	const struct served_queue queues[] = {
		{ 16, blocks[2].hva + 0x100, blocks[2].hva + 0x400, blocks[3].hva + 0x800, memfd,
		  memfd, error },
		{ .size = 0, .kick = -1, .call = -1, .error = -1 },
	};

	return vhost_user_ops.start(&user, of, queues, 2, FEATURES, &err);
}

/* Addresses of this process stay here. */
static void test_addresses(void **state)
{
	const struct guest_ram few = { blocks, 4 };

	(void)state;
	for (unsigned acks = 0; acks < 2; acks++) {
		start_program(acks ? WIRE_REPLY_ACK : 0, 0);
		assert_int_equal(open_user(), 0);
		assert_int_equal(start(&few, -1), 0);
		vhost_user_ops.stop(&user, 2); /* answered: it has heard all */
		assert_int_equal(program.tables, 1);
		assert_int_equal(program.regions, 4);
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(program.guest_address[i], blocks[i].gpa.base);
			assert_int_equal(program.user_address[i], blocks[i].gpa.base);
		}
		assert_int_equal(program.rings[0], blocks[2].gpa.base + 0x100);
		assert_int_equal(program.rings[1], blocks[3].gpa.base + 0x800); /* used */
		assert_int_equal(program.rings[2], blocks[2].gpa.base + 0x400);
		vhost_user_close(&user);
		end_program();
	}
}

/* Both numbers of the sentence are pairs, as the program counts the queues of an adapter. */
static void test_too_few_queues(void **state)
{
	(void)state;
	start_program(WIRE_REPLY_ACK | WIRE_MQ, 0);
	assert_int_equal(open_user(), -EINVAL);
	wrap_assert_says(&err, "the program at this socket serves 0 pairs of queues, and this "
			       "device needs 1");
	end_program();

	start_program(WIRE_REPLY_ACK | WIRE_MQ, 0);
	program.queues = 1;
	assert_int_equal(open_user(), 0);
	vhost_user_close(&user);
	end_program();
}

static struct guest_memory listed;

/* Lists the first `n` blocks and tells the front-end of them, as when it is made. */
static int listen_to(unsigned n)
{
	guest_memory_init(&listed);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(guest_memory_add(&listed, &blocks[i], &err), 0);
	return vhost_user_listen(&user, &listed, &err);
}

/* More memory than one message has room for, for programs that can be told of it. */
static void test_memory_slots(void **state)
{
	(void)state;
	start_program(WIRE_REPLY_ACK, 32);
	assert_int_equal(open_user(), 0);
	assert_int_equal(listen_to(BLOCKS), -E2BIG);
	wrap_assert_says(
		&err,
		"10 spans, with those of --pmem; the program at this socket can be told of 8");
	assert_int_equal(start(&ram, -1), -E2BIG);
	vhost_user_close(&user);
	end_program();

	start_program(WIRE_REPLY_ACK | WIRE_SLOTS, 9);
	assert_int_equal(open_user(), 0);
	assert_int_equal(listen_to(BLOCKS), -E2BIG);
	vhost_user_close(&user);
	end_program();

	start_program(WIRE_REPLY_ACK | WIRE_SLOTS, BLOCKS + 2);
	assert_int_equal(open_user(), 0);
	assert_int_equal(listen_to(BLOCKS), 0);
	for (unsigned life = 0; life < 2; life++) { /* it keeps what it was told */
		assert_int_equal(start(&ram, -1), 0);
		assert_int_equal(program.tables, 0);
		assert_int_equal(program.regions, BLOCKS);
		vhost_user_ops.stop(&user, 2);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_int_equal(program.user_address[i], blocks[i].gpa.base);
	/* The next one knows nothing yet, and can be told of less, but of enough. */
	vhost_user_lost(&user);
	program.slots = BLOCKS;
	assert_int_equal(vhost_user_reconnect(&user, &err), 0);
	program.regions = 0;
	assert_int_equal(start(&ram, -1), 0);
	assert_int_equal(program.regions, BLOCKS);
	vhost_user_ops.stop(&user, 2);
	/* And one that cannot be told of all is another program. */
	vhost_user_lost(&user);
	program.slots = 9;
	assert_int_equal(vhost_user_reconnect(&user, &err), -EINVAL);
	vhost_user_close(&user);
	end_program();
}

/* --- guest memory that comes and goes --- */

static void open_listening(uint64_t protocol, uint64_t slots, unsigned n)
{
	start_program(protocol, slots);
	assert_int_equal(open_user(), 0);
	assert_int_equal(listen_to(n), 0);
	assert_int_equal(user.regions, n);
}

static void close_listening(void)
{
	guest_memory_forget(&listed, &user.listener);
	vhost_user_close(&user);
	end_program();
}

/* As many as one message has room for: each change is a new table. */
static void test_new_table(void **state)
{
	struct ram_block private = { { 0xf0000000, 0xf0000000 + PAGE }, NULL, -1, 0 };

	(void)state;
	open_listening(WIRE_REPLY_ACK, 0, 4);
	/* Before a ring starts it is told of nothing, then of all. */
	assert_int_equal(guest_memory_add(&listed, &blocks[4], &err), 0);
	assert_int_equal(program.tables, 0);
	assert_int_equal(start(&listed.all, -1), 0);
	assert_int_equal(program.tables, 1);
	assert_int_equal(program.table, 5);
	program.regions = 0;
	assert_int_equal(guest_memory_add(&listed, &blocks[5], &err), 0);
	assert_int_equal(program.tables, 2);
	assert_int_equal(program.table, 6);
	assert_int_equal(program.guest_address[5], blocks[5].gpa.base);
	guest_memory_remove(&listed, blocks[4].gpa);
	assert_int_equal(program.tables, 3);
	assert_int_equal(program.table, 5);
	/* What is no file it cannot map. */
	assert_int_equal(guest_memory_add(&listed, &private, &err), 0);
	assert_int_equal(program.tables, 3);
	program.regions = 0;
	assert_int_equal(guest_memory_add(&listed, &blocks[4], &err), 0);
	assert_int_equal(guest_memory_add(&listed, &blocks[6], &err), 0);
	assert_int_equal(program.table, 7);
	program.regions = 0;
	assert_int_equal(guest_memory_add(&listed, &blocks[7], &err), 0);
	assert_int_equal(guest_memory_add(&listed, &blocks[8], &err), -E2BIG);
	wrap_assert_says(
		&err, "9 spans, with those of --pmem; the program at this socket can be told of 8");
	assert_int_equal(program.tables, 6);
	assert_int_equal(user.regions, 8);
	vhost_user_ops.stop(&user, 2);
	close_listening();
}

static void test_new_table_refused(void **state)
{
	struct pollfd hangup = { .events = 0 };

	(void)state;
	open_listening(WIRE_REPLY_ACK, 0, 4);
	assert_int_equal(start(&listed.all, -1), 0);
	program.refuses = WIRE_SET_MEM_TABLE;
	assert_int_equal(guest_memory_add(&listed, &blocks[4], &err), -EIO);
	wrap_assert_says(&err, "the program at this socket refuses request 5");
	assert_int_equal(listed.all.n, 4);
	assert_int_equal(user.regions, 4);
	/* It is hung up on, for it begins anew. */
	hangup.fd = user.wire.fd;
	assert_int_equal(poll(&hangup, 1, 0), 1);
	assert_true(hangup.revents & POLLHUP);
	/* One that goes is no reason to do without memory: it is told when it is back. */
	assert_int_equal(guest_memory_add(&listed, &blocks[4], &err), 0);
	vhost_user_lost(&user);
	assert_int_equal(guest_memory_add(&listed, &blocks[5], &err), 0);
	program.refuses = 0;
	assert_int_equal(vhost_user_reconnect(&user, &err), 0);
	program.regions = 0;
	assert_int_equal(start(&listed.all, -1), 0);
	assert_int_equal(program.table, 6);
	vhost_user_ops.stop(&user, 2);
	close_listening();
}

/* More: only what changes is told, also while no ring runs, for the program keeps the rest. */
static void test_regions_change(void **state)
{
	(void)state;
	for (unsigned acks = 0; acks < 2; acks++) {
		open_listening(WIRE_SLOTS | (acks ? WIRE_REPLY_ACK : 0), BLOCKS, 8);
		assert_int_equal(start(&listed.all, -1), 0);
		assert_int_equal(guest_memory_add(&listed, &blocks[8], &err), 0);
		vhost_user_ops.stop(&user, 2); /* answered: it has heard all */
		assert_int_equal(program.tables, 1);
		assert_int_equal(program.regions, 9);
		assert_int_equal(program.guest_address[8], blocks[8].gpa.base);
		guest_memory_remove(&listed, blocks[1].gpa); /* returns when it is gone */
		assert_int_equal(program.gone, 1);
		assert_int_equal(program.gone_address, blocks[1].gpa.base);
		assert_false(program.gone_fd);
		assert_int_equal(start(&listed.all, -1), 0);
		assert_int_equal(guest_memory_add(&listed, &blocks[9], &err), 0);
		vhost_user_ops.stop(&user, 2);
		assert_int_equal(program.tables, 1);
		assert_int_equal(program.regions, 10);
		close_listening();
	}
}

static void test_ring_error(void **state)
{
	const struct guest_ram few = { blocks, 4 };
	int error = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t count;

	(void)state;
	start_program(WIRE_REPLY_ACK, 0);
	program.gives_up = true;
	assert_int_equal(open_user(), 0);
	assert_int_equal(start(&few, error), 0);
	assert_int_equal(program.errors, 1);
	assert_int_equal(read(error, &count, sizeof(count)), sizeof(count));
	vhost_user_ops.stop(&user, 2);
	vhost_user_close(&user);
	end_program();
	close(error);
}

static bool over;

static void *reconnect(void *arg)
{
	int *ret = arg;
	struct err quiet;

	*ret = vhost_user_reconnect(&user, &quiet);
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	return NULL;
}

/* One that accepts and is silent: whoever starts rings does not wait for it. */
static void test_silent_when_back(void **state)
{
	const struct guest_ram few = { blocks, 4 };
	pthread_t looker;
	int ret = 0;

	(void)state;
	over = false;
	start_program(WIRE_REPLY_ACK, 0);
	assert_int_equal(open_user(), 0);
	vhost_user_lost(&user);
	be_silent_at(WIRE_GET_FEATURES);
	assert_int_equal(pthread_create(&looker, NULL, reconnect, &ret), 0);
	await_silence();
	assert_int_equal(start(&few, -1), -ENOTCONN);
	assert_int_equal(vhost_user_ops.state(&user), SERVER_RESUMES);
	vhost_user_ops.stop(&user, 2);
	assert_false(__atomic_load_n(&over, __ATOMIC_ACQUIRE));
	/* Nor is it waited for at the end. */
	vhost_user_cancel_waits(&user, true);
	pthread_join(looker, NULL);
	assert_int_equal(ret, -ENOTCONN);
	vhost_user_cancel_waits(&user, false);
	be_silent_at(0);
	assert_int_equal(vhost_user_reconnect(&user, &err), 0);
	assert_int_equal(start(&few, -1), 0);
	vhost_user_ops.stop(&user, 2);
	vhost_user_close(&user);
	end_program();
}

static void *stop(void *arg)
{
	(void)arg;
	vhost_user_ops.stop(&user, 2);
	return NULL;
}

/* One that is silent when its ring is to stop, at the end of everything. */
static void test_silent_at_the_end(void **state)
{
	const struct guest_ram few = { blocks, 4 };
	struct pollfd hangup = { .events = 0 };
	pthread_t stopper;

	(void)state;
	start_program(WIRE_REPLY_ACK, 0);
	assert_int_equal(open_user(), 0);
	assert_int_equal(start(&few, -1), 0);
	be_silent_at(WIRE_GET_VRING_BASE);
	assert_int_equal(pthread_create(&stopper, NULL, stop, NULL), 0);
	await_silence();
	vhost_user_cancel_waits(&user, true);
	pthread_join(stopper, NULL);
	/* It is hung up on. */
	hangup.fd = user.wire.fd;
	assert_int_equal(poll(&hangup, 1, 0), 1);
	assert_true(hangup.revents & POLLHUP);
	vhost_user_close(&user);
	end_program();
}

static void test_looks(void **state)
{
	unsigned last = 1, sum = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		last = vhost_user_retry(last, -ENOTCONN);
		assert_in_range(last, 2, 10);
		sum += last;
	}
	assert_in_range(sum, 60, 100);
	assert_int_equal(vhost_user_retry(last, -ECONNREFUSED), 1);
	assert_int_equal(vhost_user_retry(last, -ENOENT), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_few_queues, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_memory_slots, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_new_table, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_new_table_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_regions_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ring_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silent_when_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silent_at_the_end, set_up, tear_down),
		cmocka_unit_test(test_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
