/* The user's request, as typed: command line and configuration file in one struct. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "vmm/base/err.h"
#include "vmm/base/facts.h"
#include "vmm/base/limits.h"
#include "vmm/base/span.h"
#include "vmm/base/virtio.h"

#include <stddef.h>

enum iova_policy {
	IOVA_AUTO, /* the AMD rule on AMD and Hygon hosts, what named devices reserve, --reserve */
	IOVA_VENDOR, /* the AMD rule on AMD and Hygon hosts, --reserve */
	IOVA_HOST,   /* what named devices reserve, --reserve */
	IOVA_OFF,    /* --reserve */
};

/* Where RAM lies. */
enum ram_layout {
	LAYOUT_LOWEST, /* at the lowest addresses that are free */
	LAYOUT_HOLE,   /* on both sides of every range that must stay free (plan/layout.h) */
};

/* Where a line of characters ends, the serial one or the virtio console. */
enum serial_kind {
	SERIAL_NONE,
	SERIAL_STDIO,
	SERIAL_FILE,
	SERIAL_PTY,
	SERIAL_UNIX,
	SERIAL_FD, /* not an option's value: a descriptor that straddle test opened */
};

struct config_line {
	enum serial_kind kind;
	char *path;	/* of a file or a socket */
	int fd;		/* of SERIAL_FD: both ways, borrowed */
	uint64_t limit; /* bytes of a file; 0: none */
};

/* The default limit in bytes of a file that a guest's output goes to. */
#define CONFIG_LINE_LIMIT GIB

/* Which command an option belongs to; an option may have several. */
enum config_command {
	CMD_RUN = 1 << 0,
	CMD_PLAN = 1 << 1,
	CMD_CHECK = 1 << 2,
	CMD_BIND = 1 << 3,   /* operands are BDFs */
	CMD_UNBIND = 1 << 4, /* the same */
	CMD_TEST = 1 << 5,   /* operands are files of cases */
};

#define CONFIG_INITRDS_MAX 16
#define CONFIG_RESERVE_MAX 64

/* --numa SIZE[,cpus=A-B,C-D...][,host=N] */
struct config_node {
	uint64_t size; /* bytes */
	bool has_cpus; /* cpus= was given; config.cpu_node has them */
	bool bound;    /* host= was given: RAM comes from this node of the host alone */
	unsigned host;
};

/* --cpu-affinity A-B@C-D: each of the vCPUs on any of the CPUs; A-B=C-D: one on one, in order */
struct config_affinity {
	uint16_t list; /* 0: anywhere; CONFIG_ONE_CPU; else config.cpu_lists[list - 1] */
	uint16_t cpu;  /* of CONFIG_ONE_CPU */
};

#define CONFIG_CPU_LISTS_MAX 256
#define CONFIG_ONE_CPU	     UINT16_MAX
#define CONFIG_HOST_CPUS     8192 /* the most that Linux on x86 can have (NR_CPUS) */

/* Numbers of a host's nodes are below this (CONFIG_NODES_SHIFT of Linux on x86 is 10 at most). */
#define CONFIG_HOST_NODES 1024

/*
 * --vfio NAME[,port=off][,node=N][,rom=off|FILE][,caps=A+B][,token=UUID][,on-error=continue]
 * [,noiommu=on]
 */
struct config_vfio {
	char *name;	/* BDF, or a path of sysfs */
	bool root_bus;	/* port=off: on a root bus and not behind a root port */
	bool has_node;	/* node=N */
	unsigned node;	/* the guest's; valid if has_node */
	bool no_rom;	/* rom=off */
	char *rom_file; /* NULL: the device's own */
	unsigned caps;	/* capabilities to show: bits in the order of config_vfio_caps[] */
	bool no_map;	/* map=off: each access of the guest to its BARs exits */
	bool no_p2p;	/* p2p=off: other devices do not reach its BARs */
	char *token;	/* VF token: a UUID; NULL: none */
	bool error_continues;
	bool no_iommu;
};

