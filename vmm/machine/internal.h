/*
 * What the files of the machine share: machine.c has the order, boot.c the recipe of a first start,
 * cpus.c the vCPUs and their threads.
 */
#ifndef MACHINE_INTERNAL_H
#define MACHINE_INTERNAL_H

#include "vmm/machine/machine.h"

/*
 * Ends the machine; the first call decides how, but a stop or a host error replaces a reset.
 * `report` is copied. Called on any thread.
 */
void machine_end(struct machine *m, enum machine_end end, unsigned value, const char *report);

/*
 * Writes into guest memory what a BIOS and a boot loader would have left there, and sets the
 * bootstrap processor to its entry. Called once the hardware is built.
 */
int machine_boot(struct machine *m, struct err *err);

int machine_cpus_create(struct machine *m, struct err *err);
int machine_cpus_start(struct machine *m, struct err *err);
/* Stops the vCPUs. May be called if they never ran, and more than once. */
void machine_cpus_stop(struct machine *m);
void machine_cpus_destroy(struct machine *m);

#endif
