/*
 * /dev/kvm and one virtual machine: capability checks, memory slots, interrupt controllers.
 *
 * Host side. What KVM can do is asked of KVM, never of CPUID: nested and paravirtual hosts have a
 * working /dev/kvm and show neither vmx nor svm.
 */
#ifndef HOST_KVM_H
#define HOST_KVM_H

#include "vmm/base/bar.h"
#include "vmm/base/err.h"
#include "vmm/base/guest_memory.h"

#include <linux/kvm.h>

/*
 * Memory slots have numbers, in two ranges that never change: RAM has the first, device memory the
 * last, as many as there can be pieces of BARs, but a quarter of all at most. Linux since 5.12 has
 * 32764 (24573 for RAM, 8191 for BARs), Linux before it 509 (382 for RAM, 127 for BARs).
 */
#define KVM_MAPS_MAX (PCI_DEVICES_MAX * BARS * BAR_PARTS_MAX)

struct kvm {
	int fd;	      /* /dev/kvm */
	int vm;	      /* the machine, or -1 */
	int run_size; /* bytes of struct kvm_run's mapping */
	unsigned max_cpus;
	bool tsc_deadline;
	bool split;	   /* KVM has the local APICs only, with ids of 32 bits */
	unsigned max_ids;  /* vCPUs' ids, which are their APIC ids, are less */
	uint64_t mce_caps; /* what guests' IA32_MCG_CAP can have; 0: no machine checks */
	unsigned nr_slots;
	struct span *ram_slots; /* the span that each slot of RAM shows; empty: the slot is free */
	unsigned nr_ram_slots;	/* in that table */
	uint64_t mapped[(KVM_MAPS_MAX + 63) / 64]; /* which of those for device memory are in use */
	bool keeps_tables;			   /* of the other slots, when one is deleted */
	int vfio;				   /* KVM's VFIO device, or -1 */
};

#define KVM_EMPTY                              \
	{                                      \
		.fd = -1, .vm = -1, .vfio = -1 \
	}

/* Opens /dev/kvm and checks API and capabilities; makes no machine. */
int kvm_open(struct kvm *kvm, struct err *err);
/* Makes the machine, empty. */
int kvm_create_vm(struct kvm *kvm, struct err *err);
/*
 * Shows a block of guest memory, as one slot, or pieces of at most 1 TiB: for larger ones Linux
 * 5.15 cannot allocate its tables in one piece. -E2BIG: there are too many pieces. On failure no
 * piece stays.
 */
int kvm_add_ram(struct kvm *kvm, const struct ram_block *block, struct err *err);
/* Takes the block at `gpa` from the guest. */
void kvm_remove_ram(struct kvm *kvm, struct span gpa);
/* A struct kvm, between kvm_create_vm and kvm_close. */
extern const struct guest_memory_listener_ops kvm_memory_ops;
/*
 * Whether this host's KVM can have `n` vCPUs with ids up to `last`. Ids past 254 need more of KVM
 * than others. -ENOTSUP or -ERANGE and a sentence.
 */
int kvm_check_cpus(const struct kvm *kvm, unsigned n, uint32_t last, struct err *err);
/*
 * Two PICs, an I/O APIC, and a PIT with port 0x61; local APICs come with vCPUs, so call it before
 * those. With APIC ids past 254 (`last` is the largest) there are local APICs only, and kvm->split:
 * KVM's I/O APIC has eight bits of destination, and its PICs and PIT come with it. After all RAM:
 * the controllers register on KVM's I/O bus, and a memory slot that is added next waits for the
 * SRCU grace period which that leaves behind (5 ms seen on Linux 6.18).
 */
int kvm_create_irqchip(struct kvm *kvm, uint32_t last, struct err *err);
/*
 * Shows host memory that is not RAM (a device's) at guest-physical [at), page-aligned. Returns a
 * handle for kvm_unmap, or -EEXIST and the like. One thread at a time.
 */
int kvm_map(struct kvm *kvm, struct span at, void *hva, struct err *err);
/* A negative errno: KVM still has it, and the memory must stay mapped. */
int kvm_unmap(struct kvm *kvm, int handle);
/*
 * Tells KVM of a VFIO group or device (KVM_DEV_VFIO_FILE): guests with such have incoherent DMA
 * handled, and interrupts posted.
 */
int kvm_add_vfio(struct kvm *kvm, int file, struct err *err);
/* KVM lets go of it: before that, closing the descriptor gives nothing back to the host. */
void kvm_remove_vfio(struct kvm *kvm, int file);
/*
 * Writes of the guest to the address `at`, of any size, signal the eventfd `fd` and do not exit
 * (KVM_IOEVENTFD). -EEXIST, -ENOSPC and the like.
 */
int kvm_doorbell(const struct kvm *kvm, uint64_t at, int fd, struct err *err);
void kvm_undoorbell(const struct kvm *kvm, uint64_t at, int fd);
/* Sets the level of a pin of KVM's I/O APIC. */
void kvm_irq_line(const struct kvm *kvm, unsigned gsi, bool level);
void kvm_close(struct kvm *kvm);

/*
 * Opens /dev/kvm for all that kvm_open() is called for later: machines after a guest reset have it,
 * whoever may open it by then. Returns the descriptor, which stays this file's, or -1: kvm_open()
 * says why.
 */
int kvm_keep_device(void);
/* Closes what that opened. */
void kvm_release_device(void);

#endif
