/*
 * The ways out of a plan that does not fit: each is tried before it is named.
 *
 * PURE. Called by plan_build() alone, with what it was called with.
 */
#ifndef PLAN_ADVICE_H
#define PLAN_ADVICE_H

#include "vmm/plan/plan.h"

/* plan_build() without advice: the sentence, if there is one, ends with what is wrong. */
int plan_resolve(struct plan *p, const struct config *c, const struct host_facts *host,
		 struct err *err);

/*
 * Appends to the sentence which options would make a plan of it, each by itself: "; use --memory
 * 440G or --pci64-window 12G". Those that would not are not named.
 */
void plan_advise(const struct config *c, const struct host_facts *host, struct err *err);

#endif
