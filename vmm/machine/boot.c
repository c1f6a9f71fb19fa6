#include "vmm/machine/internal.h"

#include "firmware/restart.h"
#include "vmm/base/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int write_acpi(struct machine *m, struct err *err)
{
	const size_t cap = ACPI_RSDP - ACPI_BASE;
	size_t len;

	return acpi_build(m->parts.plan, ACPI_BASE, ram_at(m->parts.ram, ACPI_BASE, cap), cap, &len,
			  ram_at(m->parts.ram, ACPI_RSDP, ACPI_RSDP_SIZE), err);
}

static void write_restart(struct machine *m)
{
	static_assert(ACPI_RSDP + ACPI_RSDP_SIZE <= BIOS_ENTRY, "the root pointer ends before");
	restart_code(ram_at(m->parts.ram, BIOS_ENTRY, RESTART_SIZE));
}

static int copy_place(struct machine *m, const struct boot_place *place, const uint8_t *scratch,
		      struct err *err)
{
	uint8_t *to;

	if (!place->len && !place->zeroes)
		return 0;
	to = ram_at(m->parts.ram, place->gpa, place->len + place->zeroes);
	if (!to)
		return err_set(err, EFAULT, "the %s at %#llx lies outside of guest RAM",
			       place->what, (unsigned long long)place->gpa);
	if (!m->parts.ram->fresh)
		memset(to + place->len, 0, place->zeroes);
	switch (place->from) {
	case BOOT_FROM_KERNEL:
		return image_read(m->parts.kernel, place->offset, to, place->len, err);
	case BOOT_FROM_INITRD:
		return images_read(m->parts.initrd, place->offset, to, place->len, err);
	case BOOT_FROM_DATA:
		memcpy(to, scratch + place->offset, place->len);
		break;
	}
	return 0;
}

static int write_boot(struct machine *m, struct entry_cpu *cpu, struct err *err)
{
	struct e820_entry e820[PLAN_LIST_MAX];
	uint8_t *scratch = calloc(1, BOOT_SCRATCH_SIZE);
	struct boot_request req = {
		.e820 = e820,
		.nr_e820 = plan_e820(m->parts.plan, e820, PLAN_LIST_MAX),
		.kernel = m->parts.boot_kernel,
		.initrd_size = m->parts.initrd->len,
		.cmdline = m->parts.append,
		.rsdp = ACPI_RSDP,
		.scratch = scratch,
		.scratch_size = BOOT_SCRATCH_SIZE,
	};
	struct boot boot;
	int ret;

	if (!scratch)
		return err_sys(err, ENOMEM, "out of memory for the boot data");
	ret = boot_build(&boot, &req, err);
	if (ret < 0)
		goto out;
	for (unsigned i = 0; i < boot.nr_places; i++) {
		ret = copy_place(m, &boot.places[i], scratch, err);
		if (ret < 0)
			goto out;
	}
	*cpu = boot.cpu;
out:
	free(scratch);
	return ret;
}

static struct kvm_segment segment(const struct entry_segment *s)
{
	return (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->type,
		.present = 1,
		.s = !s->system,
		.db = s->db,
		.l = s->l,
		.g = s->g,
	};
}

static int set_entry(struct machine *m, const struct entry_cpu *cpu, struct err *err)
{
	struct vcpu_entry entry = {
		.rip = cpu->rip,
		.rflags = cpu->rflags,
		.rsi = cpu->rsi,
		.rbx = cpu->rbx,
		.cr0 = cpu->cr0,
		.cr3 = cpu->cr3,
		.cr4 = cpu->cr4,
		.efer = cpu->efer,
		.gdt_base = cpu->gdt,
		.gdt_limit = ENTRY_GDT_SIZE - 1,
		.code = segment(&cpu->code),
		.data = segment(&cpu->data),
		.task = segment(&cpu->task),
	};

	return vcpu_set_entry(&m->cpus[0].vcpu, &entry, err);
}

int machine_boot(struct machine *m, struct err *err)
{
	struct entry_cpu entry;
	int ret = write_acpi(m, err);

	if (ret < 0)
		return ret;
	write_restart(m);
	ret = write_boot(m, &entry, err);
	return ret < 0 ? ret : set_entry(m, &entry, err);
}
