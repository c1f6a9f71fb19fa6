/*
 * One case of straddle test: a vm (vm/vm.h) whose guest runs one command, from its start to its
 * verdict.
 *
 * The verdict comes from the vm's end and from what init says on the channel. The console is
 * evidence; only complaints of the guest's kernel are looked for in it.
 */
#ifndef TEST_CASE_H
#define TEST_CASE_H

#include "vmm/test/channel.h"
#include "vmm/test/console.h"
#include "vmm/test/expect.h"
#include "vmm/test/initramfs.h"
#include "vmm/test/limits.h"
#include "vmm/test/root.h"
#include "vmm/test/splat.h"
#include "vmm/test/verdict.h"
#include "vmm/vm/vm.h"

enum { LINE_CONSOLE, LINE_SERIAL, LINE_VSOCK, LINES };

struct test_case {
	struct vm *vm; /* its config is parsed and checked before test_case_run() */
	struct test_result *result;
	struct test_channel channel;
	struct test_console console;
	struct test_root root;
	struct test_initramfs initramfs;
	struct test_limits limits;
	struct splat splat;
	struct splat_allow allow;
	struct test_expect expect;
	struct cpu_thread *threads; /* of the vCPUs, as of the last tick */
	struct cpu_clock_thread *clock_threads;
	pid_t *tids;
	/* the ends of the lines to the guest, -1 while not open or given away */
	int ours[LINES], guests[LINES];
	int timer;   /* ticks for the limits, or -1 */
	int signals; /* signalfd, or -1 */
	int signal;  /* the one that ended the case, or 0 */
	/* what init said */
	bool ended, faulted;
	struct channel_exit exit;
	uint64_t work;	   /* of the devices, as of the last tick or the guest's end */
	uint64_t ended_at; /* when init sent its last frame, in ns of time that CPUs could run */
	char step[256];
	unsigned quiet_ticks, splat_ticks; /* since the last byte, and since a complaint */
	/* why the case ends, if it is this file that ends the vm; VERDICTS: it is not */
	enum verdict stop;
	char why[1024];
	bool triple_fault;
	char *cpus; /* what every vCPU was doing at the end, or NULL */
	/*
	 * --keep: called when *result is complete and its guest waits to be looked at, so that what
	 * is known is written before; then `kept` is true. May be NULL.
	 */
	void (*keeps)(struct test_case *t);
	bool kept;
	char *control;	 /* the path of the control socket of a guest that is kept, or NULL */
	uint64_t start;	 /* of the guest, by host_clock_ns(); 0: not yet */
	char tail[4096]; /* of the console, for the result */
};

/* Makes an empty case and its vm. -ENOMEM. */
int test_case_init(struct test_case *t, struct err *err);
/* Runs the guest to its end and fills in *result. */
void test_case_run(struct test_case *t, struct test_result *result);
/* Frees everything. Allowed after any failure. */
void test_case_free(struct test_case *t);

#endif
