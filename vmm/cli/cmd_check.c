/*
 * straddle check: what this host can do, a line each, with the fix where something is missing; or
 * the same as one JSON object. Opens nothing but /dev/kvm.
 */
#include "vmm/cli/cmd_check.h"

#include "vmm/cli/cmd.h"
#include "vmm/host/kvm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

void report_line(const struct report *r, const char *what, const char *format, ...)
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

void report_fact(const struct report *r, const char *name, json_t *value)
{
	if (r->json)
		json_object_set_new(r->json, name, value);
	else
		json_decref(value);
}

json_t *report_answer(const char *why)
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
	report_line(r, "cpu", "%s, family %#x, %u physical address bits%s%s", vendor, host->family,
		    host->phys_bits, taken, guests);
	for (unsigned i = 0; i < n; i++) {
		const struct map_forbidden *f = &rules[i];

		report_line(r, "forbid", "%#" PRIx64 "-%#" PRIx64 "  %s", f->at.base, f->at.end,
			    f->why);
		json_array_append_new(list,
				      json_pack("{s:I,s:I,s:s}", "start", (json_int_t)f->at.base,
						"end", (json_int_t)f->at.end, "why", f->why));
	}
	if (!n)
		report_line(r, "forbid", "nothing by rule of the CPU's vendor");
	report_fact(r, "cpu",
		    json_pack("{s:s,s:i,s:i,s:i,s:i}", "vendor", vendor, "family", host->family,
			      "phys_bits", host->phys_bits, "mem_encrypt_bits",
			      host->mem_encrypt_bits, "guest_phys_bits", host->guest_phys_bits));
	report_fact(r, "forbidden", list);
}

static bool check_kvm(const struct report *r)
{
	struct err err = { "" };
	enum host_kvm can;
	struct kvm kvm;

	if (kvm_open(&kvm, &err) < 0) {
		report_line(r, "kvm", "no: %s", err.text);
		report_fact(r, "kvm", report_answer(err.text));
		return false;
	}
	report_line(r, "kvm", "yes, at most %u vCPUs%s", kvm.max_cpus,
		    kvm.tsc_deadline ? ", TSC deadline timer" : "");
	report_fact(r, "kvm",
		    json_pack("{s:b,s:i,s:b}", "ok", 1, "max_vcpus", kvm.max_cpus, "tsc_deadline",
			      kvm.tsc_deadline));
	kvm_close(&kvm);
	can = host_try_kvm(&err);
	report_line(r, "kernels", "%s",
		    can == HOST_KVM_FULL ? "yes: this KVM runs stock kernels" : err.text);
	report_fact(r, "kernels", report_answer(can == HOST_KVM_FULL ? "" : err.text));
	return can == HOST_KVM_FULL;
}

/* Returns false, with a sentence printed, if the report cannot be written. */
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
		devices = check_vfio(&r, &c, &host);
		report_fact(&r, "ok", json_boolean(kernels && devices));
		status = kernels && devices ? 0 : STATUS_HOST_ERROR;
		if (r.json && !print_report(&r))
			status = STATUS_HOST_ERROR;
		json_decref(r.json);
	}
	config_free(&c);
	return status;
}
