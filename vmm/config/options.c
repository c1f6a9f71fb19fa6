/*
 * The one table of options, and what each does with its value.
 *
 * Called by config/parse.c, once per option met. Setters judge one value: spelling and range. They
 * write to struct config only and touch nothing outside; their sentences follow "--NAME VALUE: ".
 * On an error the struct may be half set and is good for config_free() alone.
 */
#include "vmm/config/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- plain values --- */

int config_copy_string(char **to, const char *value, struct err *err)
{
	char *copy = strdup(value);

	if (!copy)
		return err_set(err, ENOMEM, "out of memory for the value");
	free(*to);
	*to = copy;
	return 0;
}

int config_copy_path(char **to, const char *value, struct err *err)
{
	if (!*value)
		return err_set(err, EINVAL, "a file name is missing");
	return config_copy_string(to, value, err);
}

static int set_any_size(uint64_t *to, const char *value, struct err *err)
{
	return config_parse_size(value, to, err);
}

/* For sizes whose 0 means "not given" in struct config. */
static int set_size(uint64_t *to, const char *value, struct err *err)
{
	int ret = config_parse_size(value, to, err);

	if (ret == 0 && *to == 0)
		return err_set(err, EINVAL,
			       "0 is not possible; leave the option out for the default");
	return ret;
}

/* "rng", and what a configuration file may say of it: "rng = on" or "rng = off". */
static int set_flag(bool *to, const char *value, struct err *err)
{
	bool on = !value || !strcmp(value, "on") || !strcmp(value, "yes");

	if (!on && strcmp(value, "off") != 0 && strcmp(value, "no") != 0)
		return err_set(err, EINVAL, "use on or off");
	*to = on;
	return 0;
}

/* Seconds of which 0 is no limit. */
static int set_time_limit(unsigned *to, const char *value, struct err *err)
{
	return config_parse_seconds(to, 0, value, err);
}

/* For the options that are no more than one field of struct config. */
#define SETTER(set, field)                                                           \
	static int set_##field(struct config *c, const char *value, struct err *err) \
	{                                                                            \
		return set(&c->field, value, err);                                   \
	}

SETTER(config_copy_path, kernel)
SETTER(config_copy_string, append)
SETTER(set_any_size, memory) /* 0 is judged by config_check, with the other rules of RAM */
SETTER(set_size, max_memory)
SETTER(set_size, low_memory)
SETTER(set_size, high_memory_start)
SETTER(set_size, pci32_size)
SETTER(set_size, pci64_size)
SETTER(set_flag, no_reboot)
SETTER(set_flag, rng)
SETTER(set_flag, clock)
SETTER(set_flag, watchdog)
SETTER(set_size, fold)
SETTER(set_flag, overcommit)
SETTER(set_flag, lock_memory)
SETTER(set_flag, probe)
SETTER(config_copy_path, control)
SETTER(config_copy_path, plan_file)
SETTER(config_copy_path, config_file)
SETTER(set_flag, verbose)
SETTER(set_flag, json)
SETTER(config_copy_path, dtb_file)
SETTER(set_flag, help)
SETTER(set_flag, version)

/* And one of its parts. */
#define SETTER_OF(part, set, field)                                                           \
	static int set_##part##_##field(struct config *c, const char *value, struct err *err) \
	{                                                                                     \
		return set(&c->part.field, value, err);                                       \
	}

SETTER_OF(test, config_copy_path, root)
SETTER_OF(test, config_copy_path, modules)
SETTER_OF(test, set_time_limit, boot_limit)
SETTER_OF(test, set_time_limit, idle_limit)
SETTER_OF(test, set_time_limit, limit)
SETTER_OF(test, config_copy_string, expect)
SETTER_OF(test, config_copy_path, core)
SETTER_OF(test, set_flag, keep)
SETTER_OF(suite, set_flag, list)
SETTER_OF(suite, set_flag, fail_fast)
SETTER_OF(suite, set_flag, slurm)
SETTER_OF(suite, config_copy_string, filter)
SETTER_OF(suite, config_copy_path, junit)
SETTER_OF(suite, config_copy_path, json)
SETTER_OF(suite, config_copy_path, ktap)