/* "sriov", "ari", "rebar", "ats", "pri", "pasid", NULL: the bits of config_vfio.caps, and of enum
 * vfio_caps in vfio/pci.h. */
extern const char *const config_vfio_caps[];

#define CONFIG_DISKS_MAX 16

/* --disk
 * [path=]FILE[,readonly=on|,private=on][,direct=on][,discard=on][,on-full=error][,format=raw]
 * [,serial=TEXT][,queues=N][,ring=split]
 * or --disk vhost-user=SOCKET[,queues=N]
 */
struct config_disk {
	char *path;
	char *vhost_user; /* the socket of a process that serves it; or NULL */
	bool readonly;
	bool private;	     /* private=on: the guest's writes are for this run only */
	bool direct;	     /* O_DIRECT */
	bool discard;	     /* the guest's discards free space on the host */
	bool fail_when_full; /* on-full=error: a write without room on the host fails */
	bool raw;	     /* format=raw: whatever its first bytes look like */
	char *serial;	     /* at most VIRTIO_BLK_SERIAL bytes; NULL: none */
	unsigned queues;     /* 0: not given */
	bool split;	     /* ring=split: no packed rings */
};

#define CONFIG_NETS_MAX 8

enum config_net_kind {
	NET_USER, /* passt */
	NET_TAP,
	NET_FD,
	NET_VHOST_USER,
};

/* --net user|tap=NAME[,queues=N]|fd=N[:N...]|vhost-user=SOCKET[,vhost=on|off][,mac=MAC] */
struct config_net {
	enum config_net_kind kind;
	char *tap;
	char *vhost_user;
	unsigned queues; /* queue pairs */
	int fds[VIRTIO_NET_PAIRS_MAX];
	enum { VHOST_AUTO, VHOST_ON, VHOST_OFF } vhost; /* of tap and fd */
	bool has_mac;
	uint8_t mac[6];
};

#define CONFIG_FS_MAX 8

/* --fs socket=SOCKET,tag=TAG */
struct config_fs {
	char *socket;
	char *tag;
};

/* --pmem [file=]FILE[,private=on] */
struct config_pmem {
	char *path;
	bool private; /* the guest's writes stay in memory and are lost at the end */
};

/* Whether RAM is touched ahead of the guest; see config_prefaults(). */
enum config_prefault {
	PREFAULT_AUTO, /* with --vfio: devices pin all of RAM anyway; with bound huge pages */
	PREFAULT_OFF,
	PREFAULT_ON,	     /* before the guest starts */
	PREFAULT_BACKGROUND, /* while it runs: devices come when all of it is there and mapped */
};

/* What becomes of a guest whose devices do not come (PREFAULT_BACKGROUND). */
enum config_late_failure {
	LATE_FAILURE_ENDS,
	LATE_FAILURE_CONTINUES,
};

enum vfio_backend {
	VFIO_AUTO,
	VFIO_TYPE1,
	VFIO_IOMMUFD,
};

#define CONFIG_SPLATS_MAX   16
#define CONFIG_PATTERNS_MAX 16

/* straddle test: what the guest is given, and how long it may take. */
struct config_test {
	bool no_init;	     /* --init none: the user's initrd has an init of its own */
	char *root;	     /* --root: "none", "host", a folder or an image; NULL: none */
	char *modules;	     /* --modules; NULL: those of the kernel's release on this host */
	unsigned boot_limit; /* seconds until init speaks */
	unsigned idle_limit; /* seconds without a byte or I/O */
	unsigned limit;	     /* seconds for the case */
	char *allow_splats[CONFIG_SPLATS_MAX]; /* extended regular expressions */
	unsigned nr_allow_splats;
	char *output;	    /* folder for what a failed case leaves; NULL: straddle-test */
	bool always_output; /* and every case leaves something there */
	char *core;	    /* --core; NULL: none */
	bool keep;	    /* --keep: a guest that failed is stopped and waits to be looked at */
	/* when it passes; expressions are extended regular ones */
	char *expect; /* "panic", "status 3"; NULL: status 0 */
	char *console_has[CONFIG_PATTERNS_MAX], *console_lacks[CONFIG_PATTERNS_MAX];
	unsigned nr_console_has, nr_console_lacks;
};

