/*
 * floor START-END...: the least that KVM costs. One VM with RAM at the given addresses (half-open,
 * bytes) and one vCPU, by the fewest ioctls that reach a guest's first port write, then exit 0.
 * RAM is reserved as straddle does it: private, anonymous, without swap reservation, congruent with
 * its guest address, huge pages welcome. No interrupt controller, no CPUID, no thread, no device.
 *
 * What a VMM takes longer than this is its own; run.sh prints the ratio.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define CODE_GPA 0x1000u
#define GIB	 (UINT64_C(1) << 30)

/* Real mode: mov dx, 0x600; mov al, 0x34; out dx, al. The write of tests/guest/exit.S. */
static const uint8_t code[] = { 0xba, 0x00, 0x06, 0xb0, 0x34, 0xee };

static void need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "floor: ");
	perror(what);
	exit(EXIT_FAILURE);
}

static void add_ram(int vm, uint32_t slot, uint64_t base, uint64_t end)
{
	uint64_t size = end - base;
	uint8_t *at = mmap(NULL, size + GIB, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = base,
		.memory_size = size,
	};

	need(at != MAP_FAILED, "mmap");
	at += (base - (uintptr_t)at) & (GIB - 1);
	region.userspace_addr = (uintptr_t)at;
	madvise(at, size, MADV_HUGEPAGE);
	need(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
	if (base == 0)
		memcpy(at + CODE_GPA, code, sizeof(code));
}

int main(int argc, char *argv[])
{
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 2 };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int vm, vcpu, size;

	need(kvm >= 0, "/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	need(vm >= 0, "KVM_CREATE_VM");
	for (int i = 1; i < argc; i++) {
		uint64_t base, end;

		if (sscanf(argv[i], "%" SCNu64 "-%" SCNu64, &base, &end) != 2 || end <= base) {
			fprintf(stderr, "usage: floor START-END...\n");
			return EXIT_FAILURE;
		}
		add_ram(vm, (uint32_t)i - 1, base, end);
	}
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	need(vcpu >= 0, "KVM_CREATE_VCPU");
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	need(size > 0, "KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	need(run != MAP_FAILED, "mmap of the vCPU");
	need(ioctl(vcpu, KVM_GET_SREGS, &sregs) == 0, "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	need(ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0, "KVM_SET_SREGS");
	need(ioctl(vcpu, KVM_SET_REGS, &regs) == 0, "KVM_SET_REGS");
	need(ioctl(vcpu, KVM_RUN, 0) == 0, "KVM_RUN");
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == 0x600)
		return EXIT_SUCCESS;
	fprintf(stderr, "floor: exit reason %u\n", run->exit_reason);
	return EXIT_FAILURE;
}
