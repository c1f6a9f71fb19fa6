/*
 * Whole machines on this host's KVM when a call fails: while they are made, and while they run.
 */
#include "tests/fault/wrap.h"
#include "tests/kernel_files.h"
#include "vmm/host/probe.h"
#include "vmm/machine/machine.h"
#include "vmm/vm/vm.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define VALUE	   42
#define DEBUG_PORT 0xf4

/* Guests of one 64-bit instruction or four. */
static const uint8_t guest_exits[] = {
	0xb0, VALUE,		       /* mov al, VALUE */
	0x66, 0xba,  DEBUG_PORT, 0x00, /* mov dx, DEBUG_PORT */
	0xee,			       /* out dx, al */
	0xeb, 0xfe,		       /* jmp . */
};
static const uint8_t guest_spins[] = { 0xeb, 0xfe };
static const uint8_t guest_prints[] = {
	0x66, 0xba, 0xf8, 0x03, /* mov dx, 0x3f8 */
	0xb0, '.',		/* mov al, '.' */
	0xee,			/* out dx, al */
	0xeb, 0xfd,		/* jmp to the out */
};

static struct err err;
static struct plan plan;
static struct image kernel;
static struct images initrd;
static struct boot_kernel boot_kernel;
static struct loop loop;
static struct console console;
static struct machine machine;
static struct ram ram;
static struct guest_memory guest_memory;
static const struct machine_parts parts = {
	.plan = &plan,
	.kernel = &kernel,
	.initrd = &initrd,
	.boot_kernel = &boot_kernel,
	.append = "quiet",
	.ram = &ram,
	.guest_memory = &guest_memory,
	.loop = &loop,
	.console = &console,
	.has_debug_exit = true,
	.debug_exit_port = DEBUG_PORT,
};

/* --- what machines are made of --- */

static void plan_cpus(unsigned cpus)
{
	const struct host_facts host = { .vendor = HOST_INTEL, .family = 6, .phys_bits = 39 };
	struct config config = CONFIG_EMPTY;
	int ret;

	config.memory = 8 * MIB;
	config.low_memory = 4 * MIB; /* two blocks of RAM */
	config.cpus = config.cores = cpus;
	config.sockets = config.threads = 1;
	ret = plan_build(&plan, &config, &host, &err);
	if (ret < 0)
		fail_msg("%s", err.text);
}

