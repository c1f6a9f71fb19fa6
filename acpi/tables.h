/*
 * Writes the ACPI tables of a machine.
 *
 * PURE. Called by the machine, with the guest memory at ACPI_BASE and ACPI_RSDP as buffers, and by
 * tests. Values that differ between VMs come from the plan's folds, fixed numbers from
 * vmm/base/platform.h, fixed hardware from dsdt.asl.
 *
 * The platform is hardware-reduced (ACPI 6.3 section 4.1): power-off is one register and the power
 * button one interrupt of a generic event device, so there is no PM timer, SCI, GPE block, FACS,
 * SMI command or 8259 to emulate. There is no WAET either, because it promises an RTC whose
 * interrupts need no acknowledgement and a PM timer that is right at the first read, and the
 * platform has neither.
 */
#ifndef ACPI_TABLES_H
#define ACPI_TABLES_H

#include "vmm/plan/plan.h"

#define ACPI_RSDP_SIZE 36

/*
 * Writes DSDT, FADT, MADT, MCFG, SRAT and SLIT (if p->numa), SSDT and XSDT to the `cap` bytes at
 * `buf`, and the RSDP, which leads to them, to `rsdp`. `base_gpa` is the guest-physical address of
 * buf[0], a multiple of 16. `*len` receives the bytes of `buf` that are needed, also on failure.
 * Returns 0, or -ENOSPC and a sentence; then there is no RSDP.
 */
int acpi_build(const struct plan *p, uint64_t base_gpa, void *buf, size_t cap, size_t *len,
	       uint8_t rsdp[ACPI_RSDP_SIZE], struct err *err);

#endif
