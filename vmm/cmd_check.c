/*
 * straddle check: what this host can do, a line each, with the fix where something is missing.
 * Opens nothing but /dev/kvm.
 */
#include "vmm/cmd.h"

#include "vfio/sysfs.h"
#include "vmm/kvm.h"
#include "vmm/passthrough.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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

/* --- passthrough --- */

static void print_memlock(uint64_t needed)
{
	struct rlimit limit = { 0, 0 };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_max == RLIM_INFINITY)
		printf("memlock  unlimited\n");
	else if (geteuid() == 0)
		printf("memlock  %" PRIu64 " KiB, which does not hold for root\n",
		       (uint64_t)limit.rlim_max / KIB);
	else
		printf("memlock  %" PRIu64 " KiB%s\n", (uint64_t)limit.rlim_max / KIB,
		       limit.rlim_max < needed ? ", too little for that guest: raise memlock in "
						 "/etc/security/limits.conf, or LimitMEMLOCK="
					       : "");
}

static void print_access(const char *name, const char *path)
{
	if (access(path, R_OK | W_OK) == 0)
		printf("%-8s yes\n", name);
	else if (errno == ENOENT)
		printf("%-8s no: %s does not exist (modprobe vfio-pci, iommufd)\n", name, path);
	else
		printf("%-8s no: %s: %s\n", name, path, strerror(errno));
}

/* A device is ready if it could be attached now. Nothing is opened. */
static bool print_device(const char *name, struct host_facts *host)
{
	static const char *const types[] = {
		[HOST_RESV_RESERVED] = "reserved",
		[HOST_RESV_DIRECT] = "direct",
		[HOST_RESV_DIRECT_RELAXABLE] = "direct-relaxable, may be used",
		[HOST_RESV_MSI] = "msi",
	};
	unsigned first = host->nr_resv;
	struct vfio_id id;
	struct err err;

	if (sysfs_find("", name, &id, &err) < 0 || sysfs_probe("", &id, host, &err) < 0) {
		printf("device   %s: no: %s\n", name, err.text);
		return false;
	}
	printf("device   %s: IOMMU group %u, driver %s\n", id.name, id.group,
	       *id.driver ? id.driver : "none");
	for (unsigned i = first; i < host->nr_resv; i++)
		printf("forbid   %#" PRIx64 "-%#" PRIx64 "  IOMMU group %u: %s\n",
		       host->resv[i].at.base, host->resv[i].at.end, host->resv[i].group,
		       types[host->resv[i].type]);
	if (id.no_iommu) {
		printf("device   %s: no: its group has no IOMMU (noiommu=on accepts that)\n",
		       id.name);
		return false;
	}
	if (sysfs_group_viable("", &id, &err) < 0) {
		printf("device   %s: no: %s\n", id.name, err.text);
		return false;
	}
	return true;
}

/* Whether `run` with these options would get as far as mapping memory. */
static bool print_guest(const struct config *c, const struct host_facts *host)
{
	struct plan plan;
	struct err err;

	if (cmd_make_plan(&plan, c, host, &err) < 0) {
		printf("guest    no: %s\n", err.text);
		return false;
	}
	printf("guest    yes: a plan exists, by what sysfs says (straddle plan --probe asks the "
	       "kernel)\n");
	return true;
}

static bool print_passthrough(const struct config *c, struct host_facts *host)
{
	bool ready = true;
	char kind[32];

	printf("iommu    %s\n", sysfs_iommu_kind("", kind));
	print_access("type1", "/dev/vfio/vfio");
	print_access("iommufd", "/dev/iommu");
	print_memlock(c->memory);
	for (unsigned i = 0; i < c->nr_vfio; i++)
		ready &= print_device(c->vfio[i].name, host);
	return c->nr_vfio ? ready && print_guest(c, host) : true;
}

int cmd_check(int argc, char *argv[])
{
	struct config c = CONFIG_EMPTY;
	struct host_facts host;
	bool kernels, devices;
	int status;

	if (cmd_parse(&c, CMD_CHECK, argc, argv, &status)) {
		host_probe(&host);
		print_cpu(&host);
		kernels = print_kvm();
		devices = print_passthrough(&c, &host);
		status = kernels && devices ? 0 : STATUS_HOST_ERROR;
	}
	config_free(&c);
	return status;
}