/* An image of `len` bytes that has no name. */
static void open_image(struct image *image, const char *option, const void *data, size_t len)
{
	int fd = memfd_create(option, MFD_CLOEXEC);
	char path[32];

	assert_int_equal(write(fd, data, len), len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (image_open(image, option, path, &err) < 0)
		fail_msg("%s", err.text);
	image->path = "FILE";
	close(fd);
}

static void load(const uint8_t *code, size_t len)
{
	uint8_t file[ELF_SIZE];

	image_close(&kernel);
	elf_make(file);
	memcpy(file + ELF_CONTENTS + 16, code, len); /* elf_make's entry */
	open_image(&kernel, "--kernel", file, sizeof(file));
	if (boot_kernel_parse(&boot_kernel, kernel.data, kernel.len, &err) < 0)
		fail_msg("%s", err.text);
}
#define LOAD(code) load(code, sizeof(code))

static int make_ram(struct err *e)
{
	const struct ram_backing backing = { .page_size = 4 * KIB };
	struct span spans[PLAN_LIST_MAX];

	int ret;

	ram_destroy(&ram);
	ret = ram_create(&ram, spans, plan_ram(&plan, spans, ARRAY_SIZE(spans)), &backing, e);
	guest_memory_init(&guest_memory);
	for (size_t i = 0; ret == 0 && i < ram.nr_blocks; i++)
		ret = guest_memory_add(&guest_memory, &ram.blocks[i], e);
	return ret;
}

static int attempt(void *to, struct err *e)
{
	int ret = machine_create(&machine, &parts, e);

	(void)to;
	if (ret == 0)
		machine_destroy(&machine);
	return ret;
}

/* Two CPUs, no serial line. The first machine asks KVM for CPUID; the rest have it from there. */
static int set_up(void **state)
{
	wrap_setup(state);
	kernel = (struct image)IMAGE_EMPTY;
	initrd = (struct images)IMAGES_EMPTY;
	if (loop_create(&loop, &err) < 0 ||
	    console_open(&console, "serial",
			 &(struct config_line){ .kind = SERIAL_NONE, .path = (char *)NULL }, &loop,
			 &err) < 0)
		return -1;
	plan_cpus(2);
	ram = (struct ram)RAM_EMPTY;
	if (make_ram(&err) < 0)
		return -1;
	open_image(&initrd.parts[0], "--initrd", "070701", 6);
	initrd.n = 1;
	initrd.len = 6;
	LOAD(guest_exits);
	if (attempt(NULL, &err) < 0)
		fail_msg("%s", err.text);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wrap_reset();
	image_close(&kernel);
	images_close(&initrd);
	ram_destroy(&ram);
	console_close(&console);
	loop_destroy(&loop);
	return 0;
}

/* --- making one --- */

static const struct wrap_harmless harmless[] = {
	{ { .name = "madvise" }, 0, "advice; the guest runs without it" },
	{ { "ioctl", KVM_ENABLE_CAP, 0 }, 0, "needed for APIC IDs past 254 only" },
	{ { "ioctl", KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS }, 0, "4 is taken then" },
	{ { "ioctl", KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID }, 0, "as many as vCPUs then" },
	{ { "ioctl", KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS }, 0, "32 is taken then" },
	{ { "ioctl", KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER }, 0, "not offered then" },
	{ { "ioctl", KVM_X86_GET_MCE_CAP_SUPPORTED, 0 }, 0, "no machine checks then" },
	{ { "ioctl", KVM_REINJECT_CONTROL, 0 }, 0, "AVIC stays off" },
	{ { "ioctl", KVM_GET_TSC_KHZ, 0 }, 0, "CPUID does not say it then" },
	{ { "ioctl", KVM_IRQ_LINE, 0 }, 0, "fails only for lines that do not exist" },
	{ { "ioctl", KVM_CREATE_VM, 0 }, EINTR, "tried again" },
	{ { .name = "pread" }, EINTR, "tried again" },
	{ { 0 }, 0, NULL },
};

static void test_create_without_memory(void **state)
{
	(void)state;
	wrap_sweep(attempt, NULL, ENOMEM, harmless);
}

static void test_create_with_errors(void **state)
{
	(void)state;
	wrap_sweep(attempt, NULL, EIO, harmless);
}

static void test_create_interrupted(void **state)
{
	(void)state;
	wrap_sweep(attempt, NULL, EINTR, harmless);
}

static void expect_no_machine(int ret, const char *words)
{
	struct wrap_held before = wrap_held();

	assert_int_equal(machine_create(&machine, &parts, &err), ret);
	wrap_assert_says(&err, words);
	wrap_assert_released(before, "machine_create");
}

static int max_cpus;

static bool limit_cpus(int fd, unsigned long request, void *arg, int *ret)
{
	(void)fd;
	if (request == KVM_ENABLE_CAP) { /* no 32-bit APIC IDs */
		errno = EINVAL;
		*ret = -1;
		return true;
	}
	*ret = max_cpus;
	return request == KVM_CHECK_EXTENSION && arg == (void *)KVM_CAP_MAX_VCPUS;
}

static void test_too_many_cpus(void **state)
{
	(void)state;
	wrap_ioctl(limit_cpus);
	max_cpus = 1;
	expect_no_machine(-ERANGE, "--cpus 2: this host's KVM allows at most 1");
	max_cpus = 1024;
	plan_cpus(300);
	expect_no_machine(-EINVAL, "KVM_CAP_SPLIT_IRQCHIP failed");
}

static void ignore(void *to, short revents)
{
	(void)to;
	(void)revents;
}

static void test_loop_is_full(void **state)
{
	(void)state;
	while (loop_watch(&loop, STDIN_FILENO, 0, ignore, NULL, NULL) == 0)
		;
	expect_no_machine(-ENOSPC, "too many descriptors");
}

static void test_kernel_is_cut_short(void **state)
{
	int fd;

	(void)state;
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* as a file that shrank to nothing */
	assert_true(dup2(fd, kernel.fd) >= 0);
	close(fd);
	expect_no_machine(-EIO, "--kernel FILE was cut short");
}

/* --- running one --- */

/*
 * Creates, runs and destroys, with the nth call of a name failing once the machine is made; nothing
 * may be left. The machine's value and report outlive it.
 */
static enum machine_end run_failing(const char *name, unsigned n, int code)
{
	struct wrap_held before = wrap_held();
	enum machine_end end;

	memset(&err, 0, sizeof(err));
	if (machine_create(&machine, &parts, &err) < 0)
		fail_msg("%s", err.text);
	wrap_fail_named(name, n, code);
	end = machine_run(&machine, &err);
	machine_destroy(&machine);
	wrap_assert_released(before, "the run");
	return end;
}

static enum machine_end run(void)
{
	return run_failing("none", 0, 0);
}

static void expect_exit_value(enum machine_end end)
{
	if (end != MACHINE_DEBUG_EXIT)
		fail_msg("end %d: %s %s", end, err.text, machine.report);
	assert_int_equal(machine.value, VALUE);
}

static void test_threads(void **state)
{
	(void)state;
	expect_exit_value(run());
	for (unsigned n = 1; n <= 2; n++) {
		LOAD(guest_spins);
		assert_int_equal(run_failing("pthread_create", n, EAGAIN), MACHINE_HOST_ERROR);
		wrap_assert_says(&err, n == 1 ? "thread of vCPU 0" : "thread of vCPU 1");
		wrap_assert_says(&err, "Resource temporarily unavailable");
		LOAD(guest_exits);
		expect_exit_value(run());
	}
}

static void test_loop_fails(void **state)
{
	(void)state;
	expect_exit_value(run_failing("poll", 1, EINTR));
	assert_int_equal(run_failing("read", 1, EIO), MACHINE_HOST_ERROR);
	wrap_assert_says(&err, "eventfd");
	expect_exit_value(run());
	LOAD(guest_spins);
	assert_int_equal(run_failing("poll", 1, ENOMEM), MACHINE_HOST_ERROR);
	wrap_assert_says(&err, "poll");
	LOAD(guest_exits);
	expect_exit_value(run());
}

/* What the bootstrap processor's KVM_RUN does instead of running. */
static struct {
	int code;  /* errno, or 0 */
	int times; /* so often; -1: always */
	uint32_t reason, detail;
	bool no_registers;
} play;

static bool played(int fd, unsigned long request, void *arg, int *ret)
{
	struct vcpu *v = machine.nr_cpus ? &machine.cpus[0].vcpu : NULL;

	(void)arg;
	if (!v || fd != v->fd)
		return false;
	*ret = -1;
	if (request == KVM_GET_REGS && play.no_registers) {
		errno = EIO;
		return true;
	}
	if (request != KVM_RUN || !play.times)
		return false;
	if (play.times > 0)
		play.times--;
	if (play.code) {
		errno = play.code;
		return true;
	}
	v->run->exit_reason = play.reason;
	if (play.reason == KVM_EXIT_INTERNAL_ERROR)
		v->run->internal.suberror = play.detail;
	else if (play.reason == KVM_EXIT_SYSTEM_EVENT)
		v->run->system_event.type = play.detail;
	else if (play.reason == KVM_EXIT_FAIL_ENTRY)
		v->run->fail_entry.hardware_entry_failure_reason = play.detail;
	*ret = 0;
	return true;
}

static void test_run_fails(void **state)
{
	static const int codes[] = { EFAULT, ENOMEM, EIO };

	(void)state;
	wrap_ioctl(played);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		play.code = codes[i];
		play.times = 1;
		assert_int_equal(run(), MACHINE_HOST_ERROR);
		wrap_assert_says(&err, "vCPU 0: KVM_RUN failed: ");
		wrap_assert_says(&err, strerror(codes[i]));
		expect_exit_value(run());
	}
	play.code = EAGAIN;
	play.times = 3;
	expect_exit_value(run());
	play.code = EINTR;
	play.times = 3;
	expect_exit_value(run());
}