/* straddle test: which cases of files run, how, and the reports on them. */
struct config_suite {
	unsigned jobs;	 /* cases at a time at most; 0: not given, one */
	bool count_cpus; /* and no more than the host has CPUs for */
	bool list, fail_fast;
	bool slurm;		   /* on the nodes of a Slurm cluster */
	char *filter;		   /* extended regular expression for names; NULL: all */
	unsigned repeat, retry;	   /* 0: not given */
	unsigned shard, shards;	   /* the shard-th of that many parts, from 1 on; 0: all */
	char *junit, *json, *ktap; /* files for reports, or NULL */
};

#define CONFIG_OPTIONS_MAX 128

/* Which options were given, by index in config_options(). */
struct config_given {
	bool at[CONFIG_OPTIONS_MAX];
};

struct config {
	/* boot */
	char *kernel;
	char *initrds[CONFIG_INITRDS_MAX]; /* in the order in which the kernel unpacks them */
	unsigned nr_initrds;
	char *append;
	/* memory */
	uint64_t memory;	    /* bytes; default 1 GiB */
	uint64_t max_memory;	    /* bytes; 0: no hotplug */
	uint64_t low_memory;	    /* bytes below 4 GiB at most; 0: up to 3 GiB */
	uint64_t high_memory_start; /* GPA; 0: 4 GiB */
	enum ram_layout layout;
	uint64_t page_size; /* backing page: 4 KiB (default), 2 MiB or 1 GiB */
	bool huge_or_fail;  /* --page-size thp: the host must make transparent huge pages of 4K */
	enum config_prefault prefault;
	enum config_late_failure on_late_failure;
	bool overcommit;     /* RAM that the host does not have at once is allowed */
	bool lock_memory;    /* nothing of RAM is swapped out */
	uint64_t fold;	     /* tests: all RAM is this much host memory, repeated; 0: off */
	uint64_t pci32_size; /* wanted 32-bit PCI window, bytes; 0: default */
	uint64_t pci64_size; /* wanted 64-bit PCI window, bytes; 0: default */
	struct config_node nodes[NODES_MAX];
	unsigned nr_nodes; /* 0: one node with everything */
	bool numa_host;	   /* --numa host: config_copy_nodes() makes the nodes */
	/* Of each CPU that a node's cpus= names: 1 and the number of the node. config_cpu_node() */
	uint8_t cpu_node[CPUS_MAX];
	/* --numa-distance A,B,D: [A][B] is D. 0: not given; then the other way's, or the default */
	uint8_t distances[NODES_MAX][NODES_MAX];
	/* CPUs: all four are set after config_check; cpus == sockets * cores * threads */
	unsigned cpus, sockets, cores, threads;
	unsigned dies; /* of a socket; divides cores, and is 1 unless the user says */
	struct config_affinity affinity[CPUS_MAX];
	char *cpu_lists[CONFIG_CPU_LISTS_MAX]; /* "0-3,64-67": CPUs of the host */
	unsigned nr_cpu_lists;
	bool has_affinity;
	bool affinity_auto; /* vCPUs are on the node of the host that their node is bound to */
	unsigned phys_bits; /* 0: the host's */
	/* addresses that must stay free */
	enum iova_policy iova_policy;
	struct span reserve[CONFIG_RESERVE_MAX];
	unsigned nr_reserve;
	/* devices */
	struct config_vfio vfio[PCI_DEVICES_MAX];
	unsigned nr_vfio;
	enum vfio_backend vfio_backend;
	unsigned spare_ports; /* root ports with nothing behind them */
	struct config_disk disks[CONFIG_DISKS_MAX];
	unsigned nr_disks;
	struct config_net nets[CONFIG_NETS_MAX];
	unsigned nr_nets;
	struct config_fs fs[CONFIG_FS_MAX];
	unsigned nr_fs;
	struct config_pmem pmem[PMEM_MAX];
	unsigned nr_pmem;
	bool rng;
	bool clock;
	bool watchdog;
	bool has_balloon;
	uint64_t balloon;	    /* bytes, at first */
	uint32_t vsock_cid;	    /* 0: no such device */
	char *vsock_socket;	    /* NULL: the kernel serves it */
	uint32_t vsock_port;	    /* of the host: who connects there gets vsock_fd; 0: none */
	int vsock_fd;		    /* of straddle test, never an option's; borrowed */
	struct config_line serial;  /* default: stdio, or none if the console is there */
	struct config_line console; /* virtio */
	struct config_line channel; /* a second serial line; never an option's */
	bool has_debug_exit;
	uint16_t debug_exit_port;
	unsigned debug_exit_base; /* 0: (v << 1) | 1 */
	/* behaviour */
	bool no_reboot;
	unsigned timeout;      /* seconds for the whole run; 0: none */
	unsigned stop_timeout; /* seconds after SIGTERM; 0: none */
	bool panic_by_device;  /* --panic-watch pvpanic: a panic's line on a console does not count
				*/
	bool verbose;
	char *control;	   /* --control SOCKET */
	char *plan_file;   /* --plan FILE: replay */
	char *config_file; /* --config FILE */
	struct config_test test;
	struct config_suite suite;
	/* straddle plan */
	bool json;
	bool probe; /* --probe: attach the devices and ask for usable IOVAs */
	char *dtb_file;
	bool has_host; /* --host vendor=...; false: ask this host */
	struct host_facts host;
	/* the words that are not options; borrowed from argv */
	char *const *operands;
	unsigned nr_operands;
	/* straddle test: those behind "--", the guest's command; borrowed */
	char *const *command;
	unsigned nr_command;
	/* --help, --version: printed instead of anything else */
	bool help, version;
	struct config_given given; /* by any source; for config_check's sentences */
};

