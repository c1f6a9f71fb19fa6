/*
 * The order of a run: open, plan, prepare, run, follow resets, close.
 */
#include "vmm/vm/vm.h"

#include "vmm/host/fault.h"
#include "vmm/host/kvm.h"
#include "vmm/host/probe.h"
#include "vmm/host/supported_cpuid.h"
#include "vmm/plan/topology.h"
#include "vmm/vm/affinity.h"
#include "vmm/vm/commands.h"
#include "vmm/vm/core.h"
#include "vmm/vm/prepare.h"
#include "vmm/vm/ready.h"
#include "vmm/vm/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define STORAGE_TIMEOUT 10 /* s, at the end of the process */
#define SLOW		1  /* s: what takes longer reports its progress */

static void vm_tell(struct vm *vm, const struct vm_event *event)
{
	vm->user.event(vm->user.to, event);
}

static void remark(void *to, const char *sentence)
{
	vm_tell(to, &(struct vm_event){ .kind = VM_EVENT_REMARK, .text = sentence });
}

/* --- plan --- */

/*
 * Allocated, because its tables are large and nearly empty: pages of the heap that are not used are
 * never touched.
 */
struct vm *vm_new(const struct vm_user *user)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	vm->user = *user;
	vm->config = (struct config)CONFIG_EMPTY;
	vm->passthrough.iommu = (struct iommu)IOMMU_EMPTY;
	vm->backends = (struct virtio_backends)VIRTIO_BACKENDS_EMPTY;
	vm->memory.ram = (struct ram)RAM_EMPTY;
	vm->late = (struct late)LATE_EMPTY;
	vm->kernel = (struct image)IMAGE_EMPTY;
	vm->initrd = (struct images)IMAGES_EMPTY;
	vm->loop = (struct loop)LOOP_EMPTY;
	vm->control = (struct control)CONTROL_EMPTY;
	vm->stop_timer = vm->timer = vm->panic_event = vm->panic_timer = vm->death_timer = -1;
	vm->blame = VM_BLAME_HOST;
	supported_cpuid_ask_ahead(kvm_keep_device());
	return vm;
}

/* Passed-through devices come first, because the plan depends on what they are. */
int vm_plan(struct vm *vm, struct err *err)
{
	struct host_facts host;
	int ret;

	host_probe(&host);
	vm->blame = VM_BLAME_HOST;
	if (vm->config.nr_vfio) {
		ret = passthrough_open(&vm->passthrough, &vm->config, &host, err);
		if (ret < 0)
			return ret;
		passthrough_remark(&vm->passthrough, remark, vm);
	}
	vm->blame = VM_BLAME_USER;
	ret = vm_make_plan(&vm->plan, &vm->config, &host, err);
	if (ret < 0)
		return ret;
	ret = vm_open_images(&vm->config, &vm->kernel, &vm->boot_kernel, &vm->initrd, err);
	if (ret < 0)
		return ret;
	ret = virtio_open(&vm->backends, &vm->config, &vm->plan, err);
	if (ret < 0 && ret != -EINVAL) /* the request was valid; it is the host that refused */
		vm->blame = VM_BLAME_HOST;
	if (ret < 0)
		return ret;
	virtio_remark(&vm->backends, remark, vm);
	vm->blame = VM_BLAME_HOST;
	return loop_create(&vm->loop, err);
}

/* --- memory --- */

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* RAM is touched and mapped for devices, which takes seconds for large guests. On any thread. */
static void tell_ready(void *to, bool mapped, uint64_t bytes, uint64_t total)
{
	struct vm *vm = to;
	const struct vm_event event = {
		.kind = mapped ? VM_EVENT_MAPPING : VM_EVENT_TOUCHING,
		.bytes = bytes,
		.total = total,
		.seconds = seconds_since(&vm->ready_since),
		.late = vm->config.prefault == PREFAULT_BACKGROUND,
	};

	if (event.seconds >= SLOW)
		vm_tell(vm, &event);
}

/* Threads that touch RAM end, too: unmapping need not wait for them. */
static bool ready_ends(void *to)
{
	struct vm *vm = to;
	bool ends = vm_watch_wants_end(vm);

	if (ends)
		vm_memory_stop(&vm->memory);
	return ends;
}