static void expect_end(uint32_t reason, uint32_t detail, enum machine_end end, const char *words)
{
	play.code = 0;
	play.times = 1;
	play.reason = reason;
	play.detail = detail;
	assert_int_equal(run(), end);
	if (!strstr(machine.report, words))
		fail_msg("\"%s\" does not say \"%s\"", machine.report, words);
	if ((end == MACHINE_CRASH || end == MACHINE_TRIPLE_FAULT) &&
	    !strstr(machine.report,
		    play.no_registers ? "\nvCPU 0: registers not" : "\ncode at rip: b0 2a 66"))
		fail_msg("\"%s\" is no dump", machine.report);
}

static void expect_ends(void)
{
	expect_end(KVM_EXIT_FAIL_ENTRY, 0x21, MACHINE_CRASH, "refused to enter the guest");
	expect_end(KVM_EXIT_FAIL_ENTRY, 0x21, MACHINE_CRASH, "reason 0x21");
	expect_end(12345, 0, MACHINE_CRASH, "KVM exit 12345 is not known");
	expect_end(KVM_EXIT_INTERNAL_ERROR, 1, MACHINE_CRASH, "straddle check");
	expect_end(KVM_EXIT_INTERNAL_ERROR, 2, MACHINE_CRASH, "internal error 2");
	expect_end(KVM_EXIT_INTERNAL_ERROR, 3, MACHINE_CRASH, "internal error 3");
	expect_end(KVM_EXIT_SHUTDOWN, 0, MACHINE_TRIPLE_FAULT, "triple fault");
	expect_end(KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_CRASH, MACHINE_CRASH, "a crash");
}