static int set_page_size(struct config *c, const char *value, struct err *err)
{
	uint64_t size = 4 * KIB;
	int ret = 0;

	c->huge_or_fail = !strcmp(value, "thp");
	if (!c->huge_or_fail)
		ret = config_parse_size(value, &size, err);
	if (ret < 0)
		return ret;
	if (size != 4 * KIB && size != 2 * MIB && size != GIB)
		return err_set(err, EINVAL,
			       "hosts have pages of 4K, 2M and 1G; use one of them, or thp");
	c->page_size = size;
	return 0;
}

static int set_prefault(struct config *c, const char *value, struct err *err)
{
	bool on;

	if (!strcmp(value, "background")) {
		c->prefault = PREFAULT_BACKGROUND;
		return 0;
	}
	if (set_flag(&on, value, err) < 0)
		return err_set(err, EINVAL, "use on, off or background");
	c->prefault = on ? PREFAULT_ON : PREFAULT_OFF;
	return 0;
}

static int set_on_late_failure(struct config *c, const char *value, struct err *err)
{
	if (!strcmp(value, "end"))
		c->on_late_failure = LATE_FAILURE_ENDS;
	else if (!strcmp(value, "continue"))
		c->on_late_failure = LATE_FAILURE_CONTINUES;
	else
		return err_set(err, EINVAL, "use end or continue");
	return 0;
}

bool config_pins_ram(const struct config *c)
{
	return c->nr_vfio && !c->vfio[0].no_iommu; /* all have one, or none */
}

bool config_locks_ram(const struct config *c)
{
	return c->lock_memory && !config_pins_ram(c);
}

bool config_prefaults(const struct config *c)
{
	/*
	 * The kernel reserves huge pages on any node, so those of one node could be gone when the
	 * guest wants them.
	 */
	bool scarce = c->page_size != 4 * KIB && config_binds_ram(c);

	return c->prefault == PREFAULT_ON || c->prefault == PREFAULT_BACKGROUND ||
	       (c->prefault == PREFAULT_AUTO && (c->nr_vfio || scarce));
}

static int set_phys_bits(struct config *c, const char *value, struct err *err)
{
	uint64_t bits;
	int ret = config_parse_number(value, GUEST_BITS_MIN, ADDRESS_BITS_MAX, &bits, err);

	if (ret == 0)
		c->phys_bits = (unsigned)bits;
	return ret;
}

static int set_spare_ports(struct config *c, const char *value, struct err *err)
{
	uint64_t n;
	int ret = config_parse_number(value, 0, PCI_DEVICES_MAX, &n, err);

	if (ret == 0)
		c->spare_ports = (unsigned)n;
	return ret;
}

/* --- values with a grammar --- */

static const char *const policy_names[] = {
	[IOVA_AUTO] = "auto",
	[IOVA_VENDOR] = "vendor",
	[IOVA_HOST] = "host",
	[IOVA_OFF] = "off",
};

const char *iova_policy_name(enum iova_policy policy)
{
	return policy_names[policy];
}

static int set_iova_policy(struct config *c, const char *value, struct err *err)
{
	for (unsigned i = 0; i < ARRAY_SIZE(policy_names); i++) {
		if (!strcmp(value, policy_names[i])) {
			c->iova_policy = (enum iova_policy)i;
			return 0;
		}
	}
	return err_set(err, EINVAL, "the policy is auto, vendor, host or off");
}

static int set_layout(struct config *c, const char *value, struct err *err)
{
	c->layout = !strcmp(value, "hole") ? LAYOUT_HOLE : LAYOUT_LOWEST;
	if (c->layout == LAYOUT_LOWEST && strcmp(value, "lowest") != 0)
		return err_set(err, EINVAL, "use lowest or hole");
	return 0;
}

static int set_initrd(struct config *c, const char *value, struct err *err)
{
	int ret;

	if (c->nr_initrds == CONFIG_INITRDS_MAX)
		return err_set(err, EINVAL, "there can be at most %u; join some with cat",
			       CONFIG_INITRDS_MAX);
	ret = config_copy_path(&c->initrds[c->nr_initrds], value, err);
	if (ret == 0)
		c->nr_initrds++;
	return ret;
}

/* config_check() judges overlaps, because it sees the ranges of both sources. */
static int set_reserve(struct config *c, const char *value, struct err *err)
{
	int ret;

	if (c->nr_reserve == CONFIG_RESERVE_MAX)
		return err_set(err, EINVAL, "there can be at most %u ranges", CONFIG_RESERVE_MAX);
	ret = config_parse_span(value, true, &c->reserve[c->nr_reserve], err);
	if (ret == 0)
		c->nr_reserve++;
	return ret;
}

