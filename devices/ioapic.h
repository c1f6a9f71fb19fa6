/*
 * I/O APIC with 24 pins, for machines whose APIC ids do not fit into the eight bits of KVM's own.
 * Intel 82093AA data sheet; the EOI register of version 20h: ICH9 data sheet, section 13.5.
 *
 * Called by vCPUs through the bus and when they acknowledge an interrupt, and by whoever sets a
 * line. A pin becomes a message whose address has the entry's bits 48 to 63 at bits 4 to 19, as
 * the hardware makes it, so a guest may give a destination of 15 bits (vmm/base/msi.h).
 */
#ifndef DEVICES_IOAPIC_H
#define DEVICES_IOAPIC_H

#include "devices/device.h"

#define IOAPIC_PINS 24
#define IOAPIC_SIZE 0x1000 /* bytes of memory that it takes */

/*
 * Callbacks, with the device's lock held. None may call back into the device.
 */
struct ioapic_out {
	void (*send)(void *to, uint64_t address, uint32_t data);
	/*
	 * The message of a level-triggered pin from now on, whether masked or not: when a CPU
	 * acknowledges it, ioapic_eoi() is to be called. `wanted` false: no longer.
	 */
	void (*watch)(void *to, unsigned pin, bool wanted, uint64_t address, uint32_t data);
	/*
	 * The interrupt of a pin was acknowledged. Returns whether that lowers the pin, which then
	 * rises by the next ioapic_set().
	 */
	bool (*acknowledged)(void *to, unsigned pin);
	void *to;
};

struct ioapic_state {
	uint8_t index;		    /* of the register that the window shows */
	uint8_t id;		    /* 4 bits, which mean nothing since the Pentium 4 */
	uint32_t lines;		    /* the level of each pin */
	uint64_t pins[IOAPIC_PINS]; /* redirection table */
};

struct ioapic {
	struct device dev;
	struct ioapic_out out;
	struct ioapic_state state;
};

void ioapic_init(struct ioapic *a, struct ioapic_out out);
/* Sets the level of a pin; pins that do not exist are ignored. */
void ioapic_set(struct ioapic *a, unsigned pin, bool level);
/* A CPU acknowledged the level-triggered interrupt with this vector. */
void ioapic_eoi(struct ioapic *a, uint8_t vector);

#endif
