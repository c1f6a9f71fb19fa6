/*
 * What the files of straddle run share: cmd_run.c has the order, cmd_run_memory.c guest memory and
 * what devices see of it, cmd_run_events.c the signals, limits of time and panics that end a guest
 * from outside.
 */
#ifndef CLI_CMD_RUN_H
#define CLI_CMD_RUN_H

#include "vmm/base/panic.h"
#include "vmm/machine/machine.h"
#include "vmm/vm/control.h"

enum { SERIAL, CONSOLE, LINES };

/* Everything that outlives a reset of the guest. */
struct run {
	struct config config;
	struct passthrough passthrough;
	struct backends backends;
	struct plan plan;
	struct ram ram;
	struct ram_block blocks[PLAN_LIST_MAX + PMEM_MAX];
	struct guest_ram guest_ram; /* these: all RAM and the files of --pmem */
	struct image kernel;
	struct images initrd;
	struct boot_kernel boot_kernel;
	struct loop loop;
	struct console lines[LINES]; /* of characters */
	unsigned nr_lines;	     /* that are open */
	struct control control;
	struct machine machine;
	/* who ends it from outside: descriptors, -1 while not open */
	int signals;	 /* signalfd */
	int stop_timer;	 /* --stop-timeout, since the first SIGTERM */
	int timer;	 /* --timeout, since the first guest began */
	int panic_event; /* eventfd: a console told of a panic */
	int panic_timer; /* ticks while that is in doubt */
	struct panic_doubt doubt;
	bool begun;	    /* the first guest began */
	bool asked_off;	    /* SIGTERM pressed the power button */
	int signal;	    /* the one that ended the run, or 0 */
	bool overdue;	    /* the guest did not heed it in time */
	bool timed_out;	    /* --timeout ended the run */
	bool dead;	    /* all of the guest's CPUs had stopped for good when it was ended */
	bool mapped_slowly; /* mapping RAM for devices took seconds */
};

/* Guest memory: reserved, listed for KVM and devices, mapped for those that are passed through.
 * -EINTR: a signal ended that. */
int run_make_memory(struct run *run, struct err *err);
/* Takes the passed-through devices and their memory apart; safe if there is none. */
void run_close_memory(struct run *run);

/* Whether a signal or --timeout ends the run, asked while the loop does not run. */
bool run_is_asked_to_end(struct run *run);
/* Before any thread is made, so that all of them inherit the mask of signals. */
int run_open_events(struct run *run, struct err *err);
void run_close_events(struct run *run);
/* A guest is about to start, the first one or one after a reset. */
void run_begin_guest(struct run *run);
/* The guest that ended has printed something. */
bool run_guest_spoke(struct run *run);
/* Whether its kernel panicked, by its own words; *line is them, or empty. */
bool run_guest_panicked(struct run *run, struct panic_line *line);

#endif