static int reset_devices(struct vm *vm, struct err *err)
{
	struct err reset = { "" };
	int ret = passthrough_reset(&vm->passthrough, &reset);

	if (*reset.text)
		remark(vm, reset.text);
	return ret < 0 ? err_set(err, -ret, "%s", reset.text) : 0;
}

/* The devices that are to reach RAM when it is ready, or NULL. */
static struct passthrough *waiting_devices(struct vm *vm)
{
	return vm->config.nr_vfio ? &vm->passthrough : NULL;
}

static int prepare_devices(struct vm *vm, struct err *err)
{
	if (!waiting_devices(vm))
		return 0;
	if (vm->passthrough.iommu.no_iommu)
		remark(vm, "noiommu=on: nothing keeps the devices from the host's memory, and as "
			   "the guest's addresses are not translated, DMA of its drivers goes "
			   "astray");
	return passthrough_prepare(&vm->passthrough, &vm->memory.guest, &vm->plan, err);
}

/*
 * Maps RAM for devices, each piece once it has been touched, while other threads touch what
 * follows, and waits for the rest. Returns -EINTR if the owner ended it.
 */
static int ready_memory(struct vm *vm, struct err *err)
{
	struct passthrough *pt = waiting_devices(vm);
	struct ready ready = { &vm->memory, pt, ready_ends, tell_ready, vm };
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &vm->ready_since);
	ret = prepare_devices(vm, err);
	if (ret == 0)
		ret = ready_wait(&ready, err);
	vm_memory_settle(&vm->memory);
	vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_READY });
	if (!pt)
		return ret;
	vm->mapping = seconds_since(&vm->ready_since);
	if (ret < 0)
		return ret;
	passthrough_join(pt, &vm->memory.guest);
	return reset_devices(vm, err);
}

/* --- memory that is ready after the guest has started --- */

static void tell_arrived(struct vm *vm)
{
	const struct passthrough *pt = &vm->passthrough;

	for (unsigned i = 0; i < pt->n; i++)
		if (pt->devices[i])
			vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_ARRIVED,
							.text = vfio_pci_name(pt->devices[i]),
							.bytes = pt->iommu.mapped,
							.seconds = vm->mapping });
}

static void late_ended(void *to, int ret, const struct err *why)
{
	struct vm *vm = to;
	struct err err = *why;

	if (vm->config.nr_vfio)
		vm->mapping = seconds_since(&vm->ready_since);
	vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_READY });
	machine_devices_mapped(&vm->machine);
	if (ret == 0)
		tell_arrived(vm);
	/* Nobody waits for what cannot be mapped if the host has taken back all devices. */
	if (ret == 0 || (vm->config.nr_vfio && passthrough_is_empty(&vm->passthrough)))
		return;
	if (vm->config.on_late_failure == LATE_FAILURE_CONTINUES) {
		err_prefix(&err, 0, "%s: ",
			   vm->config.nr_vfio ? "the guest goes on without its devices"
					      : "the guest goes on with what RAM there is");
		remark(vm, err.text);
		return;
	}
	err_prefix(&err, 0, "%s, so it is ended (--on-late-failure): ",
		   vm->config.nr_vfio ? "the guest cannot get its devices"
				      : "the guest cannot get its RAM");
	machine_fail(&vm->machine, err.text);
}

/*
 * What can be judged without touching or mapping anything is judged before the guest starts, and
 * devices are reset then, because a reset may fail or take long.
 */
static int begin_late(struct vm *vm, struct err *err)
{
	const struct late_parts parts = {
		.memory = &vm->memory,
		.passthrough = waiting_devices(vm),
		.loop = &vm->loop,
		.progress = tell_ready,
		.ended = late_ended,
		.to = vm,
	};
	int ret = prepare_devices(vm, err);

	if (ret == 0 && parts.passthrough)
		ret = reset_devices(vm, err);
	clock_gettime(CLOCK_MONOTONIC, &vm->ready_since);
	return ret < 0 ? ret : late_start(&vm->late, &parts, err);
}

static void vm_memory_changed(void *to)
{
	struct vm *vm = to;
	struct err err;

	if (fault_find_cut(&err)) /* else a program has only written to the file */
		machine_fail(&vm->machine, err.text);
}

/* --- lines --- */

