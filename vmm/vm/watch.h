/*
 * Ends a guest from outside: at the limits of time, after a panic that its consoles printed, and
 * when its CPUs have stopped for good.
 */
#ifndef VM_WATCH_H
#define VM_WATCH_H

#include "vmm/vm/vm.h"

int vm_watch_open(struct vm *vm, struct err *err);
void vm_watch_close(struct vm *vm);
/* Called when a guest is about to start, the first one or one after a reset. */
void vm_watch_begin_guest(struct vm *vm);
/* The guest is stopped, and not ended by anything of this file any more. */
void vm_watch_rest(struct vm *vm);
/* Starts --stop-timeout. */
void vm_watch_power_off(struct vm *vm);
/* Whether the owner or --timeout ends the vm, asked while the loop does not run. */
bool vm_watch_wants_end(struct vm *vm);
/* Whether the guest that ended had printed anything. */
bool vm_watch_saw_output(struct vm *vm);

#endif
