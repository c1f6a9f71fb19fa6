#include "vmm/host/supported_cpuid.h"

#include "vmm/host/thread.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static_assert(sizeof(struct kvm_cpuid_entry2) == 40, "KVM_SET_CPUID2");

#define CPUID_MAX 256

/*
 * CPUID is asked once a process: the answer is the running kernel's, and it costs some 80 CPUID
 * instructions, which trap where this host is a guest itself (0.4 ms seen, a fifth of a start).
 */
static union {
	struct kvm_cpuid2 list;
	uint8_t room[sizeof(struct kvm_cpuid2) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
} asked;
static bool is_asked;
static pthread_t asking;
static bool is_asking;

/*
 * A process must ask for the AMX state before its first vCPU, else KVM leaves it out of leaf 0Dh
 * (Documentation/arch/x86/xstate.rst). On kernels before 5.17 and CPUs without AMX the request
 * fails, which is ignored.
 */
#ifndef ARCH_REQ_XCOMP_GUEST_PERM
#define ARCH_REQ_XCOMP_GUEST_PERM 0x1025
#endif
#define XFEATURE_TILEDATA 18

static int ask_cpuid(int fd, struct err *err)
{
	(void)syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_GUEST_PERM, XFEATURE_TILEDATA);
	asked.list.nent = CPUID_MAX;
	if (ioctl(fd, KVM_GET_SUPPORTED_CPUID, &asked) < 0)
		return err_sys(err, errno, "KVM_GET_SUPPORTED_CPUID failed");
	is_asked = true;
	return 0;
}

/* Reports no errors: supported_cpuid() asks again and says why it cannot. */
static void *ask_thread(void *arg)
{
	const int *fd = arg;

	(void)ask_cpuid(*fd, NULL);
	return NULL;
}

void supported_cpuid_ask_ahead(int fd)
{
	static int device;
	pthread_attr_t attr;
	cpu_set_t cpus;

	if (fd < 0 || is_asked || is_asking || pthread_attr_init(&attr))
		return;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 1) {
		CPU_CLR((unsigned)sched_getcpu(), &cpus);
		pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	}
	device = fd;
	is_asking = thread_start(&asking, THREAD_CPUID, &attr, ask_thread, &device) == 0;
	pthread_attr_destroy(&attr);
}

void supported_cpuid_await(void)
{
	if (is_asking)
		pthread_join(asking, NULL);
	is_asking = false;
}

int supported_cpuid(const struct kvm *kvm, const struct kvm_cpuid2 **out, struct err *err)
{
	int ret;

	supported_cpuid_await();
	ret = is_asked ? 0 : ask_cpuid(kvm->fd, err);
	*out = &asked.list;
	return ret;
}