static int open_lines(struct vm *vm, struct err *err)
{
	static const char *const names[VM_LINES] = {
		[VM_SERIAL] = "serial", [VM_CONSOLE] = "console", [VM_CHANNEL] = "channel"
	};
	const struct config_line *wanted[VM_LINES] = {
		[VM_SERIAL] = &vm->config.serial,
		[VM_CONSOLE] = &vm->config.console,
		[VM_CHANNEL] = &vm->config.channel,
	};

	for (unsigned i = 0; i < VM_LINES; i++) {
		struct console *line = &vm->lines[i];
		int ret = console_open(line, names[i], wanted[i], &vm->loop, err);

		if (ret < 0)
			return ret;
		vm->nr_lines++;
		if (console_pty(line))
			vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_LINE,
							.line = names[i],
							.path = console_pty(line) });
	}
	return 0;
}

int vm_lines_error(struct vm *vm, struct err *err)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < vm->nr_lines; i++)
		ret = console_error(&vm->lines[i], err);
	return ret;
}

void vm_close_lines(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_lines; i++) {
		vm->lines[i].short_drain = vm->asked_to_stop || vm->machine.end == MACHINE_STOPPED;
		console_close(&vm->lines[i]);
	}
	for (unsigned i = 0; i < vm->nr_lines; i++) {
		struct console *line = &vm->lines[i];

		if (line->lost)
			vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_LOST,
							.line = line->name,
							.count = line->lost });
		if (line->cut)
			vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_CUT,
							.line = line->name,
							.path = line->path,
							.bytes = line->limit });
	}
}

/*
 * Without KVM no guest starts, or none with so many CPUs, which should be known before RAM is
 * touched for minutes.
 */
static int look_for_kvm(const struct plan *p, struct err *err)
{
	struct kvm kvm;
	int ret = kvm_open(&kvm, err);

	if (ret == 0)
		ret = kvm_check_cpus(&kvm, p->cpus, topology_last_id(p), err);
	kvm_close(&kvm);
	return ret;
}

/*
 * Opens the lines last, because while the terminal is in raw mode Ctrl-C is a character and does
 * not end straddle.
 */
int vm_prepare(struct vm *vm, struct err *err)
{
	int ret = vm_watch_open(vm, err);

	vm->blame = VM_BLAME_HOST;
	if (ret < 0)
		return ret;
	virtio_watch_memory(&vm->backends, &vm->loop, vm_memory_changed, vm);
	if (fault_find_cut(err)) /* cut before inotify watched the file */
		return -EIO;
	if (vm->config.control) {
		ret = vm_open_control(vm, vm->config.control, err);
		if (ret < 0)
			return ret;
	}
	ret = vm_affinity(&vm->affinity, &vm->config, &vm->plan, err);
	if (ret < 0)
		return ret;
	ret = vm_memory_judge(&vm->config, &vm->plan, err);
	if (ret == 0 && config_prefaults(&vm->config))
		ret = look_for_kvm(&vm->plan, err);
	if (ret < 0)
		return ret;
	ret = vm_memory_open(&vm->memory, &vm->plan, &vm->config, &vm->backends, err);
	if (ret < 0)
		return ret;
	ret = vm->config.prefault == PREFAULT_BACKGROUND ? begin_late(vm, err)
							 : ready_memory(vm, err);
	if (ret < 0)
		return ret;
	return open_lines(vm, err);
}

/* --- the guest --- */

/* Returns what the end of a machine means, which depends on what its guest has printed. */
static enum machine_end judge_end(struct vm *vm, enum machine_end end)
{
	struct panic_line panic;

	/*
	 * Linux resets by a triple fault with reboot=t, but a guest that printed nothing has
	 * crashed.
	 */
	if (end == MACHINE_TRIPLE_FAULT) {
		end = vm_watch_saw_output(vm) ? MACHINE_RESET : MACHINE_CRASH;
		if (end == MACHINE_RESET)
			vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_REGISTERS,
							.text = vm->machine.report });
	}
	if (end == MACHINE_RESET && !vm->asked_to_stop && vm_panicked(vm, &panic))
		return MACHINE_PANIC;
	return end;
}

static void vm_balloon_numbers(void *to, const uint64_t *numbers)
{
	struct vm *vm = to;

	vm_command_memory(&vm->control, &vm->machine, numbers);
}

/*
 * Whether the process ends with this guest. One that is kept waits for its owner, who is asked by
 * the loop then, and must not be asked here.
 */
