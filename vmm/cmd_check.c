/*
 * straddle check: what this host can do, a line each, with the fix where something is missing; or
 * the same as one JSON object. Opens nothing but /dev/kvm.
 */
#include "vmm/cmd.h"

#include "vfio/sysfs.h"
#include "vmm/kvm.h"
#include "vmm/passthrough.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BOUND_MAX 64

struct report {
	json_t *json; /* NULL: lines, printed as they are found */
};

/* A line for people. */
__attribute__((format(printf, 3, 4))) static void line(const struct report *r, const char *what,
						       const char *format, ...)
{
	va_list args;

	if (r->json)
		return;
	printf("%-8s ", what);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* A fact for programs; `value` NULL (no memory) leaves it out. */
static void fact(const struct report *r, const char *name, json_t *value)
{
	if (r->json)
		json_object_set_new(r->json, name, value);
	else
		json_decref(value);
}

static json_t *answer(const char *why)
{
	return *why ? json_pack("{s:b,s:s}", "ok", 0, "why", why) : json_pack("{s:b}", "ok", 1);
}

static void check_cpu(const struct report *r, const struct host_facts *host)
{
	struct map_forbidden rules[4];
	unsigned n = plan_forbidden(rules, ARRAY_SIZE(rules), IOVA_VENDOR, host, NULL, 0);
	const char *vendor = host_vendor_name(host->vendor);
	char taken[64] = "", guests[32] = "";
	json_t *list = json_array();

	if (host->mem_encrypt_bits)
		snprintf(taken, sizeof(taken), ", %u of them taken by memory encryption",
			 host->mem_encrypt_bits);
	if (host->guest_phys_bits)
		snprintf(guests, sizeof(guests), ", %u for guests", host->guest_phys_bits);
	line(r, "cpu", "%s, family %#x, %u physical address bits%s%s", vendor, host->family,
	     host->phys_bits, taken, guests);
	for (unsigned i = 0; i < n; i++) {
		const struct map_forbidden *f = &rules[i];

		line(r, "forbid", "%#" PRIx64 "-%#" PRIx64 "  %s", f->at.base, f->at.end, f->why);
		json_array_append_new(list,
				      json_pack("{s:I,s:I,s:s}", "start", (json_int_t)f->at.base,
						"end", (json_int_t)f->at.end, "why", f->why));
	}
	if (!n)
		line(r, "forbid", "nothing by rule of the CPU's vendor");
	fact(r, "cpu",
	     json_pack("{s:s,s:i,s:i,s:i,s:i}", "vendor", vendor, "family", host->family,
		       "phys_bits", host->phys_bits, "mem_encrypt_bits", host->mem_encrypt_bits,
		       "guest_phys_bits", host->guest_phys_bits));
	fact(r, "forbidden", list);
}

static bool check_kvm(const struct report *r)
{
	struct err err = { "" };
	enum host_kvm can;
	struct kvm kvm;

	if (kvm_open(&kvm, &err) < 0) {
		line(r, "kvm", "no: %s", err.text);
		fact(r, "kvm", answer(err.text));
		return false;
	}
	line(r, "kvm", "yes, at most %u vCPUs%s", kvm.max_cpus,
	     kvm.tsc_deadline ? ", TSC deadline timer" : "");
	fact(r, "kvm",
	     json_pack("{s:b,s:i,s:b}", "ok", 1, "max_vcpus", kvm.max_cpus, "tsc_deadline",
		       kvm.tsc_deadline));
	kvm_close(&kvm);
	can = host_try_kvm(&err);
	line(r, "kernels", "%s",
	     can == HOST_KVM_FULL ? "yes: this KVM runs stock kernels" : err.text);
	fact(r, "kernels", answer(can == HOST_KVM_FULL ? "" : err.text));
	return can == HOST_KVM_FULL;
}

/* --- passthrough --- */

static void check_memlock(const struct report *r, uint64_t needed)
{
	struct rlimit limit = { 0, 0 };
	uint64_t kib;
	bool enough;

	getrlimit(RLIMIT_MEMLOCK, &limit);
	kib = limit.rlim_max / KIB;
	enough = limit.rlim_max == RLIM_INFINITY || geteuid() == 0 || limit.rlim_max >= needed;
	if (limit.rlim_max == RLIM_INFINITY)
		line(r, "memlock", "unlimited");
	else if (geteuid() == 0)
		line(r, "memlock", "%" PRIu64 " KiB, which does not hold for root", kib);
	else
		line(r, "memlock", "%" PRIu64 " KiB%s", kib,
		     enough ? ""
			    : ", too little for that guest: raise memlock in "
			      "/etc/security/limits.conf, or LimitMEMLOCK=");
	fact(r, "memlock",
	     json_pack("{s:b,s:o}", "ok", enough, "limit",
		       limit.rlim_max == RLIM_INFINITY ? json_null()
						       : json_integer((json_int_t)limit.rlim_max)));
}

static void check_access(const struct report *r, const char *name, const char *path)
{
	char why[128] = "";

	if (access(path, R_OK | W_OK) < 0)
		snprintf(why, sizeof(why), "%s %s", path,
			 errno == ENOENT ? "does not exist (modprobe vfio-pci, iommufd)"
					 : strerror(errno));
	line(r, name, "%s%s", *why ? "no: " : "yes", why);
	fact(r, name, answer(why));
}

static void check_groups(const struct report *r)
{
	struct vfio_bound bound[BOUND_MAX];
	char kind[32];
	unsigned groups, n = sysfs_bound("", bound, BOUND_MAX, &groups);
	json_t *list = json_array();

	line(r, "iommu", "%s, %u IOMMU groups", sysfs_iommu_kind("", kind), groups);
	for (unsigned i = 0; i < n && i < BOUND_MAX; i++) {
		const struct vfio_bound *b = &bound[i];

		line(r, "bound", "%s: IOMMU group %u, driver %s", b->name, b->group, b->driver);
		json_array_append_new(list, json_pack("{s:s,s:i,s:s}", "name", b->name, "group",
						      b->group, "driver", b->driver));
	}
	if (n > BOUND_MAX)
		line(r, "bound", "and %u more", n - BOUND_MAX);
	else if (!n)
		line(r, "bound", "no device: straddle bind DEVICE hands one to vfio-pci");
	fact(r, "iommu", json_pack("{s:s,s:i}", "kind", kind, "groups", groups));
	fact(r, "bound", list);
}

/* What a device's group reserves. */
static json_t *check_reserved(const struct report *r, const struct host_facts *host)
{
	static const char *const types[] = {
		[HOST_RESV_RESERVED] = "reserved",
		[HOST_RESV_DIRECT] = "direct",
		[HOST_RESV_DIRECT_RELAXABLE] = "direct-relaxable",
		[HOST_RESV_MSI] = "msi",
	};
	json_t *list = json_array();

	for (unsigned i = 0; i < host->nr_resv; i++) {
		const struct host_resv *v = &host->resv[i];

		line(r, "forbid", "%#" PRIx64 "-%#" PRIx64 "  IOMMU group %u: %s%s", v->at.base,
		     v->at.end, v->group, types[v->type],
		     v->type == HOST_RESV_DIRECT_RELAXABLE ? ", may be used" : "");
		json_array_append_new(
			list, json_pack("{s:I,s:I,s:s}", "start", (json_int_t)v->at.base, "end",
					(json_int_t)v->at.end, "type", types[v->type]));
	}
	return list;
}

/* A device is ready if it could be attached now. Nothing is opened. */
static bool check_device(const struct report *r, const struct config_vfio *wanted,
			 struct host_facts *host, json_t *list)
{
	const char *name = wanted->name;
	struct host_facts own = { .nr_pci = 0 };
	struct err err = { "" };
	json_t *reserved = NULL;
	char group[32];
	struct vfio_id id;
	int ret = sysfs_find("", name, &id, &err);

	if (ret == 0)
		ret = sysfs_probe("", &id, host, &err);
	if (ret == 0)
		ret = sysfs_probe("", &id, &own, &err);
	if (ret == 0) {
		name = id.name;
		snprintf(group, sizeof(group), "IOMMU group %u", id.group);
		line(r, "device", "%s: %s, driver %s", name,
		     id.has_group ? group : "no IOMMU group", *id.driver ? id.driver : "none");
		reserved = check_reserved(r, &own);
		if (id.no_iommu && !wanted->no_iommu)
			ret = err_set(&err, EPERM,
				      "its group has no IOMMU (noiommu=on accepts that)");
		else
			ret = sysfs_group_viable("", &id, &err);
	}
	if (ret < 0)
		line(r, "device", "%s: no: %s", name, err.text);
	json_array_append_new(list,
			      json_pack("{s:s,s:o,s:o?}", "name", name, "ready",
					answer(ret < 0 ? err.text : ""), "reserved", reserved));
	return ret == 0;
}

/* Whether `run` with these options would get as far as mapping memory. */
static bool check_guest(const struct report *r, const struct config *c, struct host_facts *host)
{
	struct err err = { "" };
	struct plan plan;
	bool fits = cmd_make_plan(&plan, c, host, &err) == 0;

	if (fits)
		line(r, "guest",
		     "yes: a plan exists, by what sysfs says (straddle plan --probe "
		     "asks the kernel)");
	else
		line(r, "guest", "no: %s", err.text);
	fact(r, "guest", answer(fits ? "" : err.text));
	return fits;
}

static bool check_passthrough(const struct report *r, const struct config *c,
			      struct host_facts *host)
{
	json_t *devices = json_array();
	bool ready = true;

	check_groups(r);
	check_access(r, "type1", "/dev/vfio/vfio");
	check_access(r, "iommufd", "/dev/iommu");
	check_memlock(r, c->memory);
	for (unsigned i = 0; i < c->nr_vfio; i++)
		ready &= check_device(r, &c->vfio[i], host, devices);
	fact(r, "devices", devices);
	return c->nr_vfio ? check_guest(r, c, host) && ready : true;
}

/* Returns false, with the sentence printed, if it cannot be written. */
static bool print_report(const struct report *r)
{
	struct err err;

	if (json_dumpf(r->json, stdout, JSON_COMPACT) == 0 && putchar('\n') == '\n' &&
	    fflush(stdout) == 0)
		return true;
	err_sys(&err, errno, "the report cannot be written");
	complain(&err, STATUS_HOST_ERROR);
	return false;
}

int cmd_check(int argc, char *argv[])
{
	struct config c = CONFIG_EMPTY;
	struct report r = { NULL };
	struct host_facts host;
	bool kernels, devices;
	int status;

	if (cmd_parse(&c, CMD_CHECK, argc, argv, &status)) {
		host_probe(&host);
		r.json = c.json ? json_object() : NULL;
		check_cpu(&r, &host);
		kernels = check_kvm(&r);
		devices = check_passthrough(&r, &c, &host);
		fact(&r, "ok", json_boolean(kernels && devices));
		status = kernels && devices ? 0 : STATUS_HOST_ERROR;
		if (r.json && !print_report(&r))
			status = STATUS_HOST_ERROR;
		json_decref(r.json);
	}
	config_free(&c);
	return status;
}
