/*
 * What can be said to a running machine by --control: one command a line.
 *
 *	balloon SIZE	ask the guest to give back so much memory, in all
 *	memory		how much it has given, and its own numbers
 *	resize DISK	disk0 and so on: its image has another size now
 *	power-button	as SIGTERM does
 *	quit		ends the guest, which is not asked
 *
 * The answer is a line of JSON: {"ok": true, ...} or {"ok": false, "error": "a sentence"}.
 */
#ifndef VM_COMMANDS_H
#define VM_COMMANDS_H

#include "vmm/machine/machine.h"
#include "vmm/vm/control.h"

/* `machine`, as control_open's `to`: a struct machine. */
void vm_command(void *machine, struct control_client *client, char *line);
/* Answers the clients that wait for the guest's numbers; NULL: there will be none. */
void vm_command_memory(struct control *control, struct machine *machine, const uint64_t *numbers);

#endif
