/*
 * CPUID as KVM can give it to a guest (KVM_GET_SUPPORTED_CPUID), asked once a process and, if
 * possible, ahead of time.
 *
 * Host side. One thread at a time.
 */
#ifndef HOST_SUPPORTED_CPUID_H
#define HOST_SUPPORTED_CPUID_H

#include "vmm/host/kvm.h"

#include <linux/kvm.h>

/*
 * Starts asking /dev/kvm, `fd`, on a thread of its own, so that planning and making the VM need not
 * wait for it. Errors are ignored, and fd may be -1, because supported_cpuid() then asks and
 * returns the error.
 */
void supported_cpuid_ask_ahead(int fd);
/* Waits until that thread has ended. Called before `fd` is closed. */
void supported_cpuid_await(void);
/* Returns KVM's answer in *out, which lives as long as the process. */
int supported_cpuid(const struct kvm *kvm, const struct kvm_cpuid2 **out, struct err *err);

#endif
