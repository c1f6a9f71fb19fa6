/*
 * Guest memory: RAM and the files of --pmem, listed for KVM and devices, mapped for those that are
 * passed through.
 *
 * Made once and kept over guest resets. The list is const while the guest runs.
 */
#ifndef VM_MEMORY_H
#define VM_MEMORY_H

#include "vmm/host/ram.h"
#include "vmm/machine/virtio/kinds.h"

struct vm_memory {
	struct ram ram;
	struct ram_block blocks[PLAN_LIST_MAX + PMEM_MAX];
	struct guest_ram all; /* the blocks: all RAM and the files of --pmem */
};

#define VM_MEMORY_EMPTY           \
	{                         \
		.ram = RAM_EMPTY, \
	}

/*
 * Makes the plan's RAM and lists it with the files of `backends`, which outlive it. Returns 0 or a
 * negative errno and a sentence; vm_memory_close() is safe then, and on VM_MEMORY_EMPTY.
 */
int vm_memory_open(struct vm_memory *m, const struct plan *plan, const struct config *config,
		   const struct virtio_backends *backends, struct err *err);
/*
 * The next guest finds zeroes. RAM that devices are mapped to stays as it is, because they would go
 * on with the old pages.
 */
void vm_memory_reset(struct vm_memory *m, bool mapped);
void vm_memory_close(struct vm_memory *m);

#endif
