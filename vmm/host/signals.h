/* Which signals this process was left by its parent. */
#ifndef HOST_SIGNALS_H
#define HOST_SIGNALS_H

#include <signal.h>
#include <stddef.h>

/*
 * Sets *set to those of the list that are not ignored. Signals that the parent made this process
 * ignore (nohup, a script's &) are to stay ignored: a signalfd would read them.
 */
void signals_not_ignored(const int *list, size_t n, sigset_t *set);

#endif
