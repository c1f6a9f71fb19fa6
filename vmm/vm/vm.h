/*
 * The virtual machine: everything that outlives a reset of the guest, and the order in which it is
 * opened, run, reset and closed.
 *
 * In this order: vm_new(), the configuration is parsed into vm->config, vm_plan(), vm_prepare(),
 * vm_run(), vm_close_lines(), vm_free(). Each returns 0 or a negative errno and a sentence;
 * vm->blame says whose fault it is. A vm never prints and never exits: its owner is told of events,
 * and decides.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "vmm/base/panic.h"
#include "vmm/machine/machine.h"
#include "vmm/vm/control.h"
#include "vmm/vm/death.h"
#include "vmm/vm/events.h"
#include "vmm/vm/late.h"
#include "vmm/vm/memory.h"

struct vm_user {
	/* Called on any thread, perhaps on several at once. */
	void (*event)(void *to, const struct vm_event *event);
	/*
	 * Whether the owner wants the vm to end. Called from any thread while the loop does not
	 * run, which is while RAM is touched and mapped for devices, a core is written and the
	 * machine of an ended guest is destroyed.
	 */
	bool (*ends)(void *to);
	/*
	 * Ends the process; it need not return. Called on a thread of its own when storage does not
	 * answer, so that the machine cannot be destroyed and guest memory may still be written to.
	 * vm_close_lines() has been called, and vm->end is as vm_run() would have returned it.
	 */
	void (*abandon)(void *to, const char *sentence);
	void *to;
	/*
	 * A guest has ended, vm->end says how, and its machine is still there: vm_describe() and
	 * vm_write_core() may be called, to keep what shows why. Called on the thread of vm_run()
	 * for each guest, those that reset themselves among them. NULL: nothing is done.
	 */
	void (*ended)(void *to);
	/*
	 * Ends a guest within about a second once none of its CPUs can ever run again: with
	 * MACHINE_STOPPED, and vm->dead is true. Else such a guest stays until it is ended.
	 */
	bool watch_dead;
};

/* The lines before VM_CONSOLES are searched for panics. */
enum { VM_SERIAL, VM_CONSOLE, VM_CONSOLES, VM_CHANNEL = VM_CONSOLES, VM_LINES };

enum vm_blame {
	VM_BLAME_USER, /* a plan or a guest that is not possible */
	VM_BLAME_HOST,
};

struct vm {
	struct vm_user user;
	struct config config;
	struct passthrough passthrough;
	struct virtio_backends backends;
	struct plan plan;
	struct vm_memory memory;
	struct late late;
	struct timespec ready_since; /* when RAM began to be touched and mapped */
	struct image kernel;
	struct images initrd;
	struct boot_kernel boot_kernel;
	struct loop loop;
	struct console lines[VM_LINES]; /* of characters */
	unsigned nr_lines;		/* number of open lines */
	struct control control;
	struct machine machine;
	struct host_cpus *affinity; /* of each vCPU; NULL: anywhere */
	enum vm_blame blame;
	enum machine_end end;
	/* what ends a guest from outside (watch.c): descriptors, -1 while not open */
	int stop_timer;	 /* --stop-timeout, since the power button */
	int timer;	 /* --timeout, since the first guest began */
	int panic_event; /* eventfd: signalled when a console printed a panic */
	int panic_timer; /* ticks while a panic is in doubt */
	int death_timer; /* ticks if user.watch_dead */
	struct panic_doubt doubt;
	struct death death;
	bool begun;	    /* the first guest began */
	bool asked_off;	    /* the power button was pressed */
	bool asked_to_stop; /* by vm_stop(), the owner or --stop-timeout */
	bool overdue;	    /* the guest did not power off within --stop-timeout */
	bool timed_out;	    /* --timeout ended it */
	bool kept;	    /* atomic: vm_keep() waits */
	/* all of the guest's CPUs had stopped for good when it was ended, or were why it was */
	bool dead;
	double mapping; /* seconds that it took to map RAM for devices */
};

/*
 * Makes an empty vm; NULL: no memory. *user is copied, and what it points to must outlive the vm.
 */
struct vm *vm_new(const struct vm_user *user);
/* Attaches the passed-through devices, makes the plan, opens kernel, initrd and back ends. */
int vm_plan(struct vm *vm, struct err *err);
/*
 * Opens timers, the control socket, guest memory and the lines; the terminal is in raw mode from
 * then on. -EINTR: the owner ended it.
 */
int vm_prepare(struct vm *vm, struct err *err);
/*
 * Makes the loop call `ready` for the `n` signals of the list, but for those that the parent made
 * this process ignore. Called after vm_plan(), and before any thread is made, so that all threads
 * inherit the mask. *fd is a signalfd, which the caller closes.
 */
int vm_catch_signals(struct vm *vm, const int *list, size_t n, int *fd,
		     void (*ready)(void *to, short revents), void *to, struct err *err);
/* Runs the guest, and after each reset the next one, until vm->end says how the last one ended. */
int vm_run(struct vm *vm, struct err *err);
/* Writes out the guest's output while its reader takes it, and restores the terminal. */
void vm_close_lines(struct vm *vm);
/* Frees everything. Allowed after any failure, and on NULL. */
void vm_free(struct vm *vm);

/* The following are called on the loop's thread, while the guest runs. */

/* Ends the guest at once, without asking it, or the wait of vm_keep(). */
void vm_stop(struct vm *vm);
/* Presses the power button and starts --stop-timeout. False: it was pressed before. */
bool vm_power_off(struct vm *vm);
/*
 * Restore the terminal before the process stops (SIGTSTP), and make it raw again when it continues.
 */
void vm_suspend_lines(struct vm *vm);
void vm_continue_lines(struct vm *vm);
/* The terminal has another size. */
void vm_resize_console(struct vm *vm);
/* Writes the ids of the vCPUs' threads, `cap` at most. Returns how many run. */
unsigned vm_cpu_threads(const struct vm *vm, pid_t *tids, unsigned cap);

/*
 * A count that has grown since the last call if the guest's virtio devices have completed requests
 * of its programs (virtio_work()). Passed-through devices are not seen.
 */
uint64_t vm_work(const struct vm *vm);

/* The following are called by vm_user.ended. */

/* Writes the state of every vCPU to the file, as text: registers, code, the last exits. */
void vm_describe(const struct vm *vm, FILE *to);
/*
 * Writes guest memory and the registers of every vCPU to a new file (core_write()). Devices may
 * still write to memory meanwhile. -EINTR: the owner wants the vm to end, and did not before.
 */
int vm_write_core(struct vm *vm, const char *path, struct err *err);
/* How many bytes of the guest's output are on their way to the lines' readers. */
size_t vm_unwritten(struct vm *vm);
/* Opens the control socket, if --control did not. `path` must outlive the vm. */
int vm_open_control(struct vm *vm, const char *path, struct err *err);
/*
 * Keeps the guest as it ended, with its CPUs stopped, and serves the loop until vm_stop() is called
 * or the control socket gets `quit`. No timer of the vm runs meanwhile; what the owner watches is
 * served. Returns at once if the owner wants the vm to end.
 */
int vm_keep(struct vm *vm, struct err *err);

/* The following are called after vm_run(). */

/* Returns 0, or the error that writing out the guest's output met. */
int vm_lines_error(struct vm *vm, struct err *err);
/* Whether a console printed a panic of the guest's kernel; *line is that line, or empty. */
bool vm_panicked(struct vm *vm, struct panic_line *line);

#endif
