/*
 * straddle check: what this host can do, a line each, with the fix where something is missing.
 */
#include "vmm/cmd.h"

#include "vmm/kvm.h"

#include <errno.h>
#include <inttypes.h>

static void print_cpu(const struct host_facts *host)
{
	struct map_forbidden rules[4];
	unsigned n = plan_forbidden(rules, ARRAY_SIZE(rules), IOVA_VENDOR, host, NULL, 0);

	printf("cpu      %s, family %#x, %u physical address bits", host_vendor_name(host->vendor),
	       host->family, host->phys_bits);
	if (host->mem_encrypt_bits)
		printf(", %u of them taken by memory encryption", host->mem_encrypt_bits);
	if (host->guest_phys_bits)
		printf(", %u for guests", host->guest_phys_bits);
	printf("\n");
	for (unsigned i = 0; i < n; i++)
		printf("forbid   %#" PRIx64 "-%#" PRIx64 "  %s\n", rules[i].at.base,
		       rules[i].at.end, rules[i].why);
	if (!n)
		printf("forbid   nothing by rule of the CPU's vendor\n");
}

static bool print_kvm(void)
{
	struct err err = { "" };
	struct kvm kvm;
	enum host_kvm can;

	if (kvm_open(&kvm, &err) < 0) {
		printf("kvm      no: %s\n", err.text);
		return false;
	}
	printf("kvm      yes, at most %u vCPUs%s\n", kvm.max_cpus,
	       kvm.tsc_deadline ? ", TSC deadline timer" : "");
	kvm_close(&kvm);
	can = host_try_kvm(&err);
	printf("kernels  %s\n",
	       can == HOST_KVM_FULL ? "yes: this KVM runs stock kernels" : err.text);
	return can == HOST_KVM_FULL;
}

int cmd_check(int argc, char *argv[])
{
	struct config c = CONFIG_EMPTY;
	struct host_facts host;
	int status;

	if (cmd_parse(&c, CMD_CHECK, argc, argv, &status)) {
		host_probe(&host);
		print_cpu(&host);
		status = print_kvm() ? 0 : STATUS_HOST_ERROR;
	}
	config_free(&c);
	return status;
}
