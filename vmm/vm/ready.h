/*
 * RAM until it is ready: touched by the threads of --prefault, and mapped for devices, each piece
 * once it has been touched.
 *
 * On the caller's thread: that of the vm before the guest starts, or that of late.c while it runs.
 */
#ifndef VM_READY_H
#define VM_READY_H

#include "vmm/backends/passthrough.h"
#include "vmm/vm/memory.h"

struct ready {
	struct vm_memory *memory;	 /* perhaps with threads that touch it */
	struct passthrough *passthrough; /* prepared (passthrough_prepare()); NULL: no device */
	bool (*stops)(void *to);	 /* whether to end; asked before each piece */
	/*
	 * How many bytes of `total` are mapped for devices or, without devices or before the first
	 * are, touched.
	 */
	void (*progress)(void *to, bool mapped, uint64_t bytes, uint64_t total);
	void *to;
};

/*
 * Waits until all RAM is there and mapped. Returns 0 or -errno and a sentence, and nothing is
 * mapped then; -EINTR: stops() said so. The caller joins the devices (passthrough_join()) and
 * settles the memory (vm_memory_settle()).
 */
int ready_wait(struct ready *r, struct err *err);

#endif