#define LIMIT_MIN (64 * KIB)

/* A path may contain commas, so only ",limit=SIZE" at its end is not a part of it. */
static int set_limit(struct config_line *line, struct err *err)
{
	char *word = strrchr(line->path, ',');
	int ret;

	line->limit = CONFIG_LINE_LIMIT;
	if (!word || strncmp(word, ",limit=", strlen(",limit=")) != 0)
		return 0;
	ret = config_parse_size(word + strlen(",limit="), &line->limit, err);
	if (ret < 0)
		return err_prefix(err, ret, "limit=: ");
	if (line->limit && line->limit < LIMIT_MIN)
		return err_set(err, EINVAL, "limit= is 0, for none, or at least 64K");
	*word = '\0';
	return *line->path ? 0 : err_set(err, EINVAL, "a file name is missing");
}

static int set_line(struct config_line *line, const char *value, struct err *err)
{
	static const struct {
		const char *word;
		enum serial_kind kind;
		bool path;
	} kinds[] = {
		{ "stdio", SERIAL_STDIO, false }, { "file:", SERIAL_FILE, true },
		{ "pty", SERIAL_PTY, false },	  { "unix:", SERIAL_UNIX, true },
		{ "none", SERIAL_NONE, false },
	};
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i].word);

		if (strncmp(value, kinds[i].word, len) != 0 || (!kinds[i].path && value[len]))
			continue;
		line->kind = kinds[i].kind;
		if (!kinds[i].path)
			return 0;
		ret = config_copy_path(&line->path, value + len, err);
		if (ret < 0 || line->kind != SERIAL_FILE)
			return ret;
		return set_limit(line, err);
	}
	return err_set(err, EINVAL, "use stdio, file:PATH, pty, unix:PATH or none");
}

SETTER(set_line, serial)
SETTER(set_line, console)

/*
 * straddle's own exit statuses end at 6 (cmd.h); base + a value of 7 bits must fit into the 8 bits
 * of an exit status.
 */
#define BASE_MIN 7
#define BASE_MAX 128

static int set_debug_exit(struct config *c, const char *value, struct err *err)
{
	struct number_word base = { "base", BASE_MIN, BASE_MAX, 0, false };
	struct words words;
	uint64_t port;
	char *key, *text;
	int ret = words_init(&words, value, err);

	if (ret < 0)
		return ret;
	key = words_next(&words, &text);
	if (text)
		return err_set(err, EINVAL, "the port comes first, such as 0xf4,base=16");
	ret = config_parse_number(key, 0, UINT16_MAX, &port, err);
	if (ret < 0)
		return ret;
	while ((key = words_next(&words, &text))) {
		ret = set_number_word(&base, 1, key, text, "base=", err);
		if (ret < 0)
			return ret;
	}
	c->has_debug_exit = true;
	c->debug_exit_port = (uint16_t)port;
	c->debug_exit_base = (unsigned)base.value;
	return 0;
}

int config_debug_exit_status(const struct config *c, unsigned value)
{
	return (int)(c->debug_exit_base ? c->debug_exit_base + value : value << 1 | 1) & 0xff;
}

#define SECONDS_MAX (10 * 365 * 86400u)

int config_parse_seconds(unsigned *to, uint64_t min, const char *value, struct err *err)
{
	uint64_t seconds;
	int ret = config_parse_number(value, min, SECONDS_MAX, &seconds, err);

	if (ret == 0)
		*to = (unsigned)seconds;
	return ret;
}

static int set_timeout(struct config *c, const char *value, struct err *err)
{
	return config_parse_seconds(&c->timeout, 1, value, err);
}

static int set_stop_timeout(struct config *c, const char *value, struct err *err)
{
	return config_parse_seconds(&c->stop_timeout, 0, value, err);
}

static int set_panic_watch(struct config *c, const char *value, struct err *err)
{
	c->panic_by_device = !strcmp(value, "pvpanic");
	if (!c->panic_by_device && strcmp(value, "console") != 0)
		return err_set(err, EINVAL, "use console or pvpanic");
	return 0;
}

