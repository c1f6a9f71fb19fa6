/*
 * What a CPUID must have to make sense in itself.
 *
 * PURE but for its type. A host may show one feature without another that it rests upon: KVM gives
 * what the host's CPU has and takes away what it cannot virtualize, bit by bit (AVX on a host whose
 * kernel runs without XSAVE, AMX without the permission for its state). A guest that finds the one
 * uses it and dies of the other.
 */
#ifndef PLAN_CPUID_RULES_H
#define PLAN_CPUID_RULES_H

#include <linux/kvm.h>

/*
 * Clears the features whose prerequisites are missing, and removes the leaves of features that are
 * not there. Returns how many of the `n` entries are left. Nothing is ever added.
 */
unsigned cpuid_apply_rules(struct kvm_cpuid_entry2 *entries, unsigned n);

#endif
