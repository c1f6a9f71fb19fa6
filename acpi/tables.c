#include "acpi/tables.h"

#include "acpi/aml.h"
#include "vmm/base/bytes.h"
#include "vmm/base/platform.h"
#include "vmm/plan/topology.h"

#include <assert.h>
#include <errno.h>

/* build/dsdt.hex, made by `iasl -tc`, defines `unsigned char dsdt_aml_code[]`. */
/* clang-format off */
static const
#include "dsdt.hex"
/* clang-format on */

#define OEM_ID	     "STRADL"
#define OEM_TABLE_ID "STRADDLE"
#define CREATOR_ID   "STRD"

#define HEADER_SIZE 36
#define TABLES_MAX  8

/* Offsets in the common header (5.2.6) and the RSDP (5.2.5.3) */
#define HEADER_LENGTH	       4
#define HEADER_CHECKSUM	       9
#define RSDP_CHECKSUM	       8
#define RSDP_V1_SIZE	       20
#define RSDP_EXTENDED_CHECKSUM 32

/*
 * Ids from here on do not fit into a local APIC structure and get an x2APIC structure (5.2.12.12).
 */
#define APIC_ID_WIDE 255

	struct tables {
	struct bytes_out out;
	uint64_t base_gpa;
	uint64_t listed[TABLES_MAX]; /* addresses for the XSDT */
	unsigned nr_listed;
};

static_assert(PORT_PCI == 0xcf8 && PCI_PORTS == 8, "dsdt.asl has the ports around them in numbers");

/* Returns the byte that makes the sum of all bytes zero. */
static uint8_t checksum(const uint8_t *data, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum += *data++;
	return (uint8_t)-sum;
}

/* --- the common header: table_end() fills in length and checksum --- */

static size_t table_begin(struct tables *t, const char *signature, unsigned revision)
{
	struct bytes_out *b = &t->out;
	size_t at = align_up(b->len, 16);

	put_pad(b, at);
	put_mem(b, signature, 4);
	put_le(b, 0, 4);
	put_le(b, revision, 1);
	put_le(b, 0, 1);
	put_mem(b, OEM_ID, 6);
	put_mem(b, OEM_TABLE_ID, 8);
	put_le(b, 1, 4);
	put_mem(b, CREATOR_ID, 4);
	put_le(b, 1, 4);
	return at;
}

/* Ends the table that begins at offset `at`. Returns its guest-physical address. */
static uint64_t table_end(struct tables *t, size_t at)
{
	struct bytes_out *b = &t->out;

	if (!bytes_out_full(b)) {
		store_le(b->data + at + HEADER_LENGTH, b->len - at, 4);
		b->data[at + HEADER_CHECKSUM] = checksum(b->data + at, b->len - at);
	}
	return t->base_gpa + at;
}

static void table_end_listed(struct tables *t, size_t at)
{
	t->listed[t->nr_listed++] = table_end(t, at);
}

/* --- FADT, 5.2.9 --- */

#define FADT_WBINVD	  (1u << 0)
#define FADT_PROC_C1	  (1u << 2)
#define FADT_PWR_BUTTON	  (1u << 4) /* no fixed power button: it is a device */
#define FADT_SLP_BUTTON	  (1u << 5) /* no fixed sleep button: there is none */
#define FADT_FIX_RTC	  (1u << 6) /* no RTC wake status in fixed registers */
#define FADT_RESET_REG	  (1u << 10)
#define FADT_HW_REDUCED	  (1u << 20)
#define FADT_BOOT_NO_VGA  (1u << 2)
#define FADT_LATENCY_NONE 0xffff /* no C2, no C3 */

/* Generic address structure (5.2.3.2) of a one-byte I/O port. */
static void acpi_put_port(struct bytes_out *b, uint16_t port)
{
	put_le(b, 1, 1); /* system I/O space */
	put_le(b, 8, 1); /* bits wide */
	put_le(b, 0, 1); /* bit offset */
	put_le(b, 1, 1); /* byte access */
	put_le(b, port, 8);
}

