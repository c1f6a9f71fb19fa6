/* Judges options together: combinations that contradict, and defaults that depend on others. */
#include "vmm/config/internal.h"

#include "vmm/base/apic_id.h"
#include "vmm/base/platform.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/*
 * The unit of RAM sizes in bytes: 2 MiB, which KVM can map as one page, or a larger backing page.
 */
uint64_t config_ram_unit(const struct config *c)
{
	return max_u64(2 * MIB, c->page_size);
}

int config_check_multiple(const char *option, uint64_t value, uint64_t unit, struct err *err)
{
	uint64_t below = align_down(value, unit);

	if (value == below)
		return 0;
	return err_set(err, EINVAL, "--%s %s is not a multiple of %s%s; use %s%s%s", option,
		       SHOWN_SIZE(value), SHOWN_SIZE(unit),
		       unit > 2 * MIB ? ", the --page-size" : "", below ? SHOWN_SIZE(below) : "",
		       below ? " or " : "", SHOWN_SIZE(below + unit));
}

int config_check_limit(const char *option, uint64_t value, uint64_t limit, const char *why,
		       struct err *err)
{
	if (value <= limit)
		return 0;
	return err_set(err, EINVAL, "--%s %s is too much: %s; use at most %s", option,
		       SHOWN_SIZE(value), why, SHOWN_SIZE(limit));
}

const char config_no_more_bits[] = "x86 CPUs have at most 52 address bits";

/* --- CPUs --- */

/*
 * How many sockets there are if each node that has CPUs is one; 0 if they cannot be. Sockets whose
 * number of cores is not a power of two leave gaps between APIC ids. If these gaps alone would lift
 * some CPUs above APIC_ID_MAX, which not every guest finds there, all nodes share one socket, as
 * they do on many hosts.
 */
static unsigned nodes_as_sockets(const struct config *c)
{
	unsigned threads = c->threads ? c->threads : 1, cores = c->cpus / threads;
	unsigned nodes = config_even_nodes(c);
	struct apic_socket each = { 1, cores / (nodes ? nodes : 1), threads };
	struct apic_socket all = { 1, cores, threads };

	if (nodes < 2 ||
	    (apic_id_last(&each, nodes) > APIC_ID_MAX && apic_id_last(&all, 1) <= APIC_ID_MAX))
		return 0;
	return nodes;
}

/*
 * Chooses the first number that is not given (cores, then sockets, then threads) so that the
 * product is the number of CPUs; the others become 1. With neither sockets nor cores, each node
 * that has CPUs becomes a socket where nodes_as_sockets() says so.
 */
static int check_cpus(struct config *c, struct err *err)
{
	unsigned *parts[] = { &c->cores, &c->sockets, &c->threads };
	unsigned *open = NULL;
	uint64_t product = 1;

	if (!c->sockets && !c->cores)
		c->sockets = nodes_as_sockets(c);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (!*parts[i] && !open)
			open = parts[i];
		else if (!*parts[i])
			*parts[i] = 1;
		product *= *parts[i] ? *parts[i] : 1;
	}
	if (product > CPUS_MAX || (!open && c->cpus && c->cpus != product))
		return err_set(err, EINVAL,
			       "--cpus: sockets, cores and threads multiply to %" PRIu64
			       " CPUs, but %s %u; leave one of the numbers out",
			       product, c->cpus ? "there shall be" : "there can be at most",
			       c->cpus ? c->cpus : CPUS_MAX);
	if (!c->cpus)
		c->cpus = (unsigned)product;
	if (c->cpus % product != 0)
		return err_set(err, EINVAL,
			       "--cpus: %u CPUs cannot be dealt out evenly: sockets, cores and "
			       "threads, as given, multiply to %" PRIu64 "; use a multiple of that",
			       c->cpus, product);
	if (open)
		*open = c->cpus / (unsigned)product;
	if (c->cores % c->dies)
		return err_set(err, EINVAL,
			       "--cpus: the %u cores of a socket cannot be dealt out evenly to %u "
			       "dies; use a multiple of that",
			       c->cores, c->dies);
	return 0;
}

/* --- memory --- */

