#include "vmm/vm/watch.h"

#include "vmm/host/signals.h"
#include "vmm/host/vcpu.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* --- timers --- */

static int watch_open_timer(struct vm *vm, int *timer, void (*ready)(void *to, short revents),
			    struct err *err)
{
	*timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (*timer < 0)
		return err_sys(err, errno, "cannot make a timer");
	return loop_watch(&vm->loop, *timer, POLLIN, ready, vm, err);
}

/* Makes the timer expire once, in `seconds`; 0: never. */
static void start_timer(int timer, unsigned seconds)
{
	const struct itimerspec when = { .it_value = { .tv_sec = seconds } };

	(void)timerfd_settime(timer, 0, &when, NULL);
}

/* Makes the timer expire every `ms`, which are less than a second; 0: never. */
static void watch_tick(int timer, unsigned ms)
{
	const struct timespec period = { 0, (long)ms * 1000000 };
	const struct itimerspec when = { period, period };

	(void)timerfd_settime(timer, 0, &when, NULL);
}

static bool expired(int timer)
{
	uint64_t count;

	return read(timer, &count, sizeof(count)) == sizeof(count);
}

static void stop_timer_ready(void *to, short revents)
{
	struct vm *vm = to;

	(void)revents;
	if (!expired(vm->stop_timer))
		return;
	vm->overdue = true;
	vm_stop(vm);
}

static void timer_ready(void *to, short revents)
{
	struct vm *vm = to;

	(void)revents;
	if (!expired(vm->timer))
		return;
	vm->timed_out = true;
	machine_stop(&vm->machine);
}

/* --- panics --- */

/* Sums up what the guest's consoles printed: bytes, and the first panic among them. */
static uint64_t printed(struct vm *vm, struct panic_line *panic)
{
	uint64_t bytes = 0;

	*panic = (struct panic_line){ 0 };
	for (unsigned i = 0; i < vm->nr_lines && i < VM_CONSOLES; i++) {
		struct panic_line of_line;

		bytes += console_printed(&vm->lines[i], &of_line);
		if (!*panic->text)
			*panic = of_line;
		panic->booted |= of_line.booted;
	}
	return bytes;
}

static void panic_event_ready(void *to, short revents)
{
	struct vm *vm = to;
	uint64_t count;

	(void)revents;
	if (read(vm->panic_event, &count, sizeof(count)) != sizeof(count))
		return;
	vm->doubt = (struct panic_doubt){ 0 };
	watch_tick(vm->panic_timer, PANIC_TICK_MS);
}

static void panic_tick(void *to, short revents)
{
	struct vm *vm = to;
	struct panic_line panic;
	enum panic_verdict verdict;
	uint64_t bytes;
	bool slept;

	(void)revents;
	if (!expired(vm->panic_timer))
		return;
	bytes = printed(vm, &panic);
	slept = machine_poll_idle(&vm->machine);
	verdict = panic_doubt_tick(&vm->doubt, bytes, slept,
				   panic.booted || machine_crash_is_loaded(&vm->machine));
	if (verdict == PANIC_ALIVE) {
		watch_tick(vm->panic_timer, 0);
		for (unsigned i = 0; i < vm->nr_lines; i++)
			console_forget_panic(&vm->lines[i]);
	} else if (verdict == PANIC_DEAD && !panic_is_attended(vm->config.append)) {
		machine_panicked(&vm->machine);
	}
}

static int watch_panics(struct vm *vm, struct err *err)
{
	int ret;

	vm->panic_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->panic_event < 0)
		return err_sys(err, errno, "cannot make an eventfd");
	ret = loop_watch(&vm->loop, vm->panic_event, POLLIN, panic_event_ready, vm, err);
	return ret < 0 ? ret : watch_open_timer(vm, &vm->panic_timer, panic_tick, err);
}

bool vm_watch_saw_output(struct vm *vm)
{
	struct panic_line panic;

	return printed(vm, &panic);
}

bool vm_panicked(struct vm *vm, struct panic_line *line)
{
	(void)printed(vm, line);
	return *line->text && !vm->config.panic_by_device && !machine_crash_is_loaded(&vm->machine);
}

/* --- CPUs that have stopped for good --- */

static void death_ticks(void *to, short revents)
{
	struct vm *vm = to;
	bool busy, dead;

	(void)revents;
	if (!expired(vm->death_timer))
		return;
	busy = machine_is_busy(&vm->machine, DEATH_BUSY_MS);
	dead = !busy && machine_poll_dead(&vm->machine);
	if (!death_tick(&vm->death, busy, dead))
		return;
	vm->dead = true;
	machine_stop(&vm->machine);
}

/* --- signals --- */

int vm_catch_signals(struct vm *vm, const int *list, size_t n, int *fd,
		     void (*ready)(void *to, short revents), void *to, struct err *err)
{
	sigset_t set;
	int ret;

	signals_not_ignored(list, n, &set);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(err, errno, "cannot block signals");
	*fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (*fd < 0)
		return err_sys(err, errno, "cannot make a signalfd");
	ret = loop_watch(&vm->loop, *fd, POLLIN, ready, to, err);
	return ret < 0 ? ret : vcpu_init_kick(err);
}

/* --- all of them --- */

int vm_watch_open(struct vm *vm, struct err *err)
{
	int ret = watch_open_timer(vm, &vm->stop_timer, stop_timer_ready, err);

	if (ret < 0)
		return ret;
	ret = watch_open_timer(vm, &vm->timer, timer_ready, err);
	if (ret < 0)
		return ret;
	if (vm->user.watch_dead) {
		ret = watch_open_timer(vm, &vm->death_timer, death_ticks, err);
		if (ret < 0)
			return ret;
	}
	return vm->config.panic_by_device ? 0 : watch_panics(vm, err);
}

void vm_watch_begin_guest(struct vm *vm)
{
	uint64_t count;

	if (!vm->begun)
		start_timer(vm->timer, vm->config.timeout);
	vm->begun = true;
	if (vm->panic_event >= 0) {
		watch_tick(vm->panic_timer, 0);
		(void)!read(vm->panic_event, &count, sizeof(count));
	}
	vm->dead = false;
	vm->death = (struct death){ 0 };
	if (vm->death_timer >= 0)
		watch_tick(vm->death_timer, DEATH_TICK_MS);
	for (unsigned i = 0; i < vm->nr_lines; i++)
		console_new_guest(&vm->lines[i], i < VM_CONSOLES ? vm->panic_event : -1);
}

void vm_watch_rest(struct vm *vm)
{
	start_timer(vm->stop_timer, 0);
	start_timer(vm->timer, 0);
	watch_tick(vm->panic_timer, 0);
	watch_tick(vm->death_timer, 0);
	loop_forget(&vm->loop, vm->panic_event);
}

void vm_watch_power_off(struct vm *vm)
{
	start_timer(vm->stop_timer, vm->config.stop_timeout);
}

bool vm_watch_wants_end(struct vm *vm)
{
	vm->asked_to_stop |= vm->user.ends(vm->user.to);
	vm->timed_out |= expired(vm->timer);
	return vm->asked_to_stop || vm->timed_out;
}

void vm_watch_close(struct vm *vm)
{
	const int fds[] = { vm->stop_timer, vm->timer, vm->panic_event, vm->panic_timer,
			    vm->death_timer };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