#define CONFIG_EMPTY                                                          \
	{                                                                     \
		.memory = GIB, .page_size = 4 * KIB, .cpus = 1, .dies = 1,    \
		.serial = { .kind = SERIAL_STDIO }, .stop_timeout = 10,       \
		.test = { .boot_limit = 60, .idle_limit = 30, .limit = 600 }, \
	}

struct config_option {
	const char *name;     /* "memory" is --memory */
	char letter;	      /* 'v' is -v; 0: none */
	const char *argument; /* "SIZE"; NULL: takes none */
	unsigned commands;    /* enum config_command bits */
	bool in_file;	      /* allowed as a key in --config files */
	bool repeatable;      /* may be given more than once; the values add up */
	const char *help;     /* one sentence; '\n' breaks the line */
	int (*set)(struct config *c, const char *value, struct err *err);
};

const struct config_option *config_options(size_t *n);

/*
 * Sizes: a decimal number, optionally with a fraction, and K, M, G or T (powers of 1024),
 * optionally followed by "iB" or "B"; or 0x and hexadecimal digits. Computed exactly; what is not
 * whole bytes (1.1T) is rounded down to a multiple of 2 MiB, unless that is 0. -EINVAL and a
 * sentence to follow "NAME VALUE: "; *bytes is then untouched.
 */
int config_parse_size(const char *text, uint64_t *bytes, struct err *err);

/* The same, rounded up. */
int config_parse_size_up(const char *text, uint64_t *bytes, struct err *err);

/*
 * Parses argv[0..argc) (without program and command name) for one command. -EINVAL and a sentence
 * on the first mistake. GNU long options: --name VALUE, --name=VALUE, unique prefixes; -v; "--"
 * ends. A flag that may stand in a file is taken back by --no-NAME (--no-reboot by --reboot). Other
 * words are operands of the commands that have some, and stand together. Options given on the
 * command line win over those of the configuration file: the caller parses argv, then the file's
 * text with config_parse_file, which sets only what argv did not give (repeatable options add up).
 */
int config_parse(struct config *c, enum config_command cmd, int argc, char *const argv[],
		 struct err *err);

