#include "vmm/vm/death.h"

#define FOUND 2

bool death_tick(struct death *d, bool busy, bool dead)
{
	d->found = d->asked && !busy && dead ? d->found + 1 : 0;
	d->asked = !busy;
	return d->found == FOUND;
}
