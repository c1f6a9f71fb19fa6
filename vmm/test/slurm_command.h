/*
 * Runs one of Slurm's commands to its end and keeps what it prints.
 *
 * host/program.h is for programs that serve a guest and end with it; these have two streams that
 * are told apart, and run on a cluster's login nodes, whose kernels may lack pidfd_open(2).
 */
#ifndef TEST_SLURM_COMMAND_H
#define TEST_SLURM_COMMAND_H

#include "vmm/base/err.h"

#define SLURM_COMMAND_OUTPUT_MAX (16u << 20) /* bytes of its standard output that are kept */

/*
 * Runs argv[0], found in PATH, with no standard input, and waits for its end; after `seconds` it is
 * killed. It has a process group of its own, so that Ctrl-C at the terminal does not end it.
 *
 * Returns 0 and what it printed on its standard output, to be freed, if its status is 0; else a
 * negative errno and a sentence with the first line of its standard error: -ENOENT: there is no
 * such program; -ETIMEDOUT; -EIO: it failed. `output` may be NULL.
 */
int slurm_command_run(char *const argv[], unsigned seconds, char **output, struct err *err);

#endif