static void test_exits(void **state)
{
	(void)state;
	wrap_ioctl(played);
	expect_ends();
	expect_end(KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_SHUTDOWN, MACHINE_POWEROFF, "");
	expect_end(KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_RESET, MACHINE_RESET, "");
	play.no_registers = true;
	expect_ends();
	play.no_registers = false;
	expect_exit_value(run());
}

/* --- looking at one --- */

static const uint8_t guest_dies[] = { 0xfa, 0xf4, 0xeb, 0xfc };	  /* cli, hlt, jmp to it */
static const uint8_t guest_sleeps[] = { 0xfb, 0xf4, 0xeb, 0xfc }; /* sti, hlt, jmp to it */

#define LOOK_MS	  20
#define LOOKS_MAX 6000 /* 120 s, far more than any host needs */

static int look_timer;
static bool (*seen_enough)(void);
static unsigned nr_busy, nr_calm, nr_dead, nr_slept, looks;

static void look(void *to, short revents)
{
	uint64_t n;

	(void)to;
	(void)revents;
	if (read(look_timer, &n, sizeof(n)) != sizeof(n))
		return;
	if (machine_is_busy(&machine, LOOK_MS / 4))
		nr_busy++;
	else
		nr_calm++;
	nr_dead += machine_poll_dead(&machine);
	nr_slept += machine_poll_idle(&machine);
	if (++looks == LOOKS_MAX || seen_enough())
		machine_stop(&machine);
}

/*
 * Runs the guest, looks at it until `enough` says that what must come has come, because no number
 * of looks is enough on every host, ends it and returns the report of its vCPUs.
 */
static char *run_and_look(bool (*enough)(void))
{
	const struct itimerspec ticks = { { 0, LOOK_MS * 1000000 }, { 0, LOOK_MS * 1000000 } };
	char *text = NULL;
	size_t len = 0;
	FILE *to;

	nr_busy = nr_calm = nr_dead = nr_slept = looks = 0;
	seen_enough = enough;
	if (machine_create(&machine, &parts, &err) < 0)
		fail_msg("%s", err.text);
	look_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	assert_int_equal(timerfd_settime(look_timer, 0, &ticks, NULL), 0);
	assert_int_equal(loop_watch(&loop, look_timer, POLLIN, look, NULL, &err), 0);
	assert_int_equal(machine_run(&machine, &err), MACHINE_STOPPED);
	if (looks == LOOKS_MAX)
		fail_msg("%u looks: %u busy, %u dead, %u slept", looks, nr_busy, nr_dead, nr_slept);
	to = open_memstream(&text, &len);
	machine_describe(&machine, to);
	fclose(to);
	loop_forget(&loop, look_timer);
	close(look_timer);
	return text;
}

