/*
 * Commands that init has itself, for guests without a root: words that begin with '@'.
 *
 *   @bytes N       writes N pseudo-random bytes: see builtin_random()
 *   @cat           copies standard input to standard output
 *   @exit          ends process 1, which panics the kernel
 *   @facts         writes what the kernel knows of its machine, as JSON
 *   @halt          halts all CPUs, interrupts off
 *   @hang          spins for ever
 *   @idle SECONDS  sleeps
 *   @memory[=all]  writes and verifies memory: init/memory.h
 *   @oom           takes memory until the kernel kills it
 *   @panic         crashes the kernel by SysRq
 *   @poweroff      powers off, and gives no status
 *   @reboot        resets the machine
 *   @status N      ends with status N
 *   @warn          has the kernel print a warning, by its driver lkdtm
 */
#ifndef INIT_BUILTINS_H
#define INIT_BUILTINS_H

#include "init/spec.h"

#include <stdbool.h>

struct builtin {
	const char *word;
	const char *operand; /* that it takes: "SECONDS", a whole number; or NULL */
	/*
	 * Ends the guest. Such a one runs in init, after all that was said has been sent; it
	 * returns -errno if the guest goes on. The others are processes and return their status.
	 */
	bool ends;
	int (*run)(char **args);
	/* What it needs of this kernel, or NULL: nothing. */
	int (*ready)(struct err *err);
};

/*
 * Finds the built-in that is spec's command and checks its operands. *found is NULL if the command
 * is a program.
 */
int builtin_find(const struct spec *spec, const struct builtin **found, struct err *err);

/*
 * The bytes of @bytes: the upper 8 bits of x(1), x(2), ... with x(0) = 0 and x(n + 1) = x(n) *
 * 6364136223846793005 + 1442695040888963407 modulo 2^64 (Knuth's MMIX).
 */
static inline uint8_t builtin_random(uint64_t *x)
{
	*x = *x * 6364136223846793005u + 1442695040888963407u;
	return (uint8_t)(*x >> 56);
}

#endif
