/*
 * Virtio devices in their slots, with the threads that serve them, where the machine around them is
 * pretended: a network adapter of a vhost-user program that goes, is silent, and comes back.
 */
#include "tests/fault/vhost_user_program.h"
#include "tests/fault/wrap.h"
#include "vmm/machine/virtio/slot.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>

/* Of the BAR: virtio 1.2 section 4.1.4.3 */
#define FEATURES_SELECT 0x08
#define DRIVER_FEATURES 0x0c
#define STATUS		0x14
#define QUEUE_SELECT	0x16
#define QUEUE_SIZE	0x18
#define QUEUE_ENABLE	0x1c
#define QUEUE_DESC	0x20
#define QUEUE_DRIVER	0x28
#define QUEUE_DEVICE	0x30
#define LINK		0x2006 /* status, of the adapter's configuration */

#define MEMORY 0x10000u

static struct plan plan;
static struct machine_pci pci;
static struct machine_virtio virtio;
static struct loop main_loop;
static struct config config;
static struct virtio_backends backends = VIRTIO_BACKENDS_EMPTY;
static struct ram_block block;
static struct guest_ram ram = { &block, 1 };
static struct ram no_ram = RAM_EMPTY;
static struct err err;
static int memfd;

/* --- the machine --- */

static int env_claim(void *to, bool io, struct span at, struct device *bar, struct err *e)
{
	(void)to;
	(void)io;
	(void)at;
	(void)bar;
	(void)e;
	return 0;
}

static void env_unclaim(void *to, bool io, struct span at)
{
	(void)to;
	(void)io;
	(void)at;
}

static int env_doorbell(void *to, uint64_t at, int fd, struct err *e)
{
	(void)to;
	(void)at;
	(void)fd;
	return err_set(e, ENOSPC, "no more");
}

static unsigned gone, back; /* sentences */

static void env_say(void *to, const char *sentence)
{
	(void)to;
	if (strstr(sentence, "is gone"))
		__atomic_fetch_add(&gone, 1, __ATOMIC_RELEASE);
	else if (strstr(sentence, "is back"))
		__atomic_fetch_add(&back, 1, __ATOMIC_RELEASE);
}

static void create_machine(void)
{
	const struct machine_virtio_parts parts = {
		.plan = &plan,
		.ram = &no_ram,
		.guest_ram = &ram,
		.pci = &pci,
		.loop = &main_loop,
		.backends = &backends,
	};

	strcpy(plan.pci[0].name, "net0");
	plan.pci[0].slot = 1;
	plan.nr_bridges = plan.bridges[0].buses = 1;
	pci.parts.plan = &plan;
	pci.host.root = (struct pci_bus){ .slots = { NULL } };
	pci.env = (struct pci_env){
		.claim = env_claim,
		.unclaim = env_unclaim,
		.doorbell = env_doorbell,
		.say = env_say,
	};
	assert_int_equal(loop_create(&main_loop, &err), 0);
	if (machine_virtio_create(&virtio, &parts, &err) < 0)
		fail_msg("%s", err.text);
}

static void destroy_machine(void)
{
	machine_virtio_destroy(&virtio);
	loop_destroy(&main_loop);
}

/* --- the driver --- */

static uint64_t bar_read(uint64_t offset, unsigned size)
{
	struct device *bar = &virtio.slots[0]->pci.bar;
	uint64_t value;

	pthread_mutex_lock(&bar->lock);
	value = bar->ops->read(bar, offset, size);
	pthread_mutex_unlock(&bar->lock);
	return value;
}

static void bar_write(uint64_t offset, unsigned size, uint64_t value)
{
	struct device *bar = &virtio.slots[0]->pci.bar;

	pthread_mutex_lock(&bar->lock);
	bar->ops->write(bar, offset, size, value);
	pthread_mutex_unlock(&bar->lock);
}

