/*
 * What a vCPU was doing when its guest ended: its registers as values, and a report as text.
 *
 * Host side. Called when the vCPU's thread has ended, because KVM would wait until KVM_RUN returns.
 */
#ifndef HOST_VCPU_STATE_H
#define HOST_VCPU_STATE_H

#include "vmm/host/vcpu.h"

#include <stdio.h>

struct vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

/* Reads the registers. -errno and a sentence. */
int vcpu_get_state(const struct vcpu *v, struct vcpu_state *state, struct err *err);

/*
 * Writes to the file what vcpu_dump() says, the segments, whether the CPU was halted and what waits
 * for it, and its last exits. What cannot be read is named in its place.
 */
void vcpu_describe(const struct vcpu *v, const struct ram *ram, FILE *to);

#endif
