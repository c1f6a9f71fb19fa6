/* Makes a CPUID consistent in itself: no feature without those that it needs. */
#ifndef PLAN_CPUID_RULES_H
#define PLAN_CPUID_RULES_H

#include <linux/kvm.h>

/*
 * Clears the features whose prerequisites are missing, and removes the leaves of features that are
 * not there. Returns how many of the `n` entries are left. Nothing is ever added.
 */
unsigned cpuid_apply_rules(struct kvm_cpuid_entry2 *entries, unsigned n);

#endif
