/*
 * Guest memory: RAM and the files of --pmem, and all who are told of what comes and goes: the IOMMU
 * of passed-through devices, KVM, vhost, programs of vhost-user.
 *
 * Made once and kept over guest resets, with its listeners but for KVM, which a machine brings and
 * takes along. What is in it changes while no vCPU and no queue runs; nothing does so yet between
 * the start and the end.
 */
#ifndef VM_MEMORY_H
#define VM_MEMORY_H

#include "vmm/base/guest_memory.h"
#include "vmm/host/prefault.h"
#include "vmm/host/ram.h"
#include "vmm/machine/virtio/kinds.h"

struct vm_memory {
	struct ram ram;
	struct guest_memory guest; /* all RAM and the files of --pmem */
	struct prefault *prefault; /* threads that touch RAM; NULL: none, or they have ended */
};

#define VM_MEMORY_EMPTY           \
	{                         \
		.ram = RAM_EMPTY, \
	}

/*
 * Judges whether the host has the RAM of a plan (NULL: of the options, as a plan would have it) for
 * the configuration's guest, as far as it must be there before the guest starts, and the nodes that
 * it is bound to. Returns 0 or a negative errno and a sentence.
 */
int vm_memory_judge(const struct config *config, const struct plan *plan, struct err *err);
/*
 * Makes the plan's RAM and lists it with the files of `backends`, which outlive it; back ends that
 * must be told of memory become listeners. With --prefault threads begin to touch RAM, and go on
 * after the return, on what vCPUs leave of the CPUs if the guest does not wait for them. Returns 0
 * or a negative errno and a sentence. The functions below are safe after a failure, and on
 * VM_MEMORY_EMPTY.
 */
int vm_memory_open(struct vm_memory *m, const struct plan *plan, const struct config *config,
		   const struct virtio_backends *backends, struct err *err);
/* Waits until RAM at these host addresses is there. Returns 0 at once without --prefault. */
int vm_memory_await(struct vm_memory *m, struct span at, const struct prefault_watch *watch,
		    struct err *err);
/* The threads that touch RAM end, if there are any. */
void vm_memory_settle(struct vm_memory *m);
/* The threads that touch RAM end soon, and who awaits them gets -EINTR. */
void vm_memory_stop(struct vm_memory *m);
/*
 * Clears RAM for the next guest, but RAM that shall stay (`kept`) keeps its content: that which is
 * mapped for devices, because they would go on with the old pages, and that of --prefault, because
 * the host might have no others.
 */
void vm_memory_reset(struct vm_memory *m, bool kept);
/*
 * No thread touches RAM any more. All listeners stop listening without being told, because each
 * gives all memory back at once when it is closed, which is faster than block by block. Close them
 * next, then RAM.
 */
void vm_memory_end(struct vm_memory *m);
void vm_memory_close(struct vm_memory *m);

#endif