static bool process_ends(void *to)
{
	struct vm *vm = to;

	if (__atomic_load_n(&vm->kept, __ATOMIC_ACQUIRE))
		return false;
	return vm_watch_wants_end(vm) || vm->config.no_reboot || vm->machine.end != MACHINE_RESET;
}

/*
 * Threads that wait for storage, the main thread among them, are left as they are, so exit(3) is
 * not called.
 */
static void abandon(void *to, const char *sentence)
{
	struct vm *vm = to;

	vm_close_lines(vm);
	vm->end = vm->asked_to_stop || vm->timed_out ? MACHINE_STOPPED : vm->machine.end;
	vm->user.abandon(vm->user.to, sentence);
}

/* Runs one guest from its start to its end. */
static int vm_run_once(struct vm *vm, const struct machine_parts *parts, struct err *err)
{
	struct machine *m = &vm->machine;
	int ret;

	vm_watch_begin_guest(vm);
	ret = machine_create(m, parts, err);
	if (ret < 0)
		return ret;
	if (vm->asked_off)
		machine_power_button(m); /* the button was pressed before a reset */
	vm->end = machine_run(m, err);
	if (vm->end == MACHINE_RUNNING && vm_lines_error(vm, err) < 0)
		vm->end = MACHINE_HOST_ERROR;
	vm->dead = vm->end == MACHINE_STOPPED && (vm->dead || machine_is_dead(m));
	vm->end = m->end = judge_end(vm, vm->end);
	if (vm->user.ended)
		vm->user.ended(vm->user.to);
	machine_destroy(m);
	vm_command_memory(&vm->control, m, NULL);
	if (m->unclaimed)
		vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_UNCLAIMED,
						.count = m->unclaimed,
						.access = m->first_unclaimed });
	/* The owner may have asked for the end while the machine was destroyed. */
	if (vm->end == MACHINE_RESET && (vm->asked_to_stop || vm->timed_out))
		vm->end = MACHINE_STOPPED;
	return 0;
}

/* Brings memory and devices into the state in which the first guest found them. */
static int prepare_reset(struct vm *vm, struct err *err)
{
	int ret = vm_lines_error(vm, err);

	if (ret < 0)
		return ret;
	vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_RESET });
	vm_memory_reset(&vm->memory, vm->config.nr_vfio || config_prefaults(&vm->config) ||
					     config_locks_ram(&vm->config));
	return vm->config.nr_vfio ? reset_devices(vm, err) : 0;
}

static int run_guests(struct vm *vm, struct err *err)
{
	const struct config *c = &vm->config;
	const struct machine_parts parts = {
		.plan = &vm->plan,
		.kernel = &vm->kernel,
		.initrd = &vm->initrd,
		.boot_kernel = &vm->boot_kernel,
		.append = c->append,
		.ram = &vm->memory.ram,
		.guest_memory = &vm->memory.guest,
		.passthrough = c->nr_vfio ? &vm->passthrough : NULL,
		.backends = &vm->backends,
		.memory = vm_balloon_numbers,
		.say = remark,
		.to = vm,
		.leaver = { process_ends, STORAGE_TIMEOUT, abandon, vm },
		.loop = &vm->loop,
		.console = &vm->lines[VM_SERIAL],
		.virtio_console = &vm->lines[VM_CONSOLE],
		.channel = c->channel.kind ? &vm->lines[VM_CHANNEL] : NULL,
		.has_debug_exit = c->has_debug_exit,
		.debug_exit_port = c->debug_exit_port,
		.affinity = vm->affinity,
	};

	for (;;) {
		int ret = vm_run_once(vm, &parts, err);

		/*
		 * -ERANGE and -E2BIG: the plan exceeds what KVM, the kernel or RAM allows, so the
		 * user must change it.
		 */
		if (ret < 0)
			vm->blame = ret == -ERANGE || ret == -E2BIG ? VM_BLAME_USER : VM_BLAME_HOST;
		if (ret < 0 || vm->end != MACHINE_RESET || c->no_reboot)
			return ret;
		ret = prepare_reset(vm, err);
		if (ret < 0)
			return ret;
	}
}

/* What is still being mapped is unmapped while the lines are written out. */
int vm_run(struct vm *vm, struct err *err)
{
	int ret = run_guests(vm, err);

	late_cancel(&vm->late);
	vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_READY });
	return ret;
}

/* --- requests of the owner --- */

