/*
 * The commands on the socket of --control, one a line. To a running guest:
 *
 *	balloon SIZE	ask the guest to give back SIZE of its memory in total
 *	memory		how much it has given back, and the guest's statistics
 *	resize DISK	tell the guest that the image of disk0 (or disk1 ...) has a new size
 *	power-button	press the power button, as SIGTERM does
 *	quit		end the guest at once, without asking it
 *
 * To one that is stopped and kept (straddle test --keep):
 *
 *	registers CPU	what the CPU of that number, from 0 on, was doing
 *	core FILE	write its memory and registers to a new file, an ELF core
 *	quit		end straddle
 *
 * The answer is a line of JSON: {"ok": true, ...} or {"ok": false, "error": "a sentence"}.
 */
#ifndef VM_COMMANDS_H
#define VM_COMMANDS_H

#include "vmm/vm/vm.h"

/* `to`, as control_open's: a struct vm. */
void vm_command(void *to, struct control_client *client, char *line);
/* Answers the clients that wait for the guest's statistics; NULL: the guest will send none. */
void vm_command_memory(struct control *control, struct machine *machine, const uint64_t *numbers);

#endif
