#include "vmm/host/signals.h"

void signals_not_ignored(const int *list, size_t n, sigset_t *set)
{
	struct sigaction was;

	sigemptyset(set);
	for (size_t i = 0; i < n; i++)
		if (sigaction(list[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			sigaddset(set, list[i]);
}
