/*
 * Helper programs that straddle starts and ends: virtiofsd, passt.
 *
 * Host side. A program has a process group of its own, so that the terminal's signals do not reach
 * it. Its standard input is empty; what it writes to standard output and standard error goes to
 * memory, from where program_tell() takes its last words.
 *
 * It ends with this process, whatever ends that (PR_SET_PDEATHSIG), and strictly speaking with the
 * thread that started it. The kernel forgets this when the program becomes another user or gains
 * capabilities (commit_creds() in kernel/cred.c), or is a set-user-ID program. A new user namespace
 * alone does not count as a gain, nor does what a thread of the program does to itself. virtiofsd
 * and qemu-storage-daemon never become another user; passt does, if root starts it. A program of
 * that kind must end when a descriptor is closed that only this process holds.
 */
#ifndef HOST_PROGRAM_H
#define HOST_PROGRAM_H

#include "vmm/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROGRAM_PATH 4096
#define PROGRAM_FDS  4

struct program_spec {
	const char *what; /* begins sentences: "--net user" */
	const char *path;
	const char *const *argv; /* ends with NULL */
	/* These are the program's 3, 4 and so on, and it has no others; they stay the caller's. */
	int fds[PROGRAM_FDS];
	unsigned nr_fds;
	/*
	 * Called in the child before exec, with this process's descriptors, or NULL. It returns 0
	 * or an errno, and calls only functions that are allowed after fork in a process of several
	 * threads (signal-safety(7)). `unready` ends the sentence if it fails.
	 */
	int (*ready)(void *to);
	void *to;
	const char *unready;
	/* What program_end() sends first; 0: SIGKILL. */
	int signal;
};

/* All zeroes: none runs. */
struct program {
	pid_t pid;
	int fd;	  /* readable when the program has ended (pidfd_open(2)) */
	int said; /* the memory with its words */
	int signal;
	const char *what; /* borrowed from the spec */
	char path[PROGRAM_PATH];
};

/*
 * Finds an executable file of this name in the folders of $PATH, and then in `folders`, which are
 * separated by colons and may be NULL.
 */
bool program_find(const char *name, const char *folders, char path[PROGRAM_PATH]);
/*
 * Starts the program, and returns once exec has succeeded or failed. -ECHILD: `ready` has failed;
 * other errors: it does not start.
 */
int program_start(struct program *p, const struct program_spec *spec, struct err *err);
/*
 * If the program has ended or ends within `ms`, writes how, and its last line, and returns true. It
 * is still to be given to program_end(). A socket of a program that ends is closed a little before.
 */
bool program_tell(const struct program *p, int ms, struct err *err);
/*
 * Ends the program and all of its process group, at once or within two seconds. Allowed on a
 * zeroed struct.
 */
void program_end(struct program *p);
/*
 * Runs a program that ends by itself within `ms`, and reads at most size - 1 bytes of what it
 * writes, terminated; "" if there are none.
 */
int program_ask(const struct program_spec *spec, int ms, char *words, size_t size, struct err *err);

#endif