static bool died(void)
{
	return nr_dead >= 2 && nr_calm;
}

static bool slept(void)
{
	return nr_slept >= 2 && nr_calm;
}

static bool spun(void)
{
	return nr_busy >= 2;
}

/* Nearly all its exits are port writes, so that some are among the last. */
static bool printed(void)
{
	return __atomic_load_n(&machine.cpus[0].vcpu.nr_exits, __ATOMIC_RELAXED) > 2 * VCPU_EXITS;
}

static void expect_words(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("\"%s\" does not say \"%s\"", text, words);
}

/* The second CPU of each guest never gets its start-up IPI. */
static void test_looks(void **state)
{
	char *text;

	(void)state;
	LOAD(guest_dies);
	text = run_and_look(died);
	assert_int_equal(nr_slept, 0);
	assert_true(machine_is_dead(&machine));
	expect_words(text, "vCPU 0: exit reason ");
	expect_words(text, "\ncode at rip: eb fc"); /* hlt is done */
	expect_words(text, "\nhalted, interrupts off\n");
	expect_words(text, "vCPU 1: exit reason ");
	expect_words(text, "\nwaiting for a start-up IPI, interrupts off\n");
	free(text);
	machine_destroy(&machine);

	LOAD(guest_sleeps);
	text = run_and_look(slept);
	assert_int_equal(nr_dead, 0);
	assert_false(machine_is_dead(&machine));
	expect_words(text, "\nhalted, interrupts on\n");
	free(text);
	machine_destroy(&machine);

	LOAD(guest_spins);
	text = run_and_look(spun);
	assert_int_equal(nr_dead, 0);
	expect_words(text, "\nrunning, interrupts off\n");
	free(text);
	machine_destroy(&machine);

	LOAD(guest_prints);
	text = run_and_look(printed);
	expect_words(text, "\n  port write 0x3f8 size 1 value 0x2e\n");
	free(text);
	machine_destroy(&machine);
}

/* --- a vm that watches for one --- */

static struct {
	struct vm *vm;
	char *report;
	char core[64];
	unsigned ended;
} owner;

static void owner_event(void *to, const struct vm_event *event)
{
	(void)to;
	(void)event;
}

static bool owner_ends(void *to)
{
	(void)to;
	return false;
}

static void owner_ended(void *to)
{
	size_t len = 0;
	FILE *report = open_memstream(&owner.report, &len);

	assert_ptr_equal(to, &owner);
	owner.ended++;
	assert_int_equal(owner.vm->end, MACHINE_STOPPED);
	vm_describe(owner.vm, report);
	fclose(report);
	if (vm_write_core(owner.vm, owner.core, &err) < 0)
		fail_msg("%s", err.text);
}

/* The guest's code is where RIP says, and RIP is in the note of its first CPU. */
static void expect_core(const char *path)
{
	uint8_t start[4096], code[2];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const Elf64_Ehdr *header = (const void *)start;
	const Elf64_Phdr *ph = (const void *)(start + sizeof(*header));
	prstatus_t status;
	uint64_t rip;

	assert_int_equal(pread(fd, start, sizeof(start), 0), sizeof(start));
	assert_memory_equal(start, ELFMAG, SELFMAG);
	memcpy(&status, start + ph[0].p_offset + sizeof(Elf64_Nhdr) + 8, sizeof(status));
	rip = status.pr_reg[16];
	assert_int_equal(ph[1].p_paddr, 0);
	assert_true(rip < ph[1].p_memsz);
	assert_int_equal(pread(fd, code, 2, (off_t)(ph[1].p_offset + rip)), 2);
	assert_memory_equal(code, "\xeb\xfc", 2);
	close(fd);
}

