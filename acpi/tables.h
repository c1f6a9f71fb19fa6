/*
 * Writes the ACPI tables of a machine.
 *
 * PURE. Called by the machine, with the guest memory at ACPI_BASE as buffer, and by tests. What
 * varies comes from the plan's folds, fixed numbers come from vmm/platform.h, and fixed hardware
 * from dsdt.asl.
 *
 * The platform is hardware-reduced (ACPI 6.3 section 4.1): power-off is one register and the power
 * button one interrupt of a generic event device, so there is no PM timer, SCI, GPE block, FACS,
 * SMI command or 8259 to emulate. Neither is there a WAET: it promises an RTC whose interrupts need
 * no acknowledgement and a PM timer that reads right the first time, and we have neither.
 */
#ifndef ACPI_TABLES_H
#define ACPI_TABLES_H

#include "vmm/plan.h"

/*
 * Writes RSDP (at buf[0], which is what the kernel is told), DSDT, FADT, MADT, MCFG, SRAT and SLIT
 * (if p->numa), SSDT and XSDT. `base_gpa` is the guest-physical address of buf[0], a multiple of
 * 16. `*len` receives the bytes needed, also on failure. Returns 0, or -ENOSPC and a sentence.
 */
int acpi_build(const struct plan *p, uint64_t base_gpa, void *buf, size_t cap, size_t *len,
	       struct err *err);

#endif
