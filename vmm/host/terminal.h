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
 * Whether this process may read from `fd`. False for a terminal while the shell has us in the
 * background, because reading it or changing its mode would stop us; true for whatever is no
 * terminal.
 */
bool terminal_is_ours(int fd);

/* Raw mode, if `fd` is a terminal and ours. Returns whether it is raw now. */
bool terminal_raw(int fd);
/* Back to how it was found, if it is raw. Does not block, never stops us, and may be called by the
 * handler of a signal. */
void terminal_restore(int fd);

#endif
