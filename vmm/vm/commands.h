/*
 * The commands to a running machine on the socket of --control, one a line:
 *
 *	balloon SIZE	ask the guest to give back SIZE of its memory in total
 *	memory		how much it has given back, and the guest's statistics
 *	resize DISK	tell the guest that the image of disk0 (or disk1 ...) has a new size
 *	power-button	press the power button, as SIGTERM does
 *	quit		end the guest at once, without asking it
 *
 * The answer is a line of JSON: {"ok": true, ...} or {"ok": false, "error": "a sentence"}.
 */
#ifndef VM_COMMANDS_H
#define VM_COMMANDS_H

#include "vmm/machine/machine.h"
#include "vmm/vm/control.h"

/* `machine`, as control_open's `to`: a struct machine. */
void vm_command(void *machine, struct control_client *client, char *line);
/* Answers the clients that wait for the guest's statistics; NULL: the guest will send none. */
void vm_command_memory(struct control *control, struct machine *machine, const uint64_t *numbers);

#endif
