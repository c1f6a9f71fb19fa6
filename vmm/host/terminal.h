/*
 * Puts the user's terminal into raw mode, and restores it at the end, at a stop, and at a crash of
 * straddle itself.
 *
 * Host side; one per process, standard input. Only the console (backends/line.c) calls it.
 */
#ifndef HOST_TERMINAL_H
#define HOST_TERMINAL_H

#include <stdbool.h>

/*
 * Whether this process may read from `fd`. False for a terminal while the shell has this process in
 * the background, because reading the terminal or changing its mode would stop the process. True if
 * `fd` is not a terminal.
 */
bool terminal_is_ours(int fd);

/* Sets raw mode if `fd` is a terminal and terminal_is_ours(). Returns whether it is raw now. */
bool terminal_raw(int fd);
/*
 * Restores the mode in which the terminal was found, if it is raw. Does not block, never stops the
 * process, and may be called by a signal handler.
 */
void terminal_restore(int fd);

#endif
