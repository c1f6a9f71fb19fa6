#include "vmm/vm/check.h"

#include "vmm/host/kvm.h"
#include "vmm/host/probe.h"
#include "vmm/plan/plan.h"
#include "vmm/vm/check_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

void check_line(const struct check_report *r, const char *what, const char *format, ...)
{
	va_list args;

	if (!r->lines)
		return;
	fprintf(r->lines, "%-8s ", what);
	va_start(args, format);
	vfprintf(r->lines, format, args);
	va_end(args);
	fputc('\n', r->lines);
}

void check_fact(const struct check_report *r, const char *name, json_t *value)
{
	if (r->json)
		json_object_set_new(r->json, name, value);
	else
		json_decref(value);
}

json_t *check_answer(const char *why)
{
	return *why ? json_pack("{s:b,s:s}", "ok", 0, "why", why) : json_pack("{s:b}", "ok", 1);
}

static void check_cpu(const struct check_report *r, const struct host_facts *host)
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
	check_line(r, "cpu", "%s, family %#x, %u physical address bits%s%s", vendor, host->family,
		   host->phys_bits, taken, guests);
	for (unsigned i = 0; i < n; i++) {
		const struct map_forbidden *f = &rules[i];

		check_line(r, "forbid", "%#" PRIx64 "-%#" PRIx64 "  %s", f->at.base, f->at.end,
			   f->why);
		json_array_append_new(list,
				      json_pack("{s:I,s:I,s:s}", "start", (json_int_t)f->at.base,
						"end", (json_int_t)f->at.end, "why", f->why));
	}
	if (!n)
		check_line(r, "forbid", "nothing by rule of the CPU's vendor");
	check_fact(r, "cpu",
		   json_pack("{s:s,s:i,s:i,s:i,s:i}", "vendor", vendor, "family", host->family,
			     "phys_bits", host->phys_bits, "mem_encrypt_bits",
			     host->mem_encrypt_bits, "guest_phys_bits", host->guest_phys_bits));
	check_fact(r, "forbidden", list);
}

static bool check_kvm(const struct check_report *r)
{
	struct err err = { "" };
	enum host_kvm can;
	struct kvm kvm;

	if (kvm_open(&kvm, &err) < 0) {
		check_line(r, "kvm", "no: %s", err.text);
		check_fact(r, "kvm", check_answer(err.text));
		return false;
	}
	check_line(r, "kvm", "yes, at most %u vCPUs%s", kvm.max_cpus,
		   kvm.tsc_deadline ? ", TSC deadline timer" : "");
	check_fact(r, "kvm",
		   json_pack("{s:b,s:i,s:b}", "ok", 1, "max_vcpus", kvm.max_cpus, "tsc_deadline",
			     kvm.tsc_deadline));
	kvm_close(&kvm);
	can = host_try_kvm(&err);
	check_line(r, "kernels", "%s",
		   can == HOST_KVM_FULL ? "yes: this KVM runs stock kernels" : err.text);
	check_fact(r, "kernels", check_answer(can == HOST_KVM_FULL ? "" : err.text));
	return can == HOST_KVM_FULL;
}

static int write_json(json_t *json, FILE *to, struct err *err)
{
	if (json && json_dumpf(json, to, JSON_COMPACT) == 0 && fputc('\n', to) == '\n' &&
	    fflush(to) == 0)
		return 0;
	return err_sys(err, json ? errno : ENOMEM, "the report cannot be written");
}

int check_host(const struct config *c, bool json, FILE *to, bool *able, struct err *err)
{
	const struct check_report r = { json ? NULL : to, json ? json_object() : NULL };
	struct host_facts host;
	bool kernels, devices;
	int ret = 0;

	host_probe(&host);
	check_cpu(&r, &host);
	kernels = check_kvm(&r);
	devices = check_vfio(&r, c, &host);
	*able = kernels && devices;
	check_fact(&r, "ok", json_boolean(*able));
	if (json)
		ret = write_json(r.json, to, err);
	json_decref(r.json);
	return ret;
}