void vm_stop(struct vm *vm)
{
	vm->asked_to_stop = true;
	__atomic_store_n(&vm->kept, false, __ATOMIC_RELEASE);
	machine_stop(&vm->machine);
}

bool vm_power_off(struct vm *vm)
{
	if (vm->asked_off)
		return false;
	vm->asked_off = true;
	vm_watch_power_off(vm);
	machine_power_button(&vm->machine);
	return true;
}

void vm_describe(const struct vm *vm, FILE *to)
{
	machine_describe(&vm->machine, to);
}

static bool core_stop(void *to)
{
	struct vm *vm = to;

	return vm->user.ends(vm->user.to);
}

int vm_write_core(struct vm *vm, const char *path, struct err *err)
{
	const struct machine *m = &vm->machine;
	struct vcpu_state *cpus = calloc(m->nr_cpus, sizeof(*cpus));
	struct core core = {
		.ram = &vm->memory.ram,
		.cpus = cpus,
		.nr_cpus = m->nr_cpus,
		.stop = core_stop(vm) ? NULL : core_stop,
		.to = vm,
	};
	int ret = 0;

	if (!cpus)
		return err_sys(err, ENOMEM, "cannot write the core of the guest to %s", path);
	for (unsigned i = 0; ret == 0 && i < m->nr_cpus; i++)
		ret = vcpu_get_state(&m->cpus[i].vcpu, &cpus[i], err);
	if (ret == 0)
		ret = core_write(&core, path, err);
	free(cpus);
	return ret;
}

/* --- a guest that is kept --- */

size_t vm_unwritten(struct vm *vm)
{
	size_t n = 0;

	for (unsigned i = 0; i < vm->nr_lines; i++)
		n += console_unwritten(&vm->lines[i]);
	return n;
}

int vm_open_control(struct vm *vm, const char *path, struct err *err)
{
	return control_open(&vm->control, path, &vm->loop, vm_command, vm, err);
}

/* Other threads may stop the loop meanwhile, such as one that finds a device broken. */
int vm_keep(struct vm *vm, struct err *err)
{
	int ret = 0;

	vm_watch_rest(vm);
	__atomic_store_n(&vm->kept, true, __ATOMIC_RELEASE);
	if (vm->user.ends(vm->user.to))
		vm_stop(vm);
	while (ret == 0 && vm->kept) {
		ret = loop_run(&vm->loop, err);
		loop_rearm(&vm->loop);
	}
	__atomic_store_n(&vm->kept, false, __ATOMIC_RELEASE);
	return ret;
}

void vm_suspend_lines(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_lines; i++)
		console_suspend(&vm->lines[i]);
}

void vm_continue_lines(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_lines; i++)
		console_continue(&vm->lines[i]);
}

void vm_resize_console(struct vm *vm)
{
	machine_resize_console(&vm->machine);
}

unsigned vm_cpu_threads(const struct vm *vm, pid_t *tids, unsigned cap)
{
	unsigned n = 0;

	for (unsigned i = 0; i < vm->machine.nr_cpus && n < cap; i++) {
		tids[n] = __atomic_load_n(&vm->machine.cpus[i].tid, __ATOMIC_ACQUIRE);
		n += tids[n] != 0;
	}
	return n;
}

uint64_t vm_work(const struct vm *vm)
{
	return machine_virtio_work(&vm->machine.virtio);
}

/* --- close --- */

/*
 * Tells the owner that RAM is being unmapped if mapping it took seconds, because unmapping takes
 * about as long and reports no progress.
 */
static void close_passthrough(struct vm *vm)
{
	if (vm->mapping >= SLOW)
		vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_UNMAPPING,
						.bytes = vm->passthrough.iommu.mapped,
						.seconds = vm->mapping });
	passthrough_close(&vm->passthrough);
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	control_close(&vm->control);
	late_stop(&vm->late);
	vm_tell(vm, &(struct vm_event){ .kind = VM_EVENT_READY }); /* no progress follows */
	vm_memory_end(&vm->memory);
	virtio_close(&vm->backends);
	close_passthrough(vm);
	vm_memory_close(&vm->memory);
	supported_cpuid_await();
	kvm_release_device();
	vm_watch_close(vm);
	loop_destroy(&vm->loop);
	images_close(&vm->initrd);
	image_close(&vm->kernel);
	config_free(&vm->config);
	free(vm->affinity);
	free(vm);
}
