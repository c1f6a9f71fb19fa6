/*
 * The command as a process: its three pipes, its environment, and why it could not be started.
 */
#ifndef INIT_COMMAND_H
#define INIT_COMMAND_H

#include "init/builtins.h"
#include "init/spec.h"

#include <sys/types.h>

struct command {
	pid_t pid;   /* leads a session of its own */
	int in;	     /* our end of its standard input, or -1 */
	int outs[2]; /* of standard output and standard error; non-blocking like `in` */
};

/* Returns when the program runs, with `builtin` (or NULL) as its program. */
int command_start(struct command *c, const struct spec *spec, const struct builtin *builtin,
		  struct err *err);

#endif