/*
 * The boot flags say: no VGA; no 8042 keyboard (bit 1), everything else is in the DSDT (bit 0), and
 * message signalled interrupts, ASPM and the CMOS clock may be used (bits 3, 4 and 5 forbid them).
 */
static void put_fadt(struct tables *t, uint64_t dsdt)
{
	struct bytes_out *b = &t->out;
	size_t at = table_begin(t, "FACP", 6);

	put_pad(b, at + 40);
	put_le(b, dsdt <= UINT32_MAX ? dsdt : 0, 4);
	put_pad(b, at + 96);
	put_le(b, FADT_LATENCY_NONE, 2);
	put_le(b, FADT_LATENCY_NONE, 2);
	put_pad(b, at + 108);
	put_le(b, RTC_CENTURY, 1);
	put_le(b, FADT_BOOT_NO_VGA, 2);
	put_pad(b, at + 112);
	put_le(b,
	       FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_FIX_RTC |
		       FADT_RESET_REG | FADT_HW_REDUCED,
	       4);
	acpi_put_port(b, PORT_RESET);
	put_le(b, RESET_NOW, 1);
	put_pad(b, at + 131);
	put_le(b, 3, 1); /* minor version: 6.3 */
	put_pad(b, at + 140);
	put_le(b, dsdt, 8);
	put_pad(b, at + 244);
	acpi_put_port(b, PORT_PM + PM_SLEEP_CONTROL);
	acpi_put_port(b, PORT_PM + PM_SLEEP_STATUS);
	put_mem(b, OEM_TABLE_ID, 8); /* hypervisor vendor identity */
	table_end_listed(t, at);
}

/* --- MADT, 5.2.12 --- */

static void put_madt_cpu(struct bytes_out *b, unsigned cpu, uint32_t apic_id)
{
	if (apic_id < APIC_ID_WIDE) {
		put_le(b, 0, 1);
		put_le(b, 8, 1);
		put_le(b, cpu, 1);
		put_le(b, apic_id, 1);
		put_le(b, 1, 4); /* enabled */
	} else {
		put_le(b, 9, 1);
		put_le(b, 16, 1);
		put_le(b, 0, 2);
		put_le(b, apic_id, 4);
		put_le(b, 1, 4); /* enabled */
		put_le(b, cpu, 4);
	}
}

/*
 * There are no interrupt source overrides: they change what ISA interrupts of an 8259 mean, and
 * without one every interrupt is a GSI whose descriptor in the DSDT says trigger and polarity.
 */
static void put_madt(struct tables *t, const struct plan *p)
{
	struct bytes_out *b = &t->out;
	size_t at = table_begin(t, "APIC", 5);
	bool wide = false;

	put_le(b, LAPIC_BASE, 4);
	put_le(b, 0, 4); /* flags: no 8259 */
	for (unsigned cpu = 0; cpu < p->cpus; cpu++) {
		uint32_t apic_id = topology_apic_id(p, cpu);

		wide |= apic_id >= APIC_ID_WIDE;
		put_madt_cpu(b, cpu, apic_id);
	}
	put_le(b, 1, 1); /* I/O APIC */
	put_le(b, 12, 1);
	put_le(b, 0, 2); /* id, reserved */
	put_le(b, IOAPIC_BASE, 4);
	put_le(b, 0, 4); /* first GSI */
	put_le(b, 4, 1); /* local APIC NMI: LINT1 of all processors */
	put_le(b, 6, 1);
	put_le(b, 0xff, 1);
	put_le(b, 0, 2);
	put_le(b, 1, 1);
	if (wide) {
		put_le(b, 10, 1); /* the same for x2APIC structures */
		put_le(b, 12, 1);
		put_le(b, 0, 2);
		put_le(b, 0xffffffff, 4);
		put_le(b, 1, 1);
		put_le(b, 0, 3);
	}
	table_end_listed(t, at);
}

/* --- MCFG, PCI Firmware Specification 3.3 section 4.1.2 --- */

