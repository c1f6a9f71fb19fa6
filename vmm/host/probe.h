/*
 * Facts of this host. Changes nothing on the host.
 *
 * Host side. host_probe() works without /dev/kvm, so that plans can be made anywhere.
 */
#ifndef HOST_PROBE_H
#define HOST_PROBE_H

#include "vmm/base/err.h"
#include "vmm/base/facts.h"

void host_probe(struct host_facts *facts);

enum host_kvm {
	HOST_KVM_FULL,	   /* runs stock kernels */
	HOST_KVM_EMULATES, /* only emulates instructions: guests made for it run, stock kernels do
			      not */
	HOST_KVM_NONE,	   /* no usable /dev/kvm; the sentence says why */
};

/*
 * Runs a guest of a few instructions to see whether this KVM executes them or only emulates. Takes
 * milliseconds, 2 seconds at most.
 */
enum host_kvm host_try_kvm(struct err *err);

#endif