static void start_driver(void)
{
	bar_write(STATUS, 1, 0);
	bar_write(STATUS, 1, 3);
	bar_write(FEATURES_SELECT, 4, 1);
	bar_write(DRIVER_FEATURES, 4, VIRTIO_BIT(F_VERSION_1) >> 32);
	bar_write(STATUS, 1, 11);
	for (unsigned i = 0; i < 2; i++) {
		bar_write(QUEUE_SELECT, 2, i);
		bar_write(QUEUE_SIZE, 2, 16);
		bar_write(QUEUE_DESC, 8, 0x1000 + 0x1000 * i);
		bar_write(QUEUE_DRIVER, 8, 0x1400 + 0x1000 * i);
		bar_write(QUEUE_DEVICE, 8, 0x1800 + 0x1000 * i);
		bar_write(QUEUE_ENABLE, 2, 1);
	}
	bar_write(STATUS, 1, 15);
	assert_int_equal(bar_read(STATUS, 1) & 15, 15);
}

/* --- tests --- */

static unsigned heard(unsigned *what)
{
	return __atomic_load_n(what, __ATOMIC_ACQUIRE);
}

static void await_sentence(unsigned *what, unsigned n)
{
	while (heard(what) < n)
		sched_yield();
}

static void await_link(unsigned up)
{
	while (bar_read(LINK, 2) != up)
		sched_yield();
}

static unsigned times_started(void)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = program.tables;
	pthread_mutex_unlock(&lock);
	return n;
}

static int set_up(void **state)
{
	wrap_setup(state);
	gone = back = 0;
	memfd = memfd_create("ram", MFD_CLOEXEC);
	if (ftruncate(memfd, MEMORY) < 0)
		return -1;
	block = (struct ram_block){
		{ 0, MEMORY },
		mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0),
		memfd,
		0,
	};
	start_program(WIRE_REPLY_ACK, 0);
	config = (struct config)CONFIG_EMPTY;
	config.nr_nets = 1;
	config.nets[0] = (struct config_net){ .kind = NET_VHOST_USER, .vhost_user = (char *)path };
	plan.nr_pci = 1;
	plan.pci[0].kind = DEVICE_NET;
	return virtio_open(&backends, &config, &plan, &err);
}

static int tear_down(void **state)
{
	(void)state;
	virtio_close(&backends);
	end_program();
	munmap(block.hva, MEMORY);
	close(memfd);
	return 0;
}

/* The main loop does not run here at all: nothing of this is its work. */
static void test_goes_and_comes_back(void **state)
{
	(void)state;
	create_machine();
	start_driver();
	assert_int_equal(bar_read(LINK, 2), 1);
	assert_int_equal(times_started(), 1);
	/* It is silent for a while; the driver's registers answer. */
	be_silent_at(WIRE_GET_FEATURES);
	restart_program();
	await_sentence(&gone, 1);
	await_link(0);
	await_silence();
	assert_int_equal(bar_read(STATUS, 1), 15);
	be_silent_at(0);
	restart_program();
	await_sentence(&back, 1);
	assert_int_equal(bar_read(LINK, 2), 1);
	assert_int_equal(times_started(), 2);
	assert_int_equal(bar_read(STATUS, 1), 15);
	destroy_machine();
	assert_int_equal(heard(&gone), 1);
}

/* The guest resets itself while its program is silent, and has no link in its next life either. */
static void test_silent_over_a_reset(void **state)
{
	(void)state;
	create_machine();
	start_driver();
	be_silent_at(WIRE_GET_FEATURES);
	restart_program();
	await_sentence(&gone, 1);
	await_silence();
	destroy_machine();
	create_machine();
	await_link(0);
	start_driver();
	assert_int_equal(heard(&back), 0);
	be_silent_at(0);
	restart_program();
	await_sentence(&back, 1);
	assert_int_equal(bar_read(LINK, 2), 1);
	assert_int_equal(bar_read(STATUS, 1), 15);
	destroy_machine();
}

/* The driver hears of a ring that the program gave up. */
static void test_gives_up(void **state)
{
	(void)state;
	program.gives_up = true;
	create_machine();
	start_driver();
	while (bar_read(STATUS, 1) != (15 | 64)) /* DEVICE_NEEDS_RESET */
		sched_yield();
	destroy_machine();
}

/* At the end of everything a program that does not say that it has stopped is not waited for. */
static void test_silent_at_the_end(void **state)
{
	(void)state;
	create_machine();
	start_driver();
	be_silent_at(WIRE_GET_VRING_BASE);
	machine_virtio_cancel_waits(&virtio);
	destroy_machine();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_goes_and_comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silent_over_a_reset, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gives_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silent_at_the_end, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
