/*
 * straddle run as the owner of a vm: cmd_run.c has the order of calls and the exit status,
 * cmd_run_user.c reads signals and prints events.
 */
#ifndef CLI_CMD_RUN_H
#define CLI_CMD_RUN_H

#include "vmm/vm/vm.h"

struct run {
	struct vm *vm;
	int signals;  /* signalfd, or -1 */
	int signal;   /* the one that ended the run, or 0 */
	bool raw;     /* a terminal may be in raw mode: lines need a carriage return */
	bool tty;     /* of standard error: progress is one line */
	bool in_line; /* the line of progress was begun */
};

/* The functions of struct vm_user; `to` is a struct run. */
void run_event(void *to, const struct vm_event *event);
bool run_ends(void *to);
/*
 * Makes the loop handle signals. Called before any thread is made, so that all threads inherit the
 * mask.
 */
int run_catch_signals(struct run *run, struct err *err);

#endif