static void test_vm_watches(void **state)
{
	const struct vm_user user = { .event = owner_event,
				      .ends = owner_ends,
				      .ended = owner_ended,
				      .to = &owner,
				      .watch_dead = true };
	char folder[] = "/tmp/straddle-vm-XXXXXX", path[64];
	char *argv[] = { (char *)"--kernel",  path,	    (char *)"--memory", (char *)"64M",
			 (char *)"--cpus",    (char *)"2",  (char *)"--serial", (char *)"none",
			 (char *)"--timeout", (char *)"300" };
	uint8_t file[ELF_SIZE];
	FILE *out;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/kernel", folder);
	snprintf(owner.core, sizeof(owner.core), "%s/core", folder);
	elf_make(file);
	memcpy(file + ELF_CONTENTS + 16, guest_dies, sizeof(guest_dies));
	out = fopen(path, "we");
	assert_int_equal(fwrite(file, 1, sizeof(file), out), sizeof(file));
	fclose(out);
	owner.ended = 0;
	owner.vm = vm_new(&user);
	if (config_parse(&owner.vm->config, CMD_RUN, ARRAY_SIZE(argv), argv, &err) < 0 ||
	    config_check(&owner.vm->config, CMD_RUN, &err) < 0 || vm_plan(owner.vm, &err) < 0 ||
	    vm_prepare(owner.vm, &err) < 0)
		fail_msg("%s", err.text);
	if (vm_run(owner.vm, &err) < 0)
		fail_msg("%s", err.text);
	vm_close_lines(owner.vm);
	assert_int_equal(owner.vm->end, MACHINE_STOPPED);
	assert_true(owner.vm->dead);
	assert_false(owner.vm->asked_to_stop || owner.vm->timed_out);
	assert_int_equal(owner.ended, 1);
	expect_words(owner.report, "\nhalted, interrupts off\n");
	expect_core(owner.core);
	vm_free(owner.vm);
	free(owner.report);
	unlink(owner.core);
	unlink(path);
	rmdir(folder);
}

static void test_serial_fails(void **state)
{
	struct wrap_held before;

	(void)state;
	before = wrap_held();
	assert_int_equal(console_open(&console, "serial",
				      &(struct config_line){ .kind = SERIAL_FILE,
							     .path = (char *)"/dev/full" },
				      &loop, &err),
			 0);
	LOAD(guest_prints);
	if (machine_create(&machine, &parts, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(machine_run(&machine, &err), MACHINE_HOST_ERROR);
	wrap_assert_says(&err, "serial output cannot be written to /dev/full: No space left");
	machine_destroy(&machine);
	console_close(&console);
	wrap_assert_released(before, "the run");
}

/* --- straddle check --- */

static enum host_kvm this_kvm;

static int try_attempt(void *to, struct err *e)
{
	enum host_kvm kvm = host_try_kvm(e);

	(void)to;
	if (kvm == HOST_KVM_NONE)
		return -EIO;
	assert_int_equal(kvm, this_kvm);
	return 0;
}

static void test_check(void **state)
{
	struct wrap_harmless more[ARRAY_SIZE(harmless) + 2] = {
		{ { "ioctl", KVM_RUN, 0 }, EINTR, "tried again" },
		{ { .name = "sigaction" }, 0, "cannot fail with these arguments" },
	};

	(void)state;
	memcpy(more + 2, harmless, sizeof(harmless));
	this_kvm = host_try_kvm(&err);
	assert_int_not_equal(this_kvm, HOST_KVM_NONE);
	wrap_sweep(try_attempt, NULL, ENOMEM, more);
	wrap_sweep(try_attempt, NULL, EINTR, more);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create_without_memory),
		TEST(test_create_with_errors),
		TEST(test_create_interrupted),
		TEST(test_too_many_cpus),
		TEST(test_loop_is_full),
		TEST(test_kernel_is_cut_short),
		TEST(test_threads),
		TEST(test_loop_fails),
		TEST(test_run_fails),
		TEST(test_exits),
		TEST(test_looks),
		cmocka_unit_test_setup(test_vm_watches, wrap_setup),
		TEST(test_serial_fails),
		TEST(test_check),
	};

	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("1..1\nok 1 - machines # SKIP no usable /dev/kvm on this host\n");
		return 0;
	}
	close(fd);
	if (vcpu_init_kick(&err) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