bool config_names_ram(const struct config *c)
{
	return c->nr_vfio || c->nr_nodes || config_option_given(c, "memory") ||
	       config_option_given(c, "page-size") || config_option_given(c, "prefault");
}

static int check_memory_sizes(const struct config *c, struct err *err)
{
	int ret;

	if (c->memory == 0)
		return err_set(err, EINVAL, "--memory 0: a guest needs RAM; use at least %s",
			       SHOWN_SIZE(config_ram_unit(c)));
	ret = config_check_limit("memory", c->memory, ADDRESS_SPACE_END, config_no_more_bits, err);
	if (ret < 0)
		return ret;
	ret = config_check_limit("max-memory", c->max_memory, ADDRESS_SPACE_END,
				 config_no_more_bits, err);
	if (ret < 0)
		return ret;
	ret = config_check_multiple("memory", c->memory, config_ram_unit(c), err);
	if (ret < 0)
		return ret;
	ret = config_check_multiple("max-memory", c->max_memory, config_ram_unit(c), err);
	if (ret < 0)
		return ret;
	if (c->max_memory && c->max_memory < c->memory)
		return err_set(err, EINVAL,
			       "--max-memory %s is less than --memory %s%s; it counts all RAM, so "
			       "use at least %s",
			       SHOWN_SIZE(c->max_memory), SHOWN_SIZE(c->memory),
			       config_option_given(c, "memory") || c->nr_nodes ? ""
									       : " (the default)",
			       SHOWN_SIZE(c->memory));
	return 0;
}

static_assert(ECAM_BASE == 0xe0000000, "check_places() says so");

