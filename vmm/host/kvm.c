#include "vmm/host/kvm.h"

#include "vmm/base/apic_id.h"
#include "vmm/base/msi.h"
#include "vmm/base/platform.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Kernel ABI that this file relies on (Documentation/virt/kvm/api.rst). */
static_assert(KVM_API_VERSION == 12, "the stable KVM API");
static_assert(sizeof(struct kvm_userspace_memory_region) == 32, "KVM_SET_USER_MEMORY_REGION");

#define SLOT_MAX TIB

static const struct {
	int cap;
	const char *name;
} needed[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR" },
	{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
	{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

static int open_failed(int code, struct err *err)
{
	switch (code) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return err_set(
			err, code,
			"/dev/kvm does not exist: load kvm_amd or kvm_intel, and enable "
			"virtualization (SVM, VT-x) in the firmware or the outer hypervisor");
	case EACCES:
	case EPERM:
		return err_set(err, code,
			       "/dev/kvm may not be opened by this user: join the group kvm "
			       "(sudo usermod -aG kvm $USER, then log in again)");
	default:
		return err_sys(err, code, "cannot open /dev/kvm");
	}
}

/*
 * Opened by kvm_keep_device() and kept, so that a machine after a guest reset has the device even
 * if this user may no longer open it.
 */
static int kept = -1;

static int kvm_open_device(void)
{
	return kept >= 0 ? fcntl(kept, F_DUPFD_CLOEXEC, 0) : open("/dev/kvm", O_RDWR | O_CLOEXEC);
}

int kvm_keep_device(void)
{
	if (kept < 0)
		kept = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	return kept;
}

void kvm_release_device(void)
{
	if (kept >= 0)
		close(kept);
	kept = -1;
}

static int kvm_has(const struct kvm *kvm, int cap)
{
	return ioctl(kvm->fd, KVM_CHECK_EXTENSION, (unsigned long)cap);
}

int kvm_open(struct kvm *kvm, struct err *err)
{
	int ret, version;

	*kvm = (struct kvm)KVM_EMPTY;
	kvm->fd = kvm_open_device();
	if (kvm->fd < 0)
		return open_failed(errno, err);
	version = ioctl(kvm->fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		ret = err_set(err, ENOTSUP, "/dev/kvm speaks API version %d, not 12", version);
		goto fail;
	}
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (kvm_has(kvm, needed[i].cap) <= 0) {
			ret = err_set(err, ENOTSUP,
				      "this host's KVM lacks %s: use Linux 5.4 or later",
				      needed[i].name);
			goto fail;
		}
	}
	kvm->run_size = ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (kvm->run_size < (int)sizeof(struct kvm_run)) {
		ret = err_set(err, ENOTSUP, "KVM_GET_VCPU_MMAP_SIZE gave %d", kvm->run_size);
		goto fail;
	}
	ret = kvm_has(kvm, KVM_CAP_MAX_VCPUS);
	kvm->max_cpus = ret > 0 ? (unsigned)ret : 4; /* api.rst: 4 if it is not said */
	ret = kvm_has(kvm, KVM_CAP_MAX_VCPU_ID);
	kvm->max_ids = ret > 0 ? (unsigned)ret : kvm->max_cpus; /* api.rst, as above */
	ret = kvm_has(kvm, KVM_CAP_NR_MEMSLOTS);
	kvm->nr_slots = ret > 0 ? (unsigned)ret : 32; /* what every KVM has had */
	kvm->tsc_deadline = kvm_has(kvm, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	if (ioctl(kvm->fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &kvm->mce_caps) < 0)
		kvm->mce_caps = 0;
	return 0;
fail:
	kvm_close(kvm);
	return ret;
}

int kvm_create_vm(struct kvm *kvm, struct err *err)
{
	uint64_t identity = KVM_IDENTITY_MAP;

	do
		kvm->vm = ioctl(kvm->fd, KVM_CREATE_VM, 0);
	while (kvm->vm < 0 && errno == EINTR);
	if (kvm->vm < 0)
		return err_sys(err, errno, "KVM_CREATE_VM failed");
	if (ioctl(kvm->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return err_sys(err, errno, "KVM_SET_IDENTITY_MAP_ADDR failed");
	if (ioctl(kvm->vm, KVM_SET_TSS_ADDR, (unsigned long)KVM_TSS) < 0)
		return err_sys(err, errno, "KVM_SET_TSS_ADDR failed");
	return 0;
}

#define X2APIC_API (KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)

/*
 * Without 32-bit ids an interrupt for CPU 300 would reach CPU 44. With the broadcast quirk, one for
 * CPU 255 would reach all.
 */
static int x2apic_api(const struct kvm *kvm)
{
	struct kvm_enable_cap x2apic = { .cap = KVM_CAP_X2APIC_API, .args = { X2APIC_API } };

	return ioctl(kvm->vm, KVM_ENABLE_CAP, &x2apic);
}

int kvm_check_cpus(const struct kvm *kvm, unsigned n, uint32_t last, struct err *err)
{
	int api;

	if (n > kvm->max_cpus)
		return err_set(err, ERANGE, "--cpus %u: this host's KVM allows at most %u", n,
			       kvm->max_cpus);
	if (last >= kvm->max_ids)
		return err_set(err, ERANGE,
			       "the last CPU has APIC ID %u, but this host's KVM allows IDs up to "
			       "%u; use fewer --cpus, or numbers of cores and threads that are "
			       "powers of two, which leave no gaps between IDs",
			       last, kvm->max_ids - 1);
	if (last <= APIC_ID_MAX)
		return 0;
	if (last > MSI_DEST_ID_MAX)
		return err_set(
			err, ERANGE,
			"the last CPU has APIC ID %u, but interrupts reach IDs up to %u; use "
			"fewer --cpus",
			last, MSI_DEST_ID_MAX);
	api = kvm_has(kvm, KVM_CAP_X2APIC_API);
	if (api < 0 || (api & X2APIC_API) != X2APIC_API || kvm_has(kvm, KVM_CAP_SPLIT_IRQCHIP) <= 0)
		return err_set(
			err, ENOTSUP,
			"the last CPU has APIC ID %u, and for IDs past %u this host's KVM "
			"lacks KVM_CAP_X2APIC_API or KVM_CAP_SPLIT_IRQCHIP; use Linux 5.4 or "
			"later, or fewer --cpus",
			last, APIC_ID_MAX);
	return 0;
}

static int create_split_irqchip(struct kvm *kvm, struct err *err)
{
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { KVM_IOAPIC_NUM_PINS }, /* the GSIs whose acknowledgement exits */
	};

	if (ioctl(kvm->vm, KVM_ENABLE_CAP, &split) < 0)
		return err_sys(err, errno, "KVM_CAP_SPLIT_IRQCHIP failed");
	if (x2apic_api(kvm) < 0)
		return err_sys(err, errno, "KVM_CAP_X2APIC_API failed");
	kvm->split = true;
	return 0;
}

int kvm_create_irqchip(struct kvm *kvm, uint32_t last, struct err *err)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	/* KVM's default is to deliver late ticks again, which keeps AMD's AVIC off (i8254.c). */
	struct kvm_reinject_control ticks = { .pit_reinject = 0 };

	if (last > APIC_ID_MAX)
		return create_split_irqchip(kvm, err);
	if (ioctl(kvm->vm, KVM_CREATE_IRQCHIP, 0) < 0)
		return err_sys(err, errno, "KVM_CREATE_IRQCHIP failed");
	if (ioctl(kvm->vm, KVM_CREATE_PIT2, &pit) < 0)
		return err_sys(err, errno, "KVM_CREATE_PIT2 failed");
	(void)ioctl(kvm->vm, KVM_REINJECT_CONTROL, &ticks);
	(void)x2apic_api(kvm); /* these ids do without */
	return 0;
}

/* --- memory slots --- */

static unsigned kvm_most_maps(const struct kvm *kvm)
{
	return (unsigned)min_u64(KVM_MAPS_MAX, kvm->nr_slots / 4);
}

/* The first slot for device memory; RAM has those below it. */
static unsigned first_map(const struct kvm *kvm)
{
	return kvm->nr_slots - kvm_most_maps(kvm);
}

/* An empty span deletes the slot. */
static int set_slot(const struct kvm *kvm, unsigned i, struct span at, void *hva)
{
	struct kvm_userspace_memory_region slot = {
		.slot = i,
		.guest_phys_addr = at.base,
		.memory_size = span_size(at),
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(kvm->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ? -errno : 0;
}

/*
 * Without this KVM drops all of the guest's page tables when any slot is deleted (Linux since 6.12
 * can be told not to), so that a BAR that moves would cost a guest of a terabyte 500,000 page
 * faults.
 */
#ifndef KVM_X86_QUIRK_SLOT_ZAP_ALL
#define KVM_X86_QUIRK_SLOT_ZAP_ALL (1 << 7)
#endif
#ifndef KVM_CAP_DISABLE_QUIRKS2
#define KVM_CAP_DISABLE_QUIRKS2 213
#endif

static void keep_page_tables(struct kvm *kvm)
{
	struct kvm_enable_cap quirks = {
		.cap = KVM_CAP_DISABLE_QUIRKS2,
		.args = { KVM_X86_QUIRK_SLOT_ZAP_ALL },
	};
	int known = kvm_has(kvm, KVM_CAP_DISABLE_QUIRKS2);

	if (known > 0 && known & KVM_X86_QUIRK_SLOT_ZAP_ALL)
		(void)ioctl(kvm->vm, KVM_ENABLE_CAP, &quirks); /* a matter of speed */
	kvm->keeps_tables = true;
}

/* --- RAM --- */

#define SLOTS_MORE 16u /* entries by which the table of RAM grows */

/* Finds the first free slot of RAM. -E2BIG: none is free. */
static int free_ram_slot(struct kvm *kvm, struct err *err)
{
	unsigned i = 0, n;
	struct span *slots;

	while (i < kvm->nr_ram_slots && !span_empty(kvm->ram_slots[i]))
		i++;
	if (i < kvm->nr_ram_slots)
		return (int)i;
	n = (unsigned)min_u64(i + SLOTS_MORE, first_map(kvm));
	if (i == n)
		return err_set(err, E2BIG,
			       "guest RAM is in more than %u pieces, of which this host's KVM has "
			       "no more: reserve fewer ranges",
			       n);
	slots = calloc(n, sizeof(slots[0]));
	if (!slots)
		return err_sys(err, ENOMEM, "out of memory for %u memory slots", n);
	if (i)
		memcpy(slots, kvm->ram_slots, i * sizeof(slots[0]));
	free(kvm->ram_slots);
	kvm->ram_slots = slots;
	kvm->nr_ram_slots = n;
	return (int)i;
}

static int add_piece(struct kvm *kvm, struct span at, void *hva, struct err *err)
{
	int slot = free_ram_slot(kvm, err), ret;

	if (slot < 0)
		return slot;
	ret = set_slot(kvm, (unsigned)slot, at, hva);
	if (ret < 0)
		return err_sys(err, -ret,
			       "KVM refuses %" PRIu64 " MiB of RAM at %#" PRIx64
			       " (its own tables for it did not fit, or the CPU cannot map that "
			       "address)",
			       span_size(at) / MIB, at.base);
	kvm->ram_slots[slot] = at;
	return 0;
}

int kvm_add_ram(struct kvm *kvm, const struct ram_block *block, struct err *err)
{
	uint64_t base = block->gpa.base;
	int ret = 0;

	while (ret == 0 && base < block->gpa.end) {
		uint64_t size = min_u64(block->gpa.end - base, SLOT_MAX);

		ret = add_piece(kvm, (struct span){ base, base + size },
				block->hva + (base - block->gpa.base), err);
		base += size;
	}
	if (ret < 0)
		kvm_remove_ram(kvm, block->gpa);
	return ret;
}

/* A piece that KVM does not let go of keeps its slot. */
void kvm_remove_ram(struct kvm *kvm, struct span gpa)
{
	if (!kvm->keeps_tables)
		keep_page_tables(kvm);
	for (unsigned i = 0; i < kvm->nr_ram_slots; i++)
		if (span_overlaps(kvm->ram_slots[i], gpa) &&
		    set_slot(kvm, i, (struct span){ 0, 0 }, NULL) == 0)
			kvm->ram_slots[i] = (struct span){ 0, 0 };
}

static int kvm_memory_add(void *to, const struct guest_ram *all, const struct ram_block *block,
			  struct err *err)
{
	(void)all;
	return kvm_add_ram(to, block, err);
}

static void kvm_memory_remove(void *to, const struct guest_ram *all, const struct ram_block *block)
{
	(void)all;
	kvm_remove_ram(to, block->gpa);
}

const struct guest_memory_listener_ops kvm_memory_ops = {
	.rank = GUEST_MEMORY_KVM,
	.add = kvm_memory_add,
	.remove = kvm_memory_remove,
};

/* --- device memory --- */

int kvm_map(struct kvm *kvm, struct span at, void *hva, struct err *err)
{
	unsigned most = kvm_most_maps(kvm);

	if (!kvm->keeps_tables)
		keep_page_tables(kvm);
	for (unsigned i = 0; i < most; i++) {
		uint64_t bit = UINT64_C(1) << i % 64;
		int ret;

		if (kvm->mapped[i / 64] & bit)
			continue;
		ret = set_slot(kvm, first_map(kvm) + i, at, hva);
		if (ret < 0)
			return err_sys(err, -ret,
				       "KVM refuses device memory at [%#" PRIx64 ", %#" PRIx64 ")",
				       at.base, at.end);
		kvm->mapped[i / 64] |= bit;
		return (int)i;
	}
	return err_set(err, ENOSPC, "KVM's %u slots for device memory are all in use", most);
}

int kvm_unmap(struct kvm *kvm, int handle)
{
	unsigned i = (unsigned)handle;
	int ret = set_slot(kvm, first_map(kvm) + i, (struct span){ 0, 0 }, NULL);

	if (ret == 0)
		kvm->mapped[i / 64] &= ~(UINT64_C(1) << i % 64);
	return ret;
}

/* --- what devices ask for --- */

/* Documentation/virt/kvm/devices/vfio.rst; KVM_DEV_VFIO_FILE is KVM_DEV_VFIO_GROUP's new name. */
int kvm_add_vfio(struct kvm *kvm, int file, struct err *err)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };
	int32_t fd = file;
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_GROUP,
		.attr = KVM_DEV_VFIO_GROUP_ADD,
		.addr = (uintptr_t)&fd,
	};

	if (kvm->vfio < 0) {
		if (ioctl(kvm->vm, KVM_CREATE_DEVICE, &device) < 0)
			return err_sys(err, errno,
				       "KVM has no VFIO device: load the module kvm "
				       "with VFIO support");
		kvm->vfio = (int)device.fd;
	}
	if (ioctl(kvm->vfio, KVM_SET_DEVICE_ATTR, &attr) < 0 && errno != EEXIST)
		return err_sys(
			err, errno,
			"KVM_DEV_VFIO_FILE_ADD failed for a passed-through device or its group");
	return 0;
}

void kvm_remove_vfio(struct kvm *kvm, int file)
{
	int32_t fd = file;
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_GROUP,
		.attr = KVM_DEV_VFIO_GROUP_DEL,
		.addr = (uintptr_t)&fd,
	};

	if (kvm->vfio >= 0)
		(void)ioctl(kvm->vfio, KVM_SET_DEVICE_ATTR,
			    &attr); /* ENOENT: a group's, not this */
}

int kvm_doorbell(const struct kvm *kvm, uint64_t at, int fd, struct err *err)
{
	struct kvm_ioeventfd bell = { .addr = at, .fd = fd };

	if (ioctl(kvm->vm, KVM_IOEVENTFD, &bell) < 0)
		return err_sys(err, errno, "KVM takes no doorbell at %#" PRIx64, at);
	return 0;
}

void kvm_undoorbell(const struct kvm *kvm, uint64_t at, int fd)
{
	struct kvm_ioeventfd bell = {
		.addr = at,
		.fd = fd,
		.flags = KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	(void)ioctl(kvm->vm, KVM_IOEVENTFD, &bell);
}

void kvm_irq_line(const struct kvm *kvm, unsigned gsi, bool level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	/* Fails only for a GSI without a route; ours are the I/O APIC's. */
	(void)ioctl(kvm->vm, KVM_IRQ_LINE, &line);
}

void kvm_close(struct kvm *kvm)
{
	if (kvm->vfio >= 0)
		close(kvm->vfio);
	if (kvm->vm >= 0)
		close(kvm->vm);
	if (kvm->fd >= 0)
		close(kvm->fd);
	free(kvm->ram_slots);
	*kvm = (struct kvm)KVM_EMPTY;
}