static void put_mcfg(struct tables *t, const struct plan *p)
{
	struct bytes_out *b = &t->out;
	size_t at = table_begin(t, "MCFG", 1);

	put_le(b, 0, 8);
	put_le(b, plan_ecam(p).base, 8);
	put_le(b, 0, 2); /* segment */
	put_le(b, 0, 1);
	put_le(b, plan_buses(p) - 1, 1);
	put_le(b, 0, 4);
	table_end_listed(t, at);
}

/* --- SRAT, 5.2.16, and SLIT, 5.2.17: only if p->numa --- */

static void put_srat_cpu(struct bytes_out *b, unsigned node, uint32_t apic_id)
{
	if (apic_id < APIC_ID_WIDE) {
		put_le(b, 0, 1);
		put_le(b, 16, 1);
		put_le(b, node & 0xff, 1);
		put_le(b, apic_id, 1);
		put_le(b, 1, 4); /* enabled */
		put_le(b, 0, 1);
		put_le(b, node >> 8, 3);
		put_le(b, 0, 4); /* clock domain */
	} else {
		put_le(b, 2, 1);
		put_le(b, 24, 1);
		put_le(b, 0, 2);
		put_le(b, node, 4);
		put_le(b, apic_id, 4);
		put_le(b, 1, 4); /* enabled */
		put_le(b, 0, 4); /* clock domain */
		put_le(b, 0, 4);
	}
}

static void put_srat_memory(struct bytes_out *b, const struct plan_memory *m)
{
	put_le(b, 1, 1);
	put_le(b, 40, 1);
	put_le(b, m->node, 4);
	put_le(b, 0, 2);
	put_le(b, m->at.base, 8);
	put_le(b, span_size(m->at), 8);
	put_le(b, 0, 4);
	put_le(b, 1 | (m->hotplug ? 2 : 0), 4); /* enabled, hot pluggable */
	put_le(b, 0, 8);
}

static void put_srat(struct tables *t, const struct plan *p)
{
	struct bytes_out *b = &t->out;
	struct plan_memory memory[PLAN_LIST_MAX];
	size_t n = plan_srat(p, memory, ARRAY_SIZE(memory));
	size_t at = table_begin(t, "SRAT", 3);

	put_le(b, 1, 4);
	put_le(b, 0, 8);
	for (unsigned cpu = 0; cpu < p->cpus; cpu++)
		put_srat_cpu(b, plan_cpu_node(p, cpu), topology_apic_id(p, cpu));
	for (size_t i = 0; i < n; i++)
		put_srat_memory(b, &memory[i]);
	table_end_listed(t, at);
}

static void put_slit(struct tables *t, const struct plan *p)
{
	struct bytes_out *b = &t->out;
	size_t at = table_begin(t, "SLIT", 1);

	put_le(b, p->nr_nodes, 8);
	for (unsigned i = 0; i < p->nr_nodes; i++)
		for (unsigned j = 0; j < p->nr_nodes; j++)
			put_le(b, plan_distance(p, i, j), 1);
	table_end_listed(t, at);
}

/* --- SSDT: the resource templates that the DSDT refers to, and more host bridges --- */

static size_t add_spans(struct aml_resource *out, size_t n, enum aml_resource_kind kind,
			const struct span *spans, size_t nr_spans)
{
	for (size_t i = 0; i < nr_spans; i++)
		out[n++] = (struct aml_resource){ kind, spans[i] };
	return n;
}

#define RESOURCES_MAX (1 + 2 * PLAN_LIST_MAX)

/* The buses and windows of a host bridge. */
static size_t bridge_resources(struct aml_resource list[RESOURCES_MAX], const struct plan *p,
			       unsigned bridge)
{
	const struct plan_bridge *b = &p->bridges[bridge];
	struct span spans[PLAN_LIST_MAX];
	size_t n = 0;

	list[n++] = (struct aml_resource){ AML_BUSES, { b->bus, b->bus + b->buses } };
	n = add_spans(list, n, AML_WINDOW, spans,
		      plan_bridge_windows(p, bridge, MAP_PCI32, spans, ARRAY_SIZE(spans)));
	return add_spans(list, n, AML_WINDOW, spans,
			 plan_bridge_windows(p, bridge, MAP_PCI64, spans, ARRAY_SIZE(spans)));
}

