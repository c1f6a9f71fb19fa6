/*
 * Addresses of message-signalled interrupts, as guests write them and as KVM takes them.
 *
 * PURE. A guest that knows KVM_FEATURE_MSI_EXT_DEST_ID puts bits 8 to 14 of the destination's APIC
 * id into bits 5 to 11 of the address, which are reserved otherwise (the kernel's
 * Documentation/virt/kvm/x86/cpuid.rst). KVM with KVM_X2APIC_API_USE_32BIT_IDS takes bits 8 to 31
 * of the id from bits 40 to 63 of the address (x86_msi_msg_get_destid() in
 * arch/x86/kernel/apic/apic.c).
 */
#ifndef BASE_MSI_H
#define BASE_MSI_H

#include <stdint.h>

#define MSI_BASE	0xfee00000u
#define MSI_EXT_ID	0xfe0u /* bits 8 to 14 of the id */
#define MSI_EXT_SHIFT	35     /* from bit 5 to bit 40 */
#define MSI_REMAPPABLE	0x10u  /* the format of an IOMMU that remaps interrupts */
#define MSI_DEST_ID_MAX 0x7fffu

/*
 * The address that KVM takes for what the guest wrote. One with high bits is left alone, because
 * the guest speaks KVM's own format then, and so is one for an IOMMU, which the guest has not.
 */
static inline uint64_t msi_for_kvm(uint64_t address)
{
	uint64_t id = address & MSI_EXT_ID;

	if (address >> 32 || address & MSI_REMAPPABLE)
		return address;
	return (address & ~(uint64_t)MSI_EXT_ID) | id << MSI_EXT_SHIFT;
}

/* A message that is sent whenever an eventfd is signalled. */
struct msi_route {
	int fd;
	int handle; /* what the route is called once there is one; -1: there is none */
	uint64_t address;
	uint32_t data;
};

#endif
