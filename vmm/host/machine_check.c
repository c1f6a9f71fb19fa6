#include "vmm/host/machine_check.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#define BIT(n) (UINT64_C(1) << (n))

/* Intel SDM volume 3, sections 16.3.1 and 16.3.2; AMD APM volume 2, section 9.3.2 */
#define MCG_CTL_P BIT(8)
#define MCG_SER_P BIT(24) /* errors that software recovers from */

#define MCG_STATUS_RIPV	 BIT(0) /* execution can restart at the saved RIP */
#define MCG_STATUS_EIPV	 BIT(1) /* the instruction at that RIP met the error */
#define MCG_STATUS_MCIP	 BIT(2)
#define MCG_STATUS_LMCES BIT(3) /* the machine check is not broadcast to other CPUs */

#define STATUS_VAL    BIT(63)
#define STATUS_UC     BIT(61)
#define STATUS_EN     BIT(60)
#define STATUS_MISCV  BIT(59)
#define STATUS_ADDRV  BIT(58)
#define STATUS_S      BIT(56) /* Intel: signalled by an exception */
#define STATUS_AR     BIT(55) /* Intel: action required */
#define STATUS_POISON BIT(43) /* AMD */
#define CODE_DATA     0x134   /* Intel: a load of data (section 16.9.2) */

#define MISC_PHYSICAL_PAGE (2 << 6 | 12) /* address mode 2; the lowest bit of it that counts */

#define BANKS 10
#define BANK  9 /* a bank for which Linux has no quirk on any model (arch/x86/kernel/cpu/mce) */

int machine_check_setup(int fd, uint64_t caps, struct err *err)
{
	uint64_t cap = (caps & (MCG_CTL_P | MCG_SER_P)) | BANKS;

	if (caps && ioctl(fd, KVM_X86_SETUP_MCE, &cap) < 0)
		return err_sys(err, errno, "KVM_X86_SETUP_MCE failed");
	return 0;
}

int machine_check_send(int fd, bool amd, uint64_t gpa, struct err *err)
{
	struct kvm_x86_mce mce = {
		.status = STATUS_VAL | STATUS_UC | STATUS_EN | STATUS_MISCV | STATUS_ADDRV,
		.addr = gpa,
		.misc = MISC_PHYSICAL_PAGE,
		.mcg_status = MCG_STATUS_MCIP | MCG_STATUS_RIPV,
		.bank = BANK,
	};

	if (amd) {
		mce.status |= STATUS_POISON;
	} else {
		/*
		 * LMCES: on Intel a machine check is otherwise broadcast to all CPUs, which wait
		 * for each other.
		 */
		mce.status |= STATUS_S | STATUS_AR | CODE_DATA;
		mce.mcg_status |= MCG_STATUS_EIPV | MCG_STATUS_LMCES;
	}
	if (ioctl(fd, KVM_X86_SET_MCE, &mce) < 0)
		return err_sys(err, errno,
			       "KVM takes no machine check for the bad memory at guest address "
			       "%#" PRIx64,
			       gpa);
	return 0;
}