static int check_places(const struct config *c, struct err *err)
{
	const struct {
		const char *option;
		uint64_t value, limit, unit;
		const char *why;
	} rules[] = {
		{ "low-memory", c->low_memory, align_down(ECAM_BASE, config_ram_unit(c)),
		  config_ram_unit(c), "PCI configuration space begins at 0xe0000000" },
		{ "high-memory-start", c->high_memory_start, ADDRESS_SPACE_END - config_ram_unit(c),
		  config_ram_unit(c), config_no_more_bits },
		{ "pci32-window", c->pci32_size, 2 * GIB, MIB,
		  "the rest of the first 4 GiB is for RAM and the platform" },
		{ "pci64-window", c->pci64_size, ADDRESS_SPACE_END, MIB, config_no_more_bits },
	};

	if (c->high_memory_start && c->layout == LAYOUT_HOLE)
		return err_set(err, EINVAL,
			       "--layout hole chooses where the RAM above 4 GiB lies, and so does "
			       "--high-memory-start; leave one of them out");
	if (c->high_memory_start && c->high_memory_start < FOUR_GIB)
		return err_set(err, EINVAL,
			       "--high-memory-start %s is below 4 GiB, where PCI and the interrupt "
			       "controllers are; use at least 4G",
			       SHOWN_SIZE(c->high_memory_start));
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		int ret = config_check_limit(rules[i].option, rules[i].value, rules[i].limit,
					     rules[i].why, err);

		if (ret < 0)
			return ret;
		ret = config_check_multiple(rules[i].option, rules[i].value, rules[i].unit, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int check_reserve(const struct config *c, struct err *err)
{
	for (unsigned i = 0; i < c->nr_reserve; i++) {
		for (unsigned j = 0; j < i; j++) {
			struct span a = c->reserve[j], b = c->reserve[i];

			if (span_overlaps(a, b))
				return err_set(err, EINVAL,
					       "--reserve %#" PRIx64 "-%#" PRIx64
					       " and --reserve %#" PRIx64 "-%#" PRIx64
					       " overlap; make one range of them",
					       a.base, a.end, b.base, b.end);
		}
	}
	return 0;
}

/* --- options against each other --- */

/* Options whose effect is part of a plan file. */
static const char *const map_options[] = {
	"cpus",	      "memory",	       "max-memory",   "numa",
	"page-size",  "phys-bits",     "iova-policy",  "reserve",
	"low-memory", "pci32-window",  "pci64-window", "high-memory-start",
	"layout",     "numa-distance", "spare-ports",
};

static int check_files(const struct config *c, enum config_command cmd, struct err *err)
{
	for (size_t i = 0; c->plan_file && i < ARRAY_SIZE(map_options); i++)
		if (config_option_given(c, map_options[i]))
			return err_set(err, EINVAL,
				       "--plan and --%s exclude each other, because the plan file "
				       "says it already; leave one out",
				       map_options[i]);
	if (c->json && c->dtb_file)
		return err_set(err, EINVAL,
			       "--json and --dtb exclude each other; run straddle plan twice");
	if (c->nr_initrds && !c->kernel)
		return err_set(err, EINVAL,
			       "--initrd %s needs a kernel to give it to; add --kernel FILE",
			       SHOWN(c->initrds[0]));
	if (c->append && !c->kernel)
		return err_set(err, EINVAL,
			       "--append needs a kernel to give it to; add --kernel FILE");
	if (cmd & (CMD_RUN | CMD_TEST) && !c->kernel)
		return err_set(err, EINVAL, "there is nothing to boot; add --kernel FILE");
	return 0;
}

static const struct port_user {
	struct span at;
	const char *name;
} port_users[] = {
#define OWNER(first, number, name) { { (first), (first) + (number) }, name },
	PLATFORM_PORTS(OWNER)
#undef OWNER
};

static int check_debug_exit(const struct config *c, struct err *err)
{
	struct span at = { c->debug_exit_port, c->debug_exit_port + DEBUG_EXIT_PORTS };

	if (!c->has_debug_exit)
		return 0;
	if (at.end > 0x10000)
		return err_set(err, EINVAL,
			       "--debug-exit %#" PRIx64 " needs %u ports, but the last one is "
			       "0xffff; use another, such as 0xf4",
			       at.base, DEBUG_EXIT_PORTS);
	for (size_t i = 0; i < ARRAY_SIZE(port_users); i++)
		if (span_overlaps(at, port_users[i].at))
			return err_set(err, EINVAL,
				       "--debug-exit %#" PRIx64 " needs ports %#" PRIx64
				       " to %#" PRIx64 ", but %#" PRIx64
				       " is the %s's; use another, such as 0xf4",
				       at.base, at.base, at.end - 1,
				       span_common(at, port_users[i].at).base, port_users[i].name);
	return 0;
}

/*
 * vmm/host/ram.c repeats a fold through RAM at multiples of its size, so it must be a power of two
 * and hold whole backing pages.
 */
static int check_fold(const struct config *c, struct err *err)
{
	if (c->fold && config_shares_ram(c))
		return err_set(
			err, EINVAL,
			"--fold has less memory than the guest sees, which no other program can "
			"serve; leave out vhost-user= and --fs");
	if (c->fold && config_binds_ram(c))
		return err_set(err, EINVAL,
			       "--fold has the same memory for all nodes, which cannot be bound to "
			       "several of the host; leave host= of --numa out");
	if (c->fold && (!is_power_of_two(c->fold) || c->fold < config_ram_unit(c)))
		return err_set(err, EINVAL,
			       "--fold %s is not a power of two of at least %s; use another",
			       SHOWN_SIZE(c->fold), SHOWN_SIZE(config_ram_unit(c)));
	return 0;
}

static int check_operands(const struct config *c, enum config_command cmd, struct err *err)
{
	const char *name = cmd == CMD_BIND ? "bind" : "unbind";
	int ret = 0;

	if (!c->nr_operands)
		return err_set(err, EINVAL,
			       "there is nothing to %s; name devices: straddle %s 0000:41:00.0",
			       name, name);
	for (unsigned i = 0; ret == 0 && i < c->nr_operands; i++)
		ret = config_check_device_name(c->operands[i], err);
	return ret;
}

/* Only one of the two lines can have the terminal. */
static int check_console(struct config *c, struct err *err)
{
	if (c->console.kind != SERIAL_STDIO || c->serial.kind != SERIAL_STDIO)
		return 0;
	if (config_option_given(c, "serial"))
		return err_set(
			err, EINVAL,
			"--serial and --console cannot both be stdio; give one of them another "
			"place");
	c->serial.kind = SERIAL_NONE;
	return 0;
}

/* What can come after the guest has started, and what would work against that. */
static int check_late(const struct config *c, struct err *err)
{
	if (c->prefault != PREFAULT_BACKGROUND)
		return config_option_given(c, "on-late-failure")
			       ? err_set(err, EINVAL,
					 "--on-late-failure is for what comes after the guest's "
					 "start; add --prefault background, or leave it out")
			       : 0;
	if (c->has_balloon)
		return err_set(err, EINVAL,
			       "--prefault background may touch pages that --balloon has just "
			       "given back to the host; use --prefault on, or leave one of them "
			       "out");
	for (unsigned i = 0; i < c->nr_vfio; i++)
		if (c->vfio[i].root_bus)
			return err_set(
				err, EINVAL,
				"--vfio %s,port=off: a guest finds nothing on a root bus that "
				"comes after its start; leave port=off out, or use "
				"--prefault on",
				c->vfio[i].name);
	return 0;
}

/* Refuses memory that may move while passed-through devices write to it. */
static int check_balloon(const struct config *c, struct err *err)
{
	if (c->has_balloon && c->nr_vfio)
		return err_set(
			err, EINVAL,
			"--balloon takes pages away that a device of --vfio may go on writing "
			"to; leave one of them out");
	if (c->has_balloon && c->lock_memory)
		return err_set(err, EINVAL,
			       "--balloon gives memory back that --lock-memory keeps; leave one of "
			       "them out");
	if (c->has_balloon && c->page_size != 4 * KIB)
		return err_set(err, EINVAL,
			       "--balloon gives pages back to the host, which with --page-size %s "
			       "might have none left when the guest wants them again; use "
			       "--page-size 4K, or leave --balloon out",
			       SHOWN_SIZE(c->page_size));
	if (c->balloon >= c->memory && c->balloon && !c->plan_file)
		return err_set(err, EINVAL,
			       "--balloon %s would leave nothing of --memory %s; use less",
			       SHOWN_SIZE(c->balloon), SHOWN_SIZE(c->memory));
	return 0;
}

/* The kernel pins no pages of most file systems for devices (FOLL_LONGTERM in mm/gup.c). */
static int config_check_pmem(const struct config *c, struct err *err)
{
	if (c->nr_pmem && c->nr_vfio)
		return err_set(err, EINVAL,
			       "--pmem is memory that devices of --vfio could not reach; leave one "
			       "of them out");
	for (unsigned i = 0; i < c->nr_pmem; i++)
		if (c->pmem[i].private && config_shares_ram(c))
			return err_set(
				err, EINVAL,
				"--pmem with private=on is memory that the programs of --fs and "
				"vhost-user= could not reach; leave one of them out");
	return 0;
}

/*
 * In this order: settle() may set options that were left out, which the steps behind it read;
 * judge() only reads.
 */
static const struct step {
	int (*settle)(struct config *c, struct err *err);
	int (*judge)(const struct config *c, struct err *err);
} steps[] = {
	{ .settle = check_console },
	{ .judge = config_check_vfio },
	{ .settle = config_check_host },
	{ .judge = check_fold },
	{ .judge = check_debug_exit },
	{ .settle = check_cpus },
	{ .settle = config_check_node_sizes },
	{ .judge = check_memory_sizes },
	{ .judge = check_balloon },
	{ .judge = check_late },
	{ .judge = config_check_pmem },
	{ .judge = check_places },
	{ .judge = check_reserve },
	{ .judge = config_check_node_cpus },
	{ .judge = config_check_distances },
	{ .judge = config_check_affinity },
};

int config_check(struct config *c, enum config_command cmd, struct err *err)
{
	int ret;

	if (cmd & (CMD_BIND | CMD_UNBIND))
		return check_operands(c, cmd, err);
	if (cmd == CMD_TEST) {
		ret = config_check_suite(c, err);
		if (ret < 0 || c->nr_operands) /* each case is judged on its own */
			return ret;
	}
	ret = check_files(c, cmd, err);
	if (ret == 0 && cmd == CMD_TEST)
		ret = config_check_test(c, err);
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(steps); i++)
		ret = steps[i].settle ? steps[i].settle(c, err) : steps[i].judge(c, err);
	return ret;
}
