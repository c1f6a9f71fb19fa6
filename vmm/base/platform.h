/*
 * The numbers of the fixed platform: every port, GSI and low address that does not depend on the
 * guest's size, and those device registers that ACPI tables or firmware name as well. ACPI, boot
 * data, plan and machine all read the numbers here. Plain numbers: acpi/dsdt.asl includes this.
 */
#ifndef BASE_PLATFORM_H
#define BASE_PLATFORM_H

/* I/O ports: the first of each device, and how many it has. KVM keeps some devices to itself. */
#define PORT_PIC	 0x20
#define PIC_PORTS	 2
#define PORT_PIT	 0x40
#define PIT_PORTS	 4
#define PORT_I8042	 0x60 /* data, and 4 above it status and command; only a reset line is there */
#define I8042_PORTS	 5    /* 0x61 is the PIT's, which KVM has */
#define PORT_RTC	 0x70 /* MC146818: index, data */
#define RTC_PORTS	 2
#define PORT_PIC_2	 0xa0
#define PORT_SERIAL	 0x3f8 /* 16550A */
#define SERIAL_PORTS	 8
#define PORT_CHANNEL	 0x2f8 /* 16550A: the channel of straddle test, where a PC has COM2 */
#define PORT_ELCR	 0x4d0
#define ELCR_PORTS	 2
#define PORT_PVPANIC	 0x505 /* QEMU's docs/specs/pvpanic */
#define PVPANIC_PORTS	 1
#define PORT_PM		 0x600 /* devices/pm.h */
#define PM_PORTS	 8
#define PORT_PCI	 0xcf8 /* configuration address and data */
#define PCI_PORTS	 8
#define PORT_RESET	 0xcf9 /* a byte there: reset control register */
#define DEBUG_EXIT_PORTS 4     /* the user chooses the first; byte, word and dword writes all fit */

/*
 * The owner of each range of I/O ports: OWNER(first, number, name). A port in none of them is free.
 */
#define PLATFORM_PORTS(OWNER)                                                      \
	OWNER(PORT_PIC, PIC_PORTS, "interrupt controller")                         \
	OWNER(PORT_PIT, PIT_PORTS, "timer")                                        \
	OWNER(PORT_I8042, I8042_PORTS, "keyboard controller")                      \
	OWNER(PORT_RTC, RTC_PORTS, "clock")                                        \
	OWNER(PORT_PIC_2, PIC_PORTS, "second interrupt controller")                \
	OWNER(PORT_SERIAL, SERIAL_PORTS, "serial line")                            \
	OWNER(PORT_CHANNEL, SERIAL_PORTS, "second serial line")                    \
	OWNER(PORT_ELCR, ELCR_PORTS, "interrupt controllers' edge/level register") \
	OWNER(PORT_PVPANIC, PVPANIC_PORTS, "pvpanic device")                       \
	OWNER(PORT_PM, PM_PORTS, "power management block")                         \
	OWNER(PORT_PCI, PCI_PORTS, "PCI configuration mechanism")

/* Register values that tables, firmware and the DSDT's methods use, and not drivers alone. */
#define RESET_NOW	      0x06 /* resets: bits 1 and 2, of system and CPU */
#define RTC_CENTURY	      0x32 /* CMOS register */
#define PM_SLEEP_CONTROL      0	   /* offsets from PORT_PM */
#define PM_SLEEP_STATUS	      1
#define PM_EVENTS	      4 /* 4 bytes */
#define PM_EVENTS_SIZE	      4
#define PM_EVENT_POWER_BUTTON 0x1
#define PM_SLP_TYP_S5	      5 /* the only sleep state */

/* Sizes of our own devices' BARs, in bytes. */
#define WATCHDOG_BAR_SIZE 16	 /* devices/watchdog.h */
#define VIRTIO_BAR_SIZE	  0x8000 /* of each virtio device: devices/virtio_pci.h */

/* Global system interrupts */
#define GSI_CHANNEL 3
#define GSI_SERIAL  4
#define GSI_RTC	    8
#define GSI_PM	    9 /* generic event device */
/* Pin p (0: INTA) of slot s of a root bus; the DSDT's _PRT says the same. */
#define GSI_PCI(s, p) (16 + ((s) + (p)) % 8)

/* Interrupt controllers: KVM's, or devices/ioapic.c */
#define IOAPIC_BASE 0xfec00000u
#define LAPIC_BASE  0xfee00000u

/*
 * PCI configuration space: room for 256 buses of 1 MiB. The kernel is told of the buses that exist
 * only (plan_buses), because Linux probes 32 slots on each announced bus, with an exit for each
 * slot. The firmware's ROM, if any, ends at the reset vector.
 */
#define ECAM_BASE 0xe0000000u
#define ECAM_END  0xf0000000u
#define ROM_BASE  0xff000000u

/*
 * Pages that KVM on Intel hosts needs in the guest's address space: KVM_SET_IDENTITY_MAP_ADDR,
 * KVM_SET_TSS_ADDR
 */
#define KVM_IDENTITY_MAP 0xfeffc000u
#define KVM_TSS		 0xfeffd000u /* 3 pages */

/* The first MiB, which is RAM throughout; plan.c has the E820 type of each part. */
#define LOW_RAM_END 0x9fc00u /* the end of conventional memory */
/* Video memory and ROMs of a PC. E820 has no usable RAM there, so no driver does DMA to it. */
#define BIOS_AREA_BASE 0xa0000u
#define BIOS_AREA_END  0x100000u
#define ACPI_BASE      0xc0000u /* the tables */
#define ACPI_END       0x100000u
/*
 * The root pointer. A kernel that is not told its address (Linux before 5.0, memtest86+, FreeBSD, a
 * kernel started by another's kexec) looks for it at every 16 bytes of [0xe0000, 0x100000): ACPI
 * 6.3 section 5.2.5.1.
 */
#define ACPI_RSDP 0xfffc0u
/* Where a BIOS is entered in real mode, F000:FFF0. */
#define BIOS_ENTRY 0xffff0u

#endif
