/*
 * The code where a BIOS is entered, at F000:FFF0: it resets the machine.
 *
 * PURE. Some kernels reset by a jump to it in real mode, when they know no other way, or believe
 * that the others are missing. Linux with EFI support, started without EFI, does so on every
 * hardware-reduced platform, reset register or not (arch/x86/kernel/reboot.c, reboot_init() and
 * native_machine_emergency_restart(); the jump is in arch/x86/realmode/rm/reboot.S), and others do
 * with reboot=b. The code lies in E820's ACPI data: a system that reuses that memory, which Linux
 * does not, overwrites it.
 */
#ifndef FIRMWARE_RESTART_H
#define FIRMWARE_RESTART_H

#include <stdint.h>

#define RESTART_SIZE 16 /* up to 1 MiB */

/* For guest memory at BIOS_ENTRY. */
void restart_code(uint8_t code[RESTART_SIZE]);

#endif
