/*
 * The user's terminal in raw mode, and always back again: at the end, at a stop, at a crash of
 * straddle itself.
 *
 * Host side; one per process, standard input. Other users: the console only.
 */
#ifndef HOST_TERMINAL_H
#define HOST_TERMINAL_H

#include <stdbool.h>

/*
 * Whether reading from `fd` is ours to do. A terminal is not while the shell has us in the
 * background: reading it or changing its mode would stop us. What is no terminal always is.
 */
bool terminal_is_ours(int fd);

/* Raw mode, if `fd` is a terminal and ours. Returns whether it is raw now. */
bool terminal_raw(int fd);
/* Back to how it was found, if it is raw. Does not block, never stops us, and may be called by the
 * handler of a signal. */
void terminal_restore(int fd);

#endif