/* One source of options, and which of them it and those that win over it gave. */
struct config_source {
	struct config_given given; /* by this source */
	struct config_given fixed; /* by those that win over it */
	const char *dashes;	   /* how names are written there */
	const char *assign;
	const char *also; /* a key there that is no option, to be suggested as well; NULL: none */
};

/* A file's lines, over which all that *c has now wins. */
void config_source_of_lines(struct config_source *from, const struct config *c);
/*
 * Applies one line of such a source; value NULL: there is none, as of a flag. -EINVAL and a
 * sentence that does not say where the line is.
 */
int config_apply_line(struct config *c, struct config_source *from, enum config_command cmd,
		      const char *key, const char *value, struct err *err);
/*
 * Splits a line in place, "key = value # comment" as config_parse_file() says. *key is "" on an
 * empty line, *value NULL where there is none.
 */
int config_split_line(char *line, char **key, char **value, struct err *err);

/*
 * Lines of `key = value` or `key` (for options without argument, which also take `= on` and
 * `= off`, and `no-key`). A UTF-8 byte order mark at the beginning is skipped. # begins a comment,
 * at the start of a line or value or after a blank. A value is the rest of the line without the
 * blanks around it, or in double quotes, which keep blanks and #; the closing quote is the first
 * one that nothing but blanks or a comment follows, so a quoted value may have quotes of its own,
 * and there are no escapes. The text is untrusted: no NUL, no line beyond 64 KiB; CR before LF is
 * ignored. The sentence begins with "NAME:LINE: ".
 */
int config_parse_file(struct config *c, enum config_command cmd, const char *name, const char *text,
		      size_t len, struct err *err);

/*
 * Judges combinations of options, and sets what depends on several (CPU topology; host.pci in the
 * order of vfio). -EINVAL and a sentence.
 */
int config_check(struct config *c, enum config_command cmd, struct err *err);

/*
 * For --numa host, before config_check(): makes the host's nodes the guest's, with as large a part
 * of RAM and CPUs each, bound to them, their distances, and threads and sockets as far as the
 * numbers allow and --cpus does not say others. -EINVAL and a sentence.
 */
int config_copy_nodes(struct config *c, const struct host_nodes *host, struct err *err);

/* Takes back the options of files of cases, for the configuration of one case. */
void config_forget_suite(struct config *c);

/*
 * Reads the value of --host,
 * vendor=amd|hygon|intel|other[,family=N][,phys-bits=N][,guest-phys-bits=N][,mem-encrypt-bits=N],
 * into c->host; "auto" leaves has_host false. Family and phys-bits default to those of a common
 * server of that vendor (config/host.c). -EINVAL and a sentence.
 */
int config_parse_host(struct config *c, const char *text, struct err *err);

/* Writes the options of one command, 100 columns, as --help shows them. Returns the length. */
size_t config_help(enum config_command cmd, char *out, size_t cap);

void config_free(struct config *c);

/* The exit status for a value (7 bits) that the guest wrote to the debug-exit port. */
int config_debug_exit_status(const struct config *c, unsigned value);

/* Whether options say what a guest's RAM is, or what it is used for. */
bool config_names_ram(const struct config *c);
/* Whether devices pin all of RAM: they do not without an IOMMU. */
bool config_pins_ram(const struct config *c);
/* Whether RAM is locked for --lock-memory: what devices pin is not swapped out anyway. */
bool config_locks_ram(const struct config *c);
/* Whether all of RAM is touched, before the guest starts or while it runs. */
bool config_prefaults(const struct config *c);

/*
 * The node of a CPU: as cpus= says, or, if no node has that, dealt out evenly by cores, in order.
 */
unsigned config_cpu_node(const struct config *c, unsigned cpu);

/* Whether a node's RAM is bound to one of the host. */
bool config_binds_ram(const struct config *c);

/* Whether another process serves a device, for which the guest's RAM must be a file. */
bool config_shares_ram(const struct config *c);

const char *iova_policy_name(enum iova_policy policy);

#endif
