/*
 * Machine checks of the guest: a memory error of the host that the guest meets is reported to it as
 * a machine check exception, for which its kernel ends one process or gives up one page.
 *
 * Host side; KVM's part is in Documentation/virt/kvm/api.rst (KVM_X86_SET_MCE).
 */
#ifndef HOST_MACHINE_CHECK_H
#define HOST_MACHINE_CHECK_H

#include "vmm/base/err.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Sets up the error banks of the vCPU `fd`. `caps` is what KVM supports in IA32_MCG_CAP; 0: no
 * machine checks, and no error. Called before the vCPU's MSRs are set.
 */
int machine_check_setup(int fd, uint64_t caps, struct err *err);

/*
 * Queues a machine check for the page at `gpa` to a vCPU that is not in KVM_RUN; the vCPU takes it
 * when it runs next. `amd`: its CPUID is AMD's or Hygon's. KVM shuts down a guest that has machine
 * checks turned off.
 */
int machine_check_send(int fd, bool amd, uint64_t gpa, struct err *err);

#endif
