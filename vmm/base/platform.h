/*
 * The numbers of the fixed platform: every port, GSI and low address that does not depend on the
 * guest's size. Part of the model, so that ACPI, boot data and machine read the same ones.
 */
#ifndef BASE_PLATFORM_H
#define BASE_PLATFORM_H

/* I/O ports */
#define PORT_I8042	0x60 /* data, and 4 above it status and command: only the reset line exists */
#define PORT_RTC	0x70   /* MC146818: index, data */
#define PORT_SERIAL	0x3f8  /* 16550A, 8 ports */
#define PORT_PVPANIC	0x505  /* QEMU's docs/specs/pvpanic */
#define PORT_PM		0x600  /* devices/pm.h, 8 ports */
#define WATCHDOG_BAR	16     /* bytes: devices/watchdog.h */
#define VIRTIO_BAR_SIZE 0x8000 /* of each virtio device: devices/virtio_pci.h */
#define PORT_PCI	0xcf8  /* configuration address and data, 8 ports */
#define PORT_RESET	0xcf9  /* reset control register */
#define RESET_NOW	0x06 /* what resets when written to it: bits 1 and 2, reset of system and CPU */

/* Global system interrupts */
#define GSI_SERIAL 4
#define GSI_RTC	   8
#define GSI_PM	   9 /* generic event device */
/* Pin p (0: INTA) of slot s of bus 0; the DSDT's _PRT says the same. */
#define GSI_PCI(s, p) (16 + ((s) + (p)) % 8)

/* Interrupt controllers (KVM's in-kernel ones) */
#define IOAPIC_BASE 0xfec00000u
#define LAPIC_BASE  0xfee00000u

/*
 * PCI configuration space: room for 256 buses of 1 MiB. The kernel is told of those that exist
 * (plan_buses): Linux probes 32 slots on each one announced, an exit apiece. Firmware, if any, ends
 * at the reset vector.
 */
#define ECAM_BASE 0xe0000000u
#define ECAM_END  0xf0000000u
#define ROM_BASE  0xff000000u

/* What KVM on Intel hosts needs in the guest's address space: KVM_SET_IDENTITY_MAP_ADDR, _TSS_ADDR
 */
#define KVM_IDENTITY_MAP 0xfeffc000u
#define KVM_TSS		 0xfeffd000u /* 3 pages */

/* The first MiB. RAM throughout; what E820 calls each part is in plan.c. */
#define LOW_RAM_END 0x9fc00u /* the end of conventional memory */
/* Video memory and ROMs of a PC. E820 has nothing usable there, so no driver does DMA to it. */
#define BIOS_AREA_BASE 0xa0000u
#define BIOS_AREA_END  0x100000u
#define ACPI_BASE      0xc0000u /* the tables */
#define ACPI_END       0x100000u
/*
 * The root pointer. Who is not told where it is (Linux before 5.0, memtest86+, FreeBSD, a kernel
 * started by another's kexec) looks at every 16 bytes of [0xe0000, 0x100000): ACPI 6.3 section
 * 5.2.5.1.
 */
#define ACPI_RSDP 0xfffc0u
/* Where a BIOS is entered in real mode, F000:FFF0. */
#define BIOS_ENTRY 0xffff0u

#endif
