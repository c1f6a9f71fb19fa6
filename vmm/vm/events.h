/*
 * Events of a virtual machine for its owner: values with fields, and a sentence for each.
 *
 * The vm tells its owner (struct vm_user in vm.h), which prints, records or forgets them. A
 * terminal is one such subscriber.
 */
#ifndef VM_EVENTS_H
#define VM_EVENTS_H

#include "vmm/machine/machine.h"

#include <stddef.h>
#include <stdint.h>

enum vm_event_kind {
	VM_EVENT_REMARK,    /* text: a remark on the configuration */
	VM_EVENT_LINE,	    /* a pseudo-terminal was made: line, path */
	VM_EVENT_TOUCHING,  /* RAM is being touched (--prefault): bytes of total, in seconds */
	VM_EVENT_MAPPING,   /* RAM is being mapped for devices: bytes of total, in seconds */
	VM_EVENT_READY,	    /* touching and mapping ended, complete or not */
	VM_EVENT_ARRIVED,   /* text, a device, came late: bytes were mapped, in seconds */
	VM_EVENT_UNMAPPING, /* RAM is being unmapped: bytes; mapping them took `seconds` */
	VM_EVENT_RESET,	    /* the guest reset itself and is built again */
	VM_EVENT_REGISTERS, /* the reset was a triple fault: text, several lines of registers */
	VM_EVENT_UNCLAIMED, /* accesses that no device claims: count, and the first one */
	VM_EVENT_LOST, /* line, count: bytes that were dropped, because the reader was too slow */
	VM_EVENT_CUT,  /* line, path, bytes: what the file holds at most */
};

struct vm_event {
	enum vm_event_kind kind;
	const char *text; /* borrowed, as all pointers here */
	const char *line; /* "serial" or "console" */
	const char *path;
	uint64_t bytes, total, count;
	double seconds;
	bool late; /* the guest runs already (--prefault background) */
	struct machine_access access;
};

/*
 * Writes the event as one sentence without a line end, "" for VM_EVENT_READY, which has none; text
 * of several lines keeps its "\n" between them. Returns `buf`.
 */
const char *vm_event_sentence(const struct vm_event *event, char *buf, size_t size);

#endif