static void put_ssdt(struct tables *t, const struct plan *p)
{
	struct aml_resource list[RESOURCES_MAX];
	struct span spans[PLAN_LIST_MAX];
	size_t at = table_begin(t, "SSDT", 2);
	size_t n = bridge_resources(list, p, 0);
	char path[] = "\\_SB_.PC00";

	aml_name_resources(&t->out, "\\_SB_.PCI0.WIND", list, n);
	for (unsigned i = 1; i < p->nr_bridges; i++) {
		const struct aml_bridge bridge = {
			.path = path,
			.uid = i,
			.bus = p->bridges[i].bus,
			.node = p->bridges[i].node,
			.list = list,
			.n = bridge_resources(list, p, i),
		};

		path[8] = "0123456789ABCDEF"[i / 16];
		path[9] = "0123456789ABCDEF"[i % 16];
		aml_host_bridge(&t->out, &bridge);
	}

	n = add_spans(list, 0, AML_RESERVED, spans, plan_reserved(p, spans, ARRAY_SIZE(spans)));
	aml_name_resources(&t->out, "\\_SB_.MRES.RSVD", list, n);
	table_end_listed(t, at);
}

/* --- the roots: XSDT, 5.2.8, and RSDP, 5.2.5.3 --- */

static uint64_t put_xsdt(struct tables *t)
{
	size_t at = table_begin(t, "XSDT", 1);

	for (unsigned i = 0; i < t->nr_listed; i++)
		put_le(&t->out, t->listed[i], 8);
	return table_end(t, at);
}

static void write_rsdp(uint8_t rsdp[ACPI_RSDP_SIZE], uint64_t xsdt)
{
	struct bytes_out b = { .data = rsdp, .cap = ACPI_RSDP_SIZE };

	put_mem(&b, "RSD PTR ", 8);
	put_le(&b, 0, 1);
	put_mem(&b, OEM_ID, 6);
	put_le(&b, 2, 1); /* revision */
	put_le(&b, 0, 4); /* no RSDT */
	put_le(&b, ACPI_RSDP_SIZE, 4);
	put_le(&b, xsdt, 8);
	put_le(&b, 0, 4); /* the extended checksum, and three reserved bytes */
	rsdp[RSDP_CHECKSUM] = checksum(rsdp, RSDP_V1_SIZE);
	rsdp[RSDP_EXTENDED_CHECKSUM] = checksum(rsdp, ACPI_RSDP_SIZE);
}

int acpi_build(const struct plan *p, uint64_t base_gpa, void *buf, size_t cap, size_t *len,
	       uint8_t rsdp[ACPI_RSDP_SIZE], struct err *err)
{
	struct tables t = { .out = { .data = buf, .cap = cap }, .base_gpa = base_gpa };
	uint64_t dsdt, xsdt;

	dsdt = base_gpa;
	put_mem(&t.out, dsdt_aml_code, sizeof(dsdt_aml_code));
	put_fadt(&t, dsdt);
	put_madt(&t, p);
	put_mcfg(&t, p);
	if (p->numa) {
		put_srat(&t, p);
		put_slit(&t, p);
	}
	put_ssdt(&t, p);
	xsdt = put_xsdt(&t);

	*len = t.out.len;
	if (bytes_out_full(&t.out))
		return err_set(
			err, ENOSPC,
			"the ACPI tables of %u CPUs and %u memory regions need %zu bytes, but "
			"there is room for %zu: use fewer CPUs or fewer reserved ranges",
			p->cpus, p->map.nr_regions, t.out.len, cap);
	write_rsdp(rsdp, xsdt);
	return 0;
}
