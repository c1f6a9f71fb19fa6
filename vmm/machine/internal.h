/*
 * What the files of the machine share: machine.c has the order, boot.c the recipe of a first start,
 * cpus.c the vCPUs and their threads.
 */
#ifndef MACHINE_INTERNAL_H
#define MACHINE_INTERNAL_H

#include "vmm/machine/machine.h"

/* Ends the machine. The first call decides how; `report` is copied. Any thread. */
void machine_end(struct machine *m, enum machine_end end, unsigned value, const char *report);

/*
 * Writes into guest memory what a BIOS and a boot loader would have left there, and sets the
 * bootstrap processor to its entry. The hardware is there.
 */
int machine_boot(struct machine *m, struct err *err);

int machine_cpus_create(struct machine *m, struct err *err);
int machine_cpus_start(struct machine *m, struct err *err);
/* Safe if they never ran, and more than once. */
void machine_cpus_stop(struct machine *m);
void machine_cpus_destroy(struct machine *m);

#endif