static int set_balloon(struct config *c, const char *value, struct err *err)
{
	c->has_balloon = true;
	return config_parse_size(value, &c->balloon, err);
}

/* --- the table --- */

#define RUN_PLAN (CMD_RUN | CMD_PLAN)
#define BOOTS	 (CMD_RUN | CMD_TEST | CMD_PLAN)
#define MAKES	 (BOOTS | CMD_CHECK) /* makes a plan */
#define RUNS	 (MAKES & ~CMD_TEST) /* a device that straddle test uses itself */
#define ALL	 (MAKES | CMD_BIND | CMD_UNBIND)

/* For readable rows */
#define IN_FILE	  true
#define ARGV_ONLY false
#define ONCE	  false
#define MANY	  true

/* In the order of --help. */
static const struct config_option options[] = {
	{ "kernel", 0, "FILE", BOOTS, IN_FILE, ONCE, "the kernel to boot: bzImage or ELF vmlinux",
	  set_kernel },
	{ "initrd", 0, "FILE", BOOTS, IN_FILE, MANY,
	  "initial RAM disk, given to the kernel; may be repeated: the kernel\n"
	  "unpacks one after the other. FILE may be a pipe, as for --kernel",
	  set_initrd },
	{ "append", 0, "TEXT", BOOTS, IN_FILE, ONCE, "the kernel's command line", set_append },
	{ "cpus", 0, "N[,TOPOLOGY]", BOOTS, IN_FILE, ONCE,
	  "number of CPUs (default 1); TOPOLOGY is sockets=N,cores=N,threads=N:\n"
	  "cores of a socket, threads of a core; what is left out is computed;\n"
	  "dies=N: groups of a socket's cores, each with a last-level cache",
	  config_set_cpus },
	{ "memory", 'm', "SIZE", MAKES, IN_FILE, ONCE,
	  "RAM, such as 512M, 1.5T or 0x40000000; K, M, G and T are powers of\n"
	  "1024 (default: 1G, or what the --numa nodes add up to)",
	  set_memory },
	{ "max-memory", 0, "SIZE", MAKES, IN_FILE, ONCE,
	  "keep room up to this, though nothing adds memory yet\n"
	  "(default: no room)",
	  set_max_memory },
	{ "numa", 0, "SIZE[,...]", MAKES, IN_FILE, MANY,
	  "a NUMA node with this much RAM; once for each node. Keys:\n"
	  "cpus=A-B,C-D  its CPUs (default: a share, or none beside cpus=)\n"
	  "host=N        its RAM comes from node N of the host alone\n"
	  "or host alone: the host's nodes, as large a part of each",
	  config_set_numa },
	{ "numa-distance", 0, "A,B,D", MAKES, IN_FILE, MANY,
	  "how far nodes A and B are apart, both ways unless B,A is given, too:\n"
	  "D from 11 to 254, or 255: not to be reached (default: 20; a node is\n"
	  "10 from itself); may be repeated",
	  config_set_numa_distance },
	{ "cpu-affinity", 0, "A-B@C-D", BOOTS, IN_FILE, MANY,
	  "run vCPUs A to B on CPUs C to D of the host, each on any of them;\n"
	  "A-B=C-D: one on one, in order; lists such as 0-3,64-67 on both\n"
	  "sides; may be repeated; auto: on the CPUs of the node of the host\n"
	  "that host= of --numa names",
	  config_set_cpu_affinity },
	{ "page-size", 0, "4K|2M|1G|thp", MAKES, IN_FILE, ONCE,
	  "the host's pages that RAM is made of (default 4K, joined to\n"
	  "transparent huge pages where the host makes them); thp: 4K, but\n"
	  "only on a host that makes them",
	  set_page_size },
	{ "prefault", 0, "WHEN", MAKES, IN_FILE, ONCE,
	  "touch all of the RAM, on all CPUs at once:\n"
	  "on          before the guest starts\n"
	  "off         as the guest uses it\n"
	  "background  while it runs; devices of --vfio arrive when it is done\n"
	  "(default: on with --vfio, or huge pages that --numa binds; else off)",
	  set_prefault },
	{ "on-late-failure", 0, "WHAT", MAKES, IN_FILE, ONCE,
	  "what becomes of a guest whose RAM or devices cannot come after it\n"
	  "has started: end (default) or continue",
	  set_on_late_failure },
	{ "overcommit", 0, NULL, MAKES, IN_FILE, ONCE,
	  "try RAM that the host does not have free at the start, and that\n"
	  "--prefault, --vfio or huge pages want at once",
	  set_overcommit },
	{ "lock-memory", 0, NULL, MAKES, IN_FILE, ONCE,
	  "swap nothing of the RAM out once the guest has used it", set_lock_memory },
	{ "phys-bits", 0, "N", MAKES, IN_FILE, ONCE,
	  "address bits that the guest's CPUs announce, 33 to 52\n"
	  "(default: as many as the host can map)",
	  set_phys_bits },
	{ "iova-policy", 0, "POLICY", MAKES, IN_FILE, ONCE,
	  "which addresses to keep free because devices cannot reach them:\n"
	  "auto    AMD's rule on AMD hosts, and what the host reports "
	  "(default)\n"
	  "vendor  AMD's rule on AMD hosts only: one layout for a fleet\n"
	  "host    what the host reports only\n"
	  "off     nothing but --reserve and what the CPU itself cannot use",
	  set_iova_policy },
	{ "reserve", 0, "START-END", MAKES, IN_FILE, MANY,
	  "keep these addresses free as well; END is the first address after\n"
	  "the range; may be repeated: --reserve 0xfd00000000-0x10000000000",
	  set_reserve },
	{ "layout", 0, "KIND", MAKES, IN_FILE, ONCE,
	  "where RAM lies: lowest (default), at the lowest addresses; or hole,\n"
	  "a test of a map of more than 1 TiB with little memory: half of it\n"
	  "below 4 GiB, the rest on both sides of all addresses to keep free,\n"
	  "AMD's among them on other hosts, too",
	  set_layout },
	{ "low-memory", 0, "SIZE", MAKES, IN_FILE, ONCE,
	  "put at most this much of the RAM below 4 GiB (default: up to 3G)", set_low_memory },
	{ "high-memory-start", 0, "ADDR", MAKES, IN_FILE, ONCE,
	  "where the RAM above 4 GiB begins (default 4G)", set_high_memory_start },
	{ "pci32-window", 0, "SIZE", MAKES, IN_FILE, ONCE,
	  "room for PCI BARs below 4 GiB (default: at least 512M)", set_pci32_size },
	{ "pci64-window", 0, "SIZE", MAKES, IN_FILE, ONCE,
	  "room for 64-bit PCI BARs above the RAM (default: 64G, or what "
	  "fits)",
	  set_pci64_size },
	{ "vfio", 0, "DEVICE[,...]", MAKES, IN_FILE, MANY,
	  "pass a PCI device through: its address, such as 0000:41:10.1, or a\n"
	  "path of sysfs; may be repeated. Keys:\n"
	  "port=off           on the root bus, not behind a root port\n"
	  "node=N             of the guest's NUMA node N (else by host=, or 0)\n"
	  "rom=off|FILE       without its option ROM, or with another one\n"
	  "caps=A+B           show sriov, ari, rebar, ats, pri or pasid\n"
	  "map=off            its BARs are not mapped; each access is served\n"
	  "p2p=off            other devices do not reach its BARs\n"
	  "token=UUID         the token of the virtual function\n"
	  "on-error=continue  an error of the device does not end the guest\n"
	  "noiommu=on         accept that it can reach all of the host's memory",
	  config_set_vfio },
	{ "vfio-backend", 0, "KIND", MAKES, IN_FILE, ONCE,
	  "how to reach the IOMMU: auto (default: iommufd where the host and\n"
	  "all devices have it, and it maps BARs for other devices if there\n"
	  "are two with large ones), type1 or iommufd",
	  config_set_vfio_backend },
	{ "spare-ports", 0, "N", MAKES, IN_FILE, ONCE,
	  "N more PCIe root ports with empty slots (default 0)", set_spare_ports },
	{ "disk", 0, "FILE[,...]", MAKES, IN_FILE, MANY,
	  "a virtio disk: a raw image or a block device; may be repeated. Keys:\n"
	  "readonly=on   the guest cannot write; others may read it, too\n"
	  "private=on    what it writes is gone at the end; others may read it\n"
	  "direct=on     past the host's page cache (O_DIRECT)\n"
	  "discard=on    give back the space that the guest does not need\n"
	  "on-full=error fail what the host has no room for; else it waits\n"
	  "format=raw    also if it looks like qcow2 or another format\n"
	  "serial=TEXT   what the guest reads as its serial number\n"
	  "queues=N      served by N threads (default: one for each CPU)\n"
	  "ring=split    for drivers that have trouble with packed rings\n"
	  "or vhost-user=SOCKET[,queues=N], served by the program there",
	  config_set_disk },
	{ "net", 0, "KIND[,mac=M]", MAKES, IN_FILE, MANY,
	  "a virtio network adapter, with address M; may be repeated. KIND is\n"
	  "user          the user's own network, without privileges (passt)\n"
	  "tap=NAME[,queues=N]  a tap interface of the host\n"
	  "fd=N[:N...]   one that is open already, a descriptor for each queue\n"
	  "vhost-user=SOCKET  what the program there serves\n"
	  "of tap and fd, vhost=on|off: whether the kernel serves it\n"
	  "(default: if it can)",
	  config_set_net },
	{ "fs", 0, "socket=S,tag=T", MAKES, IN_FILE, MANY,
	  "a shared folder, served by virtiofsd at socket S; in the guest:\n"
	  "mount -t virtiofs T /mnt; may be repeated",
	  config_set_fs },
	{ "pmem", 0, "FILE[,private=on]", MAKES, IN_FILE, MANY,
	  "FILE as persistent memory of the guest, /dev/pmem0 and so on; may be\n"
	  "repeated. private: what the guest writes is gone at the end",
	  config_set_pmem },
	{ "rng", 0, NULL, MAKES, IN_FILE, ONCE,
	  "a virtio entropy device, which gives the guest random numbers", set_rng },
	{ "balloon", 0, "SIZE", MAKES, IN_FILE, ONCE,
	  "the guest gives back pages that it does not use, and SIZE of RAM\n"
	  "at once; 0: none, until --control asks for it",
	  set_balloon },
	{ "vsock", 0, "cid=N", MAKES, IN_FILE, ONCE,
	  "sockets between guest and host; the guest is N, from 3 on. With\n"
	  ",socket=PATH they are Unix sockets here: PATH, to which a program\n"
	  "says CONNECT PORT, and PATH_PORT for what the guest connects to",
	  config_set_vsock },
	{ "clock", 0, NULL, MAKES, IN_FILE, ONCE,
	  "a virtio clock, the host's time of day: a PTP clock in the guest", set_clock },
	{ "watchdog", 0, NULL, MAKES, IN_FILE, ONCE,
	  "a watchdog, i6300esb: a guest that starts it and stops feeding it is\n"
	  "reset, or with --no-reboot ended with status 5",
	  set_watchdog },
	{ "serial", 0, "WHERE", RUN_PLAN, IN_FILE, ONCE,
	  "the serial line's other end: stdio (default), file:PATH, pty,\n"
	  "unix:PATH or none; of a file that grows beyond 1G the older half is\n"
	  "cut, or with file:PATH,limit=SIZE beyond that (0: never)",
	  set_serial },
	{ "console", 0, "WHERE", RUNS, IN_FILE, ONCE,
	  "a virtio console, hvc0 to Linux; its other end is as for --serial;\n"
	  "with stdio the serial line goes nowhere, if not given (default none)",
	  set_console },
	{ "debug-exit", 0, "PORT[,...]", RUN_PLAN, IN_FILE, ONCE,
	  "end with status (v << 1) | 1 when the guest writes v, up to 127, to\n"
	  "this I/O port, such as 0xf4 (default: no such port); with\n"
	  "PORT,base=N, N from 7 to 128, with status N + v, so that a value is\n"
	  "not taken for another end",
	  set_debug_exit },
	{ "no-reboot", 0, NULL, RUN_PLAN, IN_FILE, ONCE,
	  "end with status 5 when the guest resets itself", set_no_reboot },
	{ "timeout", 0, "SECONDS", RUN_PLAN, IN_FILE, ONCE,
	  "end the guest with status 6 if it runs longer, resets included", set_timeout },
	{ "stop-timeout", 0, "SECONDS", RUN_PLAN, IN_FILE, ONCE,
	  "after SIGTERM pressed the power button, end the guest if it does "
	  "not\n"
	  "power off in time; 0: wait for a second SIGTERM (default 10)",
	  set_stop_timeout },
	{ "panic-watch", 0, "BY", RUN_PLAN, IN_FILE, ONCE,
	  "how a panic of the guest's kernel is seen: console (default), by "
	  "the\n"
	  "kernel's line there as well as by pvpanic, or by pvpanic alone",
	  set_panic_watch },
	{ "control", 0, "SOCKET", RUN_PLAN, IN_FILE, ONCE,
	  "a Unix socket for commands, a line each, answered in JSON:\n"
	  "balloon SIZE, memory, resize DISK, power-button, quit",
	  set_control },
	{ "root", 0, "WHAT", CMD_TEST, IN_FILE, ONCE,
	  "the root file system of the command: none (default: the initrds),\n"
	  "host (this host's own), a folder, or an image of a file system;\n"
	  "what the guest writes there is lost at the end",
	  set_test_root },
	{ "modules", 0, "DIR", CMD_TEST, IN_FILE, ONCE,
	  "the kernel's modules (default: /lib/modules of its release)", set_test_modules },
	{ "init", 0, "WHOSE", CMD_TEST, IN_FILE, ONCE,
	  "auto (default): straddle's init, which runs the command; none: that\n"
	  "of --initrd, and the case is judged by console, end and limits",
	  config_set_init },
	{ "boot-limit", 0, "SECONDS", CMD_TEST, IN_FILE, ONCE,
	  "end a guest whose init has not started by then (default 60; 0: none)",
	  set_test_boot_limit },
	{ "idle-limit", 0, "SECONDS", CMD_TEST, IN_FILE, ONCE,
	  "end a guest that prints nothing and does no I/O for so long\n"
	  "(default 30; 0: none)",
	  set_test_idle_limit },
	{ "limit", 0, "SECONDS", CMD_TEST, IN_FILE, ONCE,
	  "end a guest that takes longer (default 600; 0: none). Limits count\n"
	  "the time in which the host let the guest's CPUs run",
	  set_test_limit },
	{ "allow-splat", 0, "REGEX", CMD_TEST, IN_FILE, MANY,
	  "do not fail for a warning, BUG or the like whose line matches", config_add_splat },
	{ "expect", 0, "END", CMD_TEST, IN_FILE, ONCE,
	  "the case passes, with status 0, if it ends so: 'status N', or one of\n"
	  "the words below, such as panic (default: 'status 0')",
	  set_test_expect },
	{ "console-has", 0, "REGEX", CMD_TEST, IN_FILE, MANY,
	  "and only if a line of the console matches; may be repeated", config_add_console_has },
	{ "console-lacks", 0, "REGEX", CMD_TEST, IN_FILE, MANY,
	  "and only if no line of the console matches; may be repeated", config_add_console_lacks },
	{ "output", 0, "DIR", CMD_TEST, IN_FILE, ONCE,
	  "where a failed case leaves console, registers, plan and result.json\n"
	  "(default: straddle-test)",
	  config_set_output },
	{ "core", 0, "FILE|DIR", CMD_TEST, IN_FILE, ONCE,
	  "write the memory of a guest that did not end well, as an ELF core for\n"
	  "gdb and crash: as large as what the guest has used",
	  set_test_core },
	{ "keep", 0, NULL, CMD_TEST, ARGV_ONLY, ONCE,
	  "stop a guest that failed instead of ending it, say how to look at it,\n"
	  "and wait for Ctrl-C, SIGTERM or quit on a control socket",
	  set_test_keep },
	{ "jobs", 'j', "N|auto", CMD_TEST, ARGV_ONLY, ONCE,
	  "run so many cases at a time (default 1), or as many as there are\n"
	  "CPUs for; in both ways as memory, huge pages and devices suffice",
	  config_set_jobs },
	{ "list", 0, NULL, CMD_TEST, ARGV_ONLY, ONCE, "print the names of the cases; run none",
	  set_suite_list },
	{ "filter", 0, "REGEX", CMD_TEST, ARGV_ONLY, ONCE, "only the cases whose name matches",
	  set_suite_filter },
	{ "shard", 0, "I/N", CMD_TEST, ARGV_ONLY, ONCE,
	  "only the I-th of N parts of the cases, such as 1/4", config_set_shard },
	{ "repeat", 0, "N", CMD_TEST, ARGV_ONLY, ONCE, "run each case N times", config_set_repeat },
	{ "retry", 0, "N", CMD_TEST, ARGV_ONLY, ONCE,
	  "run a case that fails again, N times at most; if it passes then, it\n"
	  "is reported as flaky",
	  config_set_retry },
	{ "fail-fast", 0, NULL, CMD_TEST, ARGV_ONLY, ONCE,
	  "start no more cases once one has failed", set_suite_fail_fast },
	{ "slurm", 0, NULL, CMD_TEST, ARGV_ONLY, ONCE,
	  "run the cases on the nodes of a Slurm cluster, as one job array", set_suite_slurm },
	{ "junit", 0, "FILE", CMD_TEST, ARGV_ONLY, ONCE, "write a report in JUnit's XML",
	  set_suite_junit },
	{ "json", 0, "FILE", CMD_TEST, ARGV_ONLY, ONCE, "write a report in JSON", set_suite_json },
	{ "ktap", 0, "FILE", CMD_TEST, ARGV_ONLY, ONCE,
	  "write a report in the kernel's form of TAP", set_suite_ktap },
	{ "host", 0, "HOST", CMD_PLAN, ARGV_ONLY, ONCE,
	  "plan for another host: vendor=amd|hygon|intel|other and, if need be,\n"
	  "family=N,phys-bits=N,guest-phys-bits=N,mem-encrypt-bits=N; without\n"
	  "them family 25 and 48 bits for amd, family 24 and 48 for hygon,\n"
	  "family 6 and 46 for intel, 48 for other; auto (default): this host",
	  config_parse_host },
	{ "host-pci", 0, "DEVICE,...", CMD_PLAN, ARGV_ONLY, MANY,
	  "a device of --host for --vfio to name; may be repeated. Keys:\n"
	  "group=N      its IOMMU group\n"
	  "bar0=16M...  a BAR's size; then :64 and :pref, or :io, as they apply\n"
	  "rom=512K     the size of its option ROM\n"
	  "vf=on        a virtual function: no part of a card with others",
	  config_set_host_pci },
	{ "host-resv", 0, "N,A-B,TYPE", CMD_PLAN, ARGV_ONLY, MANY,
	  "what IOMMU group N of --host reserves: addresses from A up to, not\n"
	  "including, B; TYPE is reserved, direct, direct-relaxable or msi",
	  config_set_host_resv },
	{ "host-usable", 0, "START-END", CMD_PLAN, ARGV_ONLY, MANY,
	  "what the IOMMU of --host can map; END is the first address after\n"
	  "the range; may be repeated (default: everything)",
	  config_set_host_usable },
	{ "probe", 0, NULL, CMD_PLAN, ARGV_ONLY, ONCE,
	  "attach the --vfio devices and ask what the IOMMU can map, as\n"
	  "straddle run does; else the plan goes by what sysfs says",
	  set_probe },
	{ "json", 0, NULL, CMD_PLAN | CMD_CHECK, ARGV_ONLY, ONCE, "print JSON instead of a table",
	  set_json },
	{ "dtb", 0, "FILE", CMD_PLAN, ARGV_ONLY, ONCE,
	  "write the plan as a device tree that --plan reads", set_dtb_file },
	{ "plan", 0, "FILE", BOOTS, IN_FILE, ONCE,
	  "use the plan of a --dtb file instead of making one", set_plan_file },
	{ "config", 0, "FILE", BOOTS, ARGV_ONLY, ONCE,
	  "read more options from a file: lines of memory = 4G, # for comments;\n"
	  "what the command line gives wins; --no-rng takes back a flag",
	  set_config_file },
	{ "fold", 0, "SIZE", BOOTS, ARGV_ONLY, ONCE,
	  "for tests: all RAM is this much host memory, over and over, so that\n"
	  "any size starts on any host; only a guest that knows can use it",
	  set_fold },
	{ "verbose", 'v', NULL, ALL, IN_FILE, ONCE, "say more about what happens", set_verbose },
	{ "help", 'h', NULL, ALL, ARGV_ONLY, ONCE, "show this help", set_help },
	{ "version", 0, NULL, ALL, ARGV_ONLY, ONCE, "show the version", set_version },
};

static_assert(ARRAY_SIZE(options) <= CONFIG_OPTIONS_MAX,
	      "config.given has a place for every option");

const struct config_option *config_options(size_t *n)
{
	*n = ARRAY_SIZE(options);
	return options;
}
