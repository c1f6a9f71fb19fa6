/*
 * The fixed hardware. Compiled at build time and copied into guest memory by tables.c as it is.
 *
 * What differs from VM to VM is in the SSDT that tables.c writes: two resource templates, WIND and
 * RSVD below, because their number of entries varies, and the host bridges of NUMA nodes other
 * than 0 that have devices, which call PCI0's _OSC and _PRT. Everything else that has a number is in
 * vmm/base/platform.h, which this file shares with C: the C preprocessor runs before iasl.
 *
 * Hardware-reduced ACPI has no 8259: interrupts are named by extended Interrupt descriptors, which
 * carry trigger and polarity, never by IRQ descriptors (ACPI 6.3 section 4.1).
 */
#include "vmm/base/platform.h"

/* Revision 2: integers have 64 bits. */
DefinitionBlock ("", "DSDT", 2, "STRADL", "STRADDLE", 1)
{
	/* SLP_TYP of the sleep control register (section 4.8.3.7). */
	Name (\_S5, Package () { PM_SLP_TYP_S5, 0, 0, 0 })

	Scope (\_SB)
	{
		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, PORT_SERIAL, PORT_SERIAL, 1, SERIAL_PORTS)
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive)
					{ GSI_SERIAL }
			})
		}

		/*
		 * The channel of straddle test. Other guests have nothing at its ports, where
		 * reads give ones; a 16550A's line status register never has bit 7 set while its
		 * FIFO is empty and holds no error.
		 */
		Device (COM2)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			OperationRegion (LINE, SystemIO, PORT_CHANNEL + 5, 1)
			Field (LINE, ByteAcc, NoLock, Preserve) { LSR, 8 }
			Method (_STA, 0, Serialized) {
				If (LSR == 0xff) {
					Return (0)
				}
				Return (0xf)
			}
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, PORT_CHANNEL, PORT_CHANNEL, 1, SERIAL_PORTS)
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive)
					{ GSI_CHANNEL }
			})
		}

		Device (RTC)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, PORT_RTC, PORT_RTC, 1, RTC_PORTS)
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive)
					{ GSI_RTC }
			})
		}

		/* pvpanic: how the guest's kernel says that it has panicked. */
		Device (PEVT)
		{
			Name (_HID, "QEMU0001")
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, PORT_PVPANIC, PORT_PVPANIC, 1, PVPANIC_PORTS)
			})
		}

		/* The only event is the button, hence a control method button. */
		Device (PWRB)
		{
			Name (_HID, EisaId ("PNP0C0C"))
		}

		/* Generic event device (section 5.6.9). Reading EVTS clears it. */
		Device (GED)
		{
			Name (_HID, "ACPI0013")
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate () {
				Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive)
					{ GSI_PM }
			})
			OperationRegion (EREG, SystemIO, PORT_PM + PM_EVENTS, PM_EVENTS_SIZE)
			Field (EREG, DWordAcc, NoLock, Preserve) { EVTS, 32 }

			Method (_EVT, 1, Serialized)
			{
				Local0 = EVTS
				If (Local0 & PM_EVENT_POWER_BUTTON)
				{
					Notify (\_SB.PWRB, 0x80)
				}
			}
		}

		/*
		 * Addresses that nothing may be placed on: the power management ports, the PCI
		 * configuration space (PCI Firmware Specification 3.3 section 4.1.2 wants it here)
		 * and every range that the host cannot translate. E820 has them too, but does not
		 * keep Linux from placing BARs there.
		 */
		Device (MRES)
		{
			External (RSVD, BuffObj)
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 0)
			Name (PORT, ResourceTemplate () {
				IO (Decode16, PORT_PM, PORT_PM, 1, PM_PORTS)
			})
			Method (_CRS, 0, NotSerialized)
			{
				Return (ConcatenateResTemplate (PORT, RSVD))
			}
		}

		Device (PCI0)
		{
			External (WIND, BuffObj)	/* buses and memory windows */
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_SEG, 0)
			Name (_BBN, 0)
			Name (_PXM, 0)	/* some node; without one Linux warns on NUMA machines */
			Name (PORT, ResourceTemplate () {
				IO (Decode16, PORT_PCI, PORT_PCI, 1, PCI_PORTS)
				/* Up to PORT_PCI and from behind it: iasl takes no sums here. */
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					EntireRange, 0, 0x0000, 0x0cf7, 0, 0x0cf8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					EntireRange, 0, 0x0d00, 0xffff, 0, 0xf300)
			})
			Method (_CRS, 0, NotSerialized)
			{
				Return (ConcatenateResTemplate (PORT, WIND))
			}

			/*
			 * No firmware runs behind the guest's back, so the guest is given every
			 * feature that it asks for and that PCI Firmware Specification 3.3 section
			 * 4.5.1 defines: hotplug, SHPC, PME, AER, capability structure, LTR, DPC.
			 */
			Method (_OSC, 4, Serialized)
			{
				CreateDWordField (Arg3, 0, STAT)
				If (Arg0 != ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766"))
				{
					STAT |= 0x04	/* unrecognized UUID */
					Return (Arg3)
				}
				If (Arg1 != 1)
				{
					STAT |= 0x08	/* unrecognized revision */
					Return (Arg3)
				}
				CreateDWordField (Arg3, 8, CTRL)
				Local0 = CTRL & 0xbf
				If (Local0 != CTRL)
				{
					STAT |= 0x10	/* capabilities masked */
					CTRL = Local0
				}
				Return (Arg3)
			}
		}
	}

	/* Pin p (0: INTA) of slot s, of all its functions. Behind a root port, the guest finds the port's pin by itself. */
#define PIN(s, p) Package () { ((s) << 16) | 0xffff, p, 0, GSI_PCI (s, p) }
#define SLOT(s)	  PIN (s, 0), PIN (s, 1), PIN (s, 2), PIN (s, 3)
	Name (\_SB.PCI0._PRT, Package () {
		SLOT (0), SLOT (1), SLOT (2), SLOT (3),
		SLOT (4), SLOT (5), SLOT (6), SLOT (7),
		SLOT (8), SLOT (9), SLOT (10), SLOT (11),
		SLOT (12), SLOT (13), SLOT (14), SLOT (15),
		SLOT (16), SLOT (17), SLOT (18), SLOT (19),
		SLOT (20), SLOT (21), SLOT (22), SLOT (23),
		SLOT (24), SLOT (25), SLOT (26), SLOT (27),
		SLOT (28), SLOT (29), SLOT (30), SLOT (31)
	})
}
