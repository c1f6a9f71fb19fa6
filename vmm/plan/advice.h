/*
 * Finds the options whose change would make a plan fit: each is tried before it is named.
 *
 * PURE. Called by plan_build() alone, with its own arguments.
 */
#ifndef PLAN_ADVICE_H
#define PLAN_ADVICE_H

#include "vmm/plan/plan.h"

/* As plan_build(), but without advice: the sentence says only what is wrong. */
int plan_resolve(struct plan *p, const struct config *c, const struct host_facts *host,
		 struct err *err);

/*
 * Appends to the sentence the options each of which, changed alone, would make the plan fit: "; use
 * --memory 440G or --pci64-window 12G".
 */
void plan_advise(const struct config *c, const struct host_facts *host, struct err *err);

#endif
