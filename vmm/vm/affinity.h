/* On which CPUs of the host vCPUs run: --cpu-affinity with a plan, checked on this host. */
#ifndef VM_AFFINITY_H
#define VM_AFFINITY_H

#include "vmm/host/cpus.h"
#include "vmm/plan/plan.h"

/*
 * Makes a list, a set for each vCPU, empty: anywhere; NULL if the options say nothing. The caller
 * frees it. Each set has been tried on the calling thread, which runs where it ran before
 * afterwards. Returns 0, or -EINVAL, -ENODEV or -ENOMEM and a sentence.
 */
int vm_affinity(struct host_cpus **list, const struct config *config, const struct plan *plan,
		struct err *err);

#endif
