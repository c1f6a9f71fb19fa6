/*
 * Tells when a guest can never run again, because all its CPUs are halted with interrupts off or
 * wait for a start-up IPI. The guest is looked at every DEATH_TICK_MS while it runs.
 */
#ifndef VM_DEATH_H
#define VM_DEATH_H

#include <stdbool.h>

#define DEATH_TICK_MS 250
/*
 * A vCPU that used more than this of a tick is not asked, because to ask interrupts the guest. One
 * whose CPU has died may use some: the host serves its timers on.
 */
#define DEATH_BUSY_MS 25

/* The zero value has seen nothing. */
struct death {
	bool asked;	/* the vCPUs were asked in the tick before */
	unsigned found; /* ticks in a row in which all said that they cannot run again */
};

/*
 * `busy`: a vCPU has used more than DEATH_BUSY_MS since the last tick; then none was asked. `dead`:
 * all answered to the question of the tick before that they cannot run again. They answer one after
 * the other, and one that has answered may be woken by one that has not, so it takes two ticks.
 * Returns whether the guest is dead.
 */
bool death_tick(struct death *d, bool busy, bool dead);

#endif
