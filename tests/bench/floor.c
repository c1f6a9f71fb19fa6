/*
 * floor [--irqchip] START-END...: the least that KVM costs. One VM with RAM at the given addresses
 * (half-open, bytes) and one vCPU, by the fewest ioctls that reach a guest's first port write; then
 * it prints a byte, as straddle's serial port does for the same guest, and exits 0. RAM is reserved
 * as straddle does it: private, anonymous, without swap reservation, congruent with its guest
 * address, huge pages welcome. No interrupt controller, no CPUID, no thread, no device.
 *
 * --irqchip adds KVM's interrupt controllers, which every real guest needs: their price at the end
 * of a short-lived VM is KVM's, too.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CODE_GPA 0x1000u
#define GIB	 (UINT64_C(1) << 30)

/* Real mode: mov dx, PORT; mov al, 10; out dx, al. The first write of tests/guest/exit.S. */
#define PORT 0x3f8
static const uint8_t code[] = { 0xba, PORT & 0xff, PORT >> 8, 0xb0, 10, 0xee };

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
	bool irqchip = argc > 1 && !strcmp(argv[1], "--irqchip");
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int vm, vcpu, size;

	need(kvm >= 0, "/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	need(vm >= 0, "KVM_CREATE_VM");
	if (irqchip)
		argc--, argv++;
	for (int i = 1; i < argc; i++) {
		uint64_t base, end;

		if (sscanf(argv[i], "%" SCNu64 "-%" SCNu64, &base, &end) != 2 || end <= base) {
			fprintf(stderr, "usage: floor [--irqchip] START-END...\n");
			return EXIT_FAILURE;
		}
		add_ram(vm, (uint32_t)i - 1, base, end);
	}
	need(!irqchip || ioctl(vm, KVM_CREATE_IRQCHIP, 0) == 0, "KVM_CREATE_IRQCHIP");
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
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != PORT) {
		fprintf(stderr, "floor: exit reason %u\n", run->exit_reason);
		return EXIT_FAILURE;
	}
	need(write(STDOUT_FILENO, (uint8_t *)run + run->io.data_offset, 1) == 1, "write");
	return EXIT_SUCCESS;
}
