/*
 * The command line and the configuration file: what is taken means what it says, and every mistake
 * is one sentence that names the option, the value and the way out.
 */
#include "tests/unit/config/config_line.h"
#include "vmm/config/internal.h"

#include <inttypes.h>
#include <stdio.h>

static void test_defaults(void **state)
{
	struct config c;

	(void)state;
	accept(&c, CMD_PLAN, "");
	assert_int_equal(c.memory, GIB);
	assert_int_equal(c.page_size, 4 * KIB);
	assert_int_equal(c.cpus, 1);
	assert_int_equal(c.sockets * c.cores * c.threads, 1);
	assert_int_equal(c.iova_policy, IOVA_AUTO);
	assert_int_equal(c.serial.kind, SERIAL_STDIO);
	assert_int_equal(c.timeout, 0);
	assert_int_equal(c.stop_timeout, 10);
	assert_false(c.panic_by_device);
	assert_false(c.has_host || c.has_debug_exit || c.no_reboot || c.verbose || c.json);
	for (unsigned i = 0; i < CONFIG_OPTIONS_MAX; i++)
		assert_false(c.given.at[i]);
	config_free(&c);
	accept(&c, CMD_CHECK, "");
	config_free(&c);
}

static void test_prefault(void **state)
{
	struct config c;

	(void)state;
	accept(&c, CMD_RUN, "--kernel|k");
	assert_false(config_prefaults(&c));
	config_free(&c);
	accept(&c, CMD_RUN, "--kernel|k|--prefault|on");
	assert_true(config_prefaults(&c));
	config_free(&c);
	accept(&c, CMD_RUN, "--kernel|k|--vfio|0000:41:00.0");
	assert_true(config_prefaults(&c));
	config_free(&c);
	accept(&c, CMD_CHECK, "--prefault|off|--vfio|0000:41:00.0");
	assert_false(config_prefaults(&c));
	config_free(&c);
	accept(&c, CMD_RUN, "--kernel|k|--prefault|background");
	assert_true(config_prefaults(&c));
	assert_int_equal(c.prefault, PREFAULT_BACKGROUND);
	assert_int_equal(c.on_late_failure, LATE_FAILURE_ENDS);
	config_free(&c);
	accept(&c, CMD_RUN, "--kernel|k|--prefault|background|--on-late-failure|continue");
	assert_int_equal(c.on_late_failure, LATE_FAILURE_CONTINUES);
	config_free(&c);
	refuse(CMD_RUN, "--kernel|k|--prefault|maybe", "use on, off or background");
	refuse(CMD_RUN, "--kernel|k|--on-late-failure|stop", "use end or continue");
}

static void test_private_disks(void **state)
{
	struct config c;

	(void)state;
	accept(&c, CMD_RUN,
	       "--kernel|k|--disk|a,private=on,direct=on,discard=on,on-full=error|"
	       "--disk|b,private=off,readonly=on|--disk|private=on,readonly=off,path=c|--disk|d");
	assert_true(c.disks[0].private && c.disks[0].direct && c.disks[0].discard);
	assert_true(c.disks[0].fail_when_full && !c.disks[0].readonly);
	assert_true(!c.disks[1].private && c.disks[1].readonly);
	assert_true(c.disks[2].private && !c.disks[2].readonly);
	assert_false(c.disks[3].private);
	config_free(&c);
	refuse(CMD_RUN, "--kernel|k|--disk|a,readonly=on,private=on", "exclude each other");
	refuse(CMD_RUN, "--kernel|k|--disk|a,private=1", "private=");
	refuse(CMD_RUN, "--kernel|k|--disk|vhost-user=s,private=on", "queues= only");
}

static void test_every_option(void **state)
{
	struct config c;

	(void)state;
	accept(&c, CMD_RUN,
	       "--kernel|vm linuz|--initrd=rd.img|--append|console=ttyS0 a=b|--memory|3G|"
	       "--max-memory=8G|--cpus|8,sockets=2,threads=2|--phys-bits|40|--iova-policy|vendor|"
	       "--reserve|0xfd00000000-1T|--reserve|8G-0x300000000|--low-memory|1G|"
	       "--high-memory-start|0xfcf0000000|--page-size|2M|--pci32-window|256M|"
	       "--pci64-window|0.5T|--numa|1G,cpus=0-5|--numa|2G,cpus=6-7|--serial|file:/a:b|"
	       "--no-reboot|--debug-exit|0xf4,base=16|--timeout|300|--stop-timeout|0|-v|"
	       "--panic-watch|pvpanic|--console|file:/a,limit=1K,b,limit=2M");
	assert_string_equal(c.kernel, "vm linuz");
	assert_int_equal(c.nr_initrds, 1);
	assert_string_equal(c.initrds[0], "rd.img");
	assert_string_equal(c.append, "console=ttyS0 a=b");
	assert_int_equal(c.memory, 3 * GIB);
	assert_int_equal(c.max_memory, 8 * GIB);
	assert_int_equal(c.cpus, 8);
	assert_int_equal(c.sockets, 2);
	assert_int_equal(c.cores, 2);
	assert_int_equal(c.threads, 2);
	assert_int_equal(c.phys_bits, 40);
	assert_int_equal(c.iova_policy, IOVA_VENDOR);
	assert_int_equal(c.nr_reserve, 2);
	assert_int_equal(c.reserve[0].base, 0xfd00000000);
	assert_int_equal(c.reserve[0].end, TIB);
	assert_int_equal(c.reserve[1].base, 8 * GIB);
	assert_int_equal(c.reserve[1].end, 12 * GIB);
	assert_int_equal(c.low_memory, GIB);
	assert_int_equal(c.high_memory_start, 0xfcf0000000);
	assert_int_equal(c.page_size, 2 * MIB);
	assert_int_equal(c.pci32_size, 256 * MIB);
	assert_int_equal(c.pci64_size, 512 * GIB);
	assert_int_equal(c.nr_nodes, 2);
	assert_int_equal(c.nodes[0].size, GIB);
	assert_int_equal(config_cpu_node(&c, 5), 0);
	assert_int_equal(c.nodes[1].size, 2 * GIB);
	assert_int_equal(config_cpu_node(&c, 6), 1);
	assert_int_equal(config_cpu_node(&c, 7), 1);
	assert_int_equal(c.serial.kind, SERIAL_FILE);
	assert_string_equal(c.serial.path, "/a:b");
	assert_int_equal(c.serial.limit, CONFIG_LINE_LIMIT);
	assert_string_equal(c.console.path, "/a,limit=1K,b");
	assert_int_equal(c.console.limit, 2 * MIB);
	assert_int_equal(c.debug_exit_base, 16);
	assert_int_equal(c.timeout, 300);
	assert_int_equal(c.stop_timeout, 0);
	assert_true(c.panic_by_device);
	assert_true(c.no_reboot && c.verbose && c.has_debug_exit);
	assert_int_equal(c.debug_exit_port, 0xf4);
	config_free(&c);
	assert_null(c.kernel);

	accept(&c, CMD_RUN, "--kernel k --initrd a --initrd b");
	assert_int_equal(c.nr_initrds, 2);
	assert_string_equal(c.initrds[0], "a");
	assert_string_equal(c.initrds[1], "b");
	config_free(&c);

	accept(&c, CMD_RUN, "--kernel k --plan p.dtb --serial unix:/s --config c");
	assert_string_equal(c.plan_file, "p.dtb");
	assert_string_equal(c.config_file, "c");
	assert_int_equal(c.serial.kind, SERIAL_UNIX);
	assert_string_equal(c.serial.path, "/s");
	config_free(&c);

	accept(&c, CMD_PLAN, "--json --host vendor=amd --serial pty");
	assert_true(c.json && c.has_host);
	assert_int_equal(c.serial.kind, SERIAL_PTY);
	config_free(&c);
	accept(&c, CMD_PLAN, "--dtb out.dtb --serial none");
	assert_string_equal(c.dtb_file, "out.dtb");
	assert_int_equal(c.serial.kind, SERIAL_NONE);
	config_free(&c);
}

/* The ways in which one option can be written. */
static void test_spellings(void **state)
{
	static const char *const lines[] = {
		"--memory 2G",	  "--memory=2G", "--mem 2G",	   "--mem=2G",
		"-m 2G",	  "-m2G",	 "-vm2G",	   "-vm 2G",
		"--memory 2G --", "-v -v -m2G",	 "--memory 2048M", "--numa 1G --numa 1G",
	};
	struct config c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		accept(&c, CMD_PLAN, lines[i]);
		if (c.memory != 2 * GIB)
			fail_msg("%s: %" PRIu64, lines[i], c.memory);
		config_free(&c);
	}
	accept(&c, CMD_PLAN, "--kernel|k|--append|--not=mine");
	assert_string_equal(c.append, "--not=mine");
	config_free(&c);
	accept(&c, CMD_PLAN, "--kernel=k --append=");
	assert_string_equal(c.append, "");
	config_free(&c);
	/* Help comes before mistakes that follow it; the rest is not judged. */
	accept(&c, CMD_PLAN, "-h --nonsense");
	assert_true(c.help);
	config_free(&c);
	accept(&c, CMD_CHECK, "--vers");
	assert_true(c.version);
	config_free(&c);
}

static void test_bad_spellings(void **state)
{
	(void)state;
	refuse(CMD_RUN, "--memroy 1G", "unknown option --memroy; did you mean --memory?");
	refuse(CMD_RUN, "--cpsu 2", "unknown option --cpsu; did you mean --cpus?");
	refuse(CMD_RUN, "--kernal=x", "unknown option --kernal; did you mean --kernel?");
	refuse(CMD_RUN, "--frobnicate",
	       "unknown option --frobnicate; straddle run --help lists the options");
	refuse(CMD_RUN, "--=x", "unknown option --; straddle run --help");
	refuse(CMD_RUN, "--thisnameisfartoolongtobeanyoption", "unknown option --thisnameis");
	refuse(CMD_RUN, "-kernel x", "unknown option -kernel; did you mean --kernel?");
	refuse(CMD_RUN, "-q", "unknown option -q; straddle run --help lists the options");
	refuse(CMD_CHECK, "-q", "unknown option -q; straddle check --help");
	refuse(CMD_CHECK, "--kernel x",
	       "--kernel is not an option of straddle check; it belongs to straddle run, plan and "
	       "test");
	refuse(CMD_RUN, "--json",
	       "--json is not an option of straddle run; it belongs to straddle plan, check "
	       "and test");
	refuse(CMD_RUN, "--pci 1G", "--pci could be --pci32-window, --pci64-window; write more");
	refuse(CMD_RUN, "vmlinuz", "'vmlinuz' is not an option, and straddle run takes nothing");
	refuse(CMD_RUN, "-- --kernel", "'--kernel' is not an option, and");
	refuse(CMD_RUN, "-", "'-' is not an option");
	refuse(CMD_RUN, "-v|", "'' is not an option");
	refuse(CMD_RUN, "--memory", "--memory needs a value: --memory SIZE");
	refuse(CMD_RUN, "-m", "--memory needs a value: --memory SIZE");
	refuse(CMD_RUN, "--memory=", "--memory '': a size is missing");
	refuse(CMD_RUN, "--no-reboot=maybe", "--no-reboot maybe: use on or off");
	refuse(CMD_PLAN, "--json=on", "--json takes no value, but 'on' is given");
	refuse(CMD_PLAN, "--no-json", "unknown option --no-json");
	refuse(CMD_RUN, "--no-help", "unknown option --no-help");
	refuse(CMD_RUN, "--no-memory", "unknown option --no-memory");
	refuse(CMD_RUN, "--no-rng=on", "unknown option --no-rng");
	refuse(CMD_BIND, "--no-rng", "--rng is not an option of straddle bind");
	refuse(CMD_RUN, "--memory 1G -m2G",
	       "--memory is given twice, the second time as '2G'; keep one");
	refuse(CMD_RUN, "--kernel=", "--kernel '': a file name is missing");
	refuse(CMD_RUN, "--kernel|k|--mem\x1b[2Jory", "unknown option --mem?[2Jory");
}

/* Names that other monitors have for something are not taken for slips of the fingers. */
static void test_foreign_names(void **state)
{
	(void)state;
	refuse(CMD_RUN, "-smp 2", "unknown option -smp; did you mean --cpus?");
	refuse(CMD_RUN, "--smp 2", "unknown option --smp; did you mean --cpus?");
	refuse(CMD_RUN, "-hda disk.img", "unknown option -hda; did you mean --disk?");
	refuse(CMD_RUN, "-drive=file=x", "unknown option -drive; did you mean --disk?");
	refuse(CMD_RUN, "-device vfio-pci,host=41:00.0",
	       "unknown option -device; did you mean --vfio?");
	refuse(CMD_RUN, "--cmdline quiet", "unknown option --cmdline; did you mean --append?");
	refuse(CMD_RUN, "-nographic",
	       "unknown option -nographic; leave it out, because the serial line is on the");
	refuse(CMD_RUN, "-enable-kvm", "leave it out, because KVM is always used");
	/* bind has no --cpus to be meant. */
	refuse(CMD_BIND, "--smp 2", "unknown option --smp; straddle bind --help lists");
}

/* Every name there leads to an option, and none is an option's own. */
static void test_foreign_table(void **state)
{
	static const char *const names[] = {
		"accel",  "api-sock", "block",	   "cdrom",	"cmdline", "cpu",
		"device", "drive",    "hda",	   "initramfs", "machine", "mem",
		"netdev", "nic",      "nographic", "params",	"smp",
	};
	const struct config_option *options;
	size_t n;

	(void)state;
	options = config_options(&n);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct suggestion s =
			config_suggest(names[i], strlen(names[i]), CMD_RUN, false, NULL);
		bool found = s.needless;

		assert_true(config_is_foreign(names[i], strlen(names[i])));
		for (size_t j = 0; j < n; j++) {
			assert_string_not_equal(options[j].name, names[i]);
			found |= s.option && !strcmp(options[j].name, s.option);
		}
		if (!found)
			fail_msg("%s leads nowhere", names[i]);
	}
}

/* What a file turned on, the command line turns off. */
static void test_flags_taken_back(void **state)
{
	static const char text[] = "rng\nwatchdog = yes\nno-reboot = on\nverbose = no\n";
	char *const argv[] = { "--no-watchdog", "--reboot" };
	struct config c = CONFIG_EMPTY;
	struct err err = { "" };

	(void)state;
	assert_int_equal(config_parse(&c, CMD_RUN, ARRAY_SIZE(argv), argv, &err), 0);
	if (config_parse_file(&c, CMD_RUN, "f", text, sizeof(text) - 1, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(c.rng);
	assert_false(c.watchdog || c.no_reboot || c.verbose);
	config_free(&c);
	assert_int_equal(config_parse_file(&c, CMD_RUN, "f", text, sizeof(text) - 1, &err), 0);
	assert_true(c.rng && c.watchdog && c.no_reboot);
	config_free(&c);
	assert_int_equal(config_parse_file(&c, CMD_RUN, "f", "rng\nno-rng\n", 11, &err), 0);
	assert_false(c.rng);
	config_free(&c);
	accept(&c, CMD_RUN, "--kernel k --rng --no-rng --no-reboot --reboot");
	assert_false(c.rng || c.no_reboot);
	config_free(&c);
	accept(&c, CMD_RUN, "--kernel k --no-rng --rng");
	assert_true(c.rng);
	config_free(&c);
}

static void test_bad_values(void **state)
{
	(void)state;
	refuse(CMD_RUN, "--memory 12Q", "--memory 12Q: 'Q' is not a size suffix; use K, M, G or T");
	refuse(CMD_RUN, "--max-memory 0", "--max-memory 0: 0 is not possible");
	refuse(CMD_RUN, "--cpus 0", "--cpus 0: 0 is out of range; it may be 1 to 4096");
	refuse(CMD_RUN, "--cpus 4097", "--cpus 4097: 4097 is out of range");
	refuse(CMD_RUN, "--cpus x", "--cpus x: 'x' is not a number");
	refuse(CMD_RUN, "--cpus 18446744073709551617", "is out of range");
	refuse(CMD_RUN, "--cpus 2,",
	       "'' is unknown here; use N,sockets=N,dies=N,cores=N,threads=N");
	refuse(CMD_RUN, "--cpus 2,2", "'2' is unknown here");
	refuse(CMD_RUN, "--cpus 2,books=2", "'books' is unknown here");
	refuse(CMD_RUN, "--cpus 2,cores", "cores needs a number: cores=N");
	refuse(CMD_RUN, "--cpus 2,cores=1,cores=2", "cores is given twice");
	refuse(CMD_RUN, "--cpus 2,cores=", "cores=: a number is missing");
	refuse(CMD_RUN, "--phys-bits 53", "--phys-bits 53: 53 is out of range; it may be 33 to 52");
	refuse(CMD_RUN, "--phys-bits 32", "it may be 33 to 52");
	refuse(CMD_RUN, "--page-size 4M",
	       "--page-size 4M: hosts have pages of 4K, 2M and 1G; use one of them, or thp");
	refuse(CMD_RUN, "--iova-policy on",
	       "--iova-policy on: the policy is auto, vendor, host or");
	refuse(CMD_RUN, "--serial tty", "--serial tty: use stdio, file:PATH");
	refuse(CMD_RUN, "--serial stdio:x", "--serial stdio:x: use stdio");
	refuse(CMD_RUN, "--serial file:", "--serial file:: a file name is missing");
	refuse(CMD_RUN, "--serial file:,limit=1M", "--serial file:,limit=1M: a file name is");
	refuse(CMD_RUN, "--serial file:x,limit=1K", "file:x,limit=1K: limit= is 0, for none, or");
	refuse(CMD_RUN, "--serial file:x,limit=", "file:x,limit=: limit=: ");
	refuse(CMD_RUN, "--debug-exit 0x10000", "--debug-exit 0x10000: 0x10000 is out of range");
	refuse(CMD_RUN, "--debug-exit 0xf4=1", "--debug-exit 0xf4=1: the port comes first");
	refuse(CMD_RUN, "--debug-exit base=16", "--debug-exit base=16: the port comes first");
	refuse(CMD_RUN, "--debug-exit 1,base=6", "--debug-exit 1,base=6: base=6: ");
	refuse(CMD_RUN, "--debug-exit 1,base=129", "--debug-exit 1,base=129: base=129: ");
	refuse(CMD_RUN, "--debug-exit 1,to=9", "--debug-exit 1,to=9: ");
	refuse(CMD_RUN, "--timeout 0", "--timeout 0: 0 is out of range");
	refuse(CMD_RUN, "--timeout 5m", "--timeout 5m: ");
	refuse(CMD_RUN, "--stop-timeout -1", "--stop-timeout -1: ");
	refuse(CMD_RUN, "--panic-watch no", "--panic-watch no: use console or pvpanic");
	refuse(CMD_RUN, "--reserve 1G", "--reserve 1G: a range is START-END, such as");
	refuse(CMD_RUN, "--reserve -1G", "a range is START-END");
	refuse(CMD_RUN, "--reserve 1G-", "--reserve 1G-: a size is missing");
	refuse(CMD_RUN, "--reserve 1G-1024M", "the range is empty; END is the first address after");
	refuse(CMD_RUN, "--reserve 2G-1G", "--reserve 2G-1G: the range ends before it starts");
	refuse(CMD_RUN, "--reserve 1G-0x10000000000000000", "2^64 bytes or more");
	refuse(CMD_RUN, "--reserve 1G-2G-3G", "'G-3G' is not a size suffix");
	refuse(CMD_RUN, "--numa cpus=0", "--numa cpus=0: the node's size comes first");
	refuse(CMD_RUN, "--numa 0", "--numa 0: a node needs memory");
	refuse(CMD_RUN, "--numa 1G,mem=1", "'mem' is unknown here; use SIZE,cpus=A-B,C-D,host=N");
	refuse(CMD_RUN, "--numa 1G,host", "'host' is unknown here");
	refuse(CMD_RUN, "--numa 1G,host=x", "'x' is not a number");
	refuse(CMD_RUN, "--numa 1G,host=1024", "1024 is out of range");
	refuse(CMD_RUN, "--numa 1G,host=1,host=2", "host is given twice");
	refuse(CMD_RUN, "--numa 1G,cpus=0,host=1,2", "'2' is unknown here");
	refuse(CMD_RUN, "--numa 1G,0-1", "'0-1' is unknown here");
	refuse(CMD_RUN, "--numa 1G,cpus=0,,1", "'' is unknown here");
	refuse(CMD_RUN, "--numa 1G,cpus=", "a number is missing");
	refuse(CMD_RUN, "--numa 1G,cpus", "'cpus' is unknown here");
	refuse(CMD_RUN, "--numa 1G,cpus=2-1", "CPU 2 comes after CPU 1");
	refuse(CMD_RUN, "--numa 1G,cpus=1-", "a number is missing");
	refuse(CMD_RUN, "--numa 1G,cpus=0-2,cpus=1", "CPU 1 is there twice; write it once");
	refuse(CMD_RUN, "--numa 1G,cpus=4096", "4096 is out of range");
	refuse(CMD_RUN, "--cpu-affinity 0", "use VCPUS@CPUS, such as 0-3@8-11");
	refuse(CMD_RUN, "--cpu-affinity 0@", "a number is missing");
	refuse(CMD_RUN, "--cpu-affinity @0", "a number is missing");
	refuse(CMD_RUN, "--cpu-affinity 0@1=2", "'1=2' is no list of CPUs");
	refuse(CMD_RUN, "--cpu-affinity 0@8192", "8192 is out of range");
	refuse(CMD_RUN, "--cpu-affinity 4096@0", "4096 is out of range");
	refuse(CMD_RUN, "--cpu-affinity 0-1,1@0", "vCPU 1 is there twice; keep one");
	refuse(CMD_RUN, "--cpu-affinity 0-3=0-2",
	       "4 vCPUs cannot be on 3 CPUs one on one; use 0-3@0-2");
	refuse(CMD_RUN, "--numa-distance 0,1", "a distance is A,B,D");
	refuse(CMD_RUN, "--numa-distance 0,1,20,30", "a distance is A,B,D");
	refuse(CMD_RUN, "--numa-distance 0=1,1,20", "a distance is A,B,D");
	refuse(CMD_RUN, "--numa-distance 0,64,20", "64 is out of range");
	refuse(CMD_RUN, "--numa-distance 0,1,256", "256 is out of range");
	refuse(CMD_RUN, "--numa-distance 0,1,9", "two nodes are at least 11 apart");
	refuse(CMD_RUN, "--numa-distance 0,1,10", "two nodes are at least 11 apart");
	refuse(CMD_RUN, "--numa-distance 1,1,20", "a node is 10 from itself");
	refuse(CMD_RUN, "--numa-distance 0,1,20 --numa-distance 0,1,30",
	       "the distance from node 0 to 1 is given twice");
}

static void test_debug_exit_status(void **state)
{
	struct config c;

	(void)state;
	accept(&c, CMD_PLAN, "--debug-exit 0xf4");
	assert_int_equal(config_debug_exit_status(&c, 0), 1);
	assert_int_equal(config_debug_exit_status(&c, 42), 85);
	assert_int_equal(config_debug_exit_status(&c, 127), 255);
	config_free(&c);
	accept(&c, CMD_PLAN, "--debug-exit 0xf4,base=7");
	assert_int_equal(config_debug_exit_status(&c, 0), 7);
	config_free(&c);
	accept(&c, CMD_PLAN, "--debug-exit 0xf4,base=128");
	assert_int_equal(config_debug_exit_status(&c, 127), 255);
	config_free(&c);
}

static void test_too_many(void **state)
{
	struct config c = CONFIG_EMPTY;
	struct err err = { "" };
	char reserve[64], *argv[] = { "--reserve", reserve }, *node[] = { "--numa", "2M" };
	char *initrd[] = { "--initrd", "rd" };

	(void)state;
	for (unsigned i = 0; i < CONFIG_RESERVE_MAX; i++) {
		snprintf(reserve, sizeof(reserve), "%uG-%uG", 2 * i, 2 * i + 1);
		assert_int_equal(config_parse(&c, CMD_RUN, 2, argv, &err), 0);
	}
	assert_int_equal(config_parse(&c, CMD_RUN, 2, argv, &err), -EINVAL);
	assert_non_null(strstr(err.text, "at most 64 ranges"));
	for (unsigned i = 0; i < NODES_MAX; i++)
		assert_int_equal(config_parse(&c, CMD_RUN, 2, node, &err), 0);
	assert_int_equal(config_parse(&c, CMD_RUN, 2, node, &err), -EINVAL);
	assert_non_null(strstr(err.text, "at most 64 nodes"));
	for (unsigned i = 0; i < CONFIG_INITRDS_MAX; i++)
		assert_int_equal(config_parse(&c, CMD_RUN, 2, initrd, &err), 0);
	assert_int_equal(config_parse(&c, CMD_RUN, 2, initrd, &err), -EINVAL);
	assert_non_null(strstr(err.text, "at most 16; join some with cat"));
	config_free(&c);
}

static void test_host(void **state)
{
	static const struct {
		const char *text;
		struct host_facts facts;
	} cases[] = {
		{ "vendor=amd", { .vendor = HOST_AMD, .family = 25, .phys_bits = 48 } },
		{ "vendor=hygon", { .vendor = HOST_HYGON, .family = 24, .phys_bits = 48 } },
		{ "vendor=intel", { .vendor = HOST_INTEL, .family = 6, .phys_bits = 46 } },
		{ "vendor=other", { .vendor = HOST_OTHER, .family = 0, .phys_bits = 48 } },
		{ "phys-bits=40,family=0x10,vendor=amd",
		  { .vendor = HOST_AMD, .family = 16, .phys_bits = 40 } },
		{ "vendor=amd,phys-bits=52,guest-phys-bits=48,mem-encrypt-bits=5",
		  { .vendor = HOST_AMD,
		    .family = 25,
		    .phys_bits = 52,
		    .guest_phys_bits = 48,
		    .mem_encrypt_bits = 5 } },
	};
	struct err err = { "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config c = CONFIG_EMPTY;

		if (config_parse_host(&c, cases[i].text, &err) != 0)
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_true(c.has_host);
		assert_memory_equal(&c.host, &cases[i].facts, sizeof(c.host));
		assert_int_equal(config_parse_host(&c, "auto", &err), 0);
		assert_false(c.has_host);
	}
	refuse(CMD_PLAN, "--host amd", "--host amd: 'amd' is unknown here; use auto or vendor=");
	refuse(CMD_PLAN, "--host vendor=via", "the vendor is amd, hygon, intel or other");
	refuse(CMD_PLAN, "--host vendor", "the vendor is amd, hygon, intel or other");
	refuse(CMD_PLAN, "--host phys-bits=48", "the vendor is missing; add vendor=amd");
	refuse(CMD_PLAN, "--host vendor=amd,vendor=amd", "vendor is given twice");
	refuse(CMD_PLAN, "--host vendor=amd,phys-bits=64", "phys-bits=64: 64 is out of range");
	refuse(CMD_PLAN, "--host vendor=amd,family=271", "family=271: 271 is out of range");
	refuse(CMD_PLAN, "--host vendor=amd,guest-phys-bits=50",
	       "guest-phys-bits=50 is more than phys-bits=48");
	refuse(CMD_PLAN, "--host vendor=amd,phys-bits=36,mem-encrypt-bits=5",
	       "mem-encrypt-bits=5 leaves less than 32 of phys-bits=36");
}

/* --- devices --- */

#define TOKEN "2ab74924-c335-45f4-9b16-8569e5b08258"

static void test_vfio(void **state)
{
	struct config c;

	(void)state;
	accept(&c, CMD_PLAN,
	       "--vfio 0000:41:10.1 --vfio 10000:e1:00.0,port=off,rom=off,caps=ari+pasid+ari "
	       "--vfio /sys/bus/mdev/devices/x,rom=/a=b,token=" TOKEN ",on-error=continue "
	       "--vfio 1000:00:00.0,port=on,rom=on,on-error=stop,noiommu=off --probe "
	       "--vfio-backend iommufd");
	assert_int_equal(c.nr_vfio, 4);
	assert_int_equal(c.vfio_backend, VFIO_IOMMUFD);
	assert_true(c.probe);
	assert_string_equal(c.vfio[0].name, "0000:41:10.1");
	assert_false(c.vfio[0].root_bus || c.vfio[0].no_rom || c.vfio[0].caps || c.vfio[0].token);
	assert_true(c.vfio[1].root_bus && c.vfio[1].no_rom);
	assert_int_equal(c.vfio[1].caps, 1 << 1 | 1 << 5);
	assert_string_equal(c.vfio[2].rom_file, "/a=b");
	assert_string_equal(c.vfio[2].token, TOKEN);
	assert_true(c.vfio[2].error_continues);
	assert_false(c.vfio[3].root_bus || c.vfio[3].no_rom || c.vfio[3].error_continues ||
		     c.vfio[3].no_iommu);
	config_free(&c);
	accept(&c, CMD_PLAN, "--vfio 41:00.0,map=off --vfio 42:00.0,p2p=off,map=on");
	assert_true(c.vfio[0].no_map && !c.vfio[0].no_p2p);
	assert_true(c.vfio[1].no_p2p && !c.vfio[1].no_map);
	config_free(&c);
	refuse(CMD_PLAN, "--vfio 41:00.0,p2p=yes", "p2p");
	accept(&c, CMD_PLAN, "--numa 1G --numa 1G --vfio 41:00.0,node=1 --vfio 42:00.0");
	assert_true(c.vfio[0].has_node && c.vfio[0].node == 1);
	assert_false(c.vfio[1].has_node);
	assert_int_equal(c.spare_ports, 0);
	config_free(&c);
	accept(&c, CMD_PLAN, "--spare-ports 40");
	assert_int_equal(c.spare_ports, 40);
	config_free(&c);
	refuse(CMD_PLAN, "--spare-ports 129", "129");
	refuse(CMD_PLAN, "--plan x --spare-ports 1", "--plan and --spare-ports exclude each other");
	refuse(CMD_PLAN, "--plan x --vfio 41:00.0,node=0", "leave node= out");
	refuse(CMD_PLAN, "--vfio 41:00.0,node=64", "node=64");
	refuse(CMD_PLAN, "--vfio 41:00.0,node=", "node");
	refuse(CMD_PLAN, "--vfio 41:00.0,node=0",
	       "node=0 is none of the guest's NUMA nodes, of which there are 0; add --numa");
	refuse(CMD_PLAN, "--numa 1G --numa 1G --vfio 41:00.0,node=2", "of which there are 2");
	accept(&c, CMD_CHECK, "--vfio 41:00.0,noiommu=on --memory 4G --iova-policy host");
	assert_true(c.vfio[0].no_iommu);
	config_free(&c);

	refuse(CMD_RUN, "--vfio=", "--vfio '': the device is missing");
	refuse(CMD_RUN, "--vfio port=off", "--vfio port=off: the device comes first");
	refuse(CMD_RUN, "--vfio eth0", "'eth0' is neither a PCI address, such as 0000:41:00.0");
	refuse(CMD_RUN, "--vfio 0000:41:00", "'0000:41:00' is neither a PCI address");
	refuse(CMD_RUN, "--vfio 0000:41:00.8", "is neither a PCI address");
	refuse(CMD_RUN, "--vfio 0000:41:00.0x", "is neither a PCI address");
	refuse(CMD_RUN, "--vfio 00:41:00.0", "is neither a PCI address");
	refuse(CMD_RUN, "--vfio 41:00.0,prot=off",
	       "'prot' is unknown here; use port=off, node=N, "
	       "rom=off");
	refuse(CMD_RUN, "--vfio 41:00.0,", "'' is unknown here");
	refuse(CMD_RUN, "--vfio 41:00.0,port", "port needs a value");
	refuse(CMD_RUN, "--vfio 41:00.0,port=no", "port=no: use off or on");
	refuse(CMD_RUN, "--vfio 41:00.0,port=off,port=off", "port is given twice; keep one");
	refuse(CMD_RUN, "--vfio 41:00.0,rom=", "rom= is on, off or a file");
	refuse(CMD_RUN, "--vfio 41:00.0,caps=ats+atz", "'atz' is unknown; use sriov, ari, rebar");
	refuse(CMD_RUN, "--vfio 41:00.0,caps=", "'' is unknown");
	refuse(CMD_RUN, "--vfio 41:00.0,token=1234", "token=1234 is not a UUID");
	refuse(CMD_RUN, "--vfio 41:00.0,token=" TOKEN "0", "is not a UUID");
	refuse(CMD_RUN, "--vfio 41:00.0,on-error=maybe", "on-error=maybe: use continue or stop");
	refuse(CMD_RUN, "--vfio-backend vfio", "the backend is auto, type1 or iommufd");
	refuse(CMD_RUN, "--probe",
	       "--probe is not an option of straddle run; it belongs to straddle "
	       "plan");
	refuse(CMD_BIND, "--vfio x",
	       "--vfio is not an option of straddle bind; it belongs to straddle run, plan, "
	       "check and test");
}

/* Words that are no options are for bind and unbind. */
static void test_operands(void **state)
{
	char *const argv[] = { "-v", "0000:41:00.0", "42:00.0", "-v" };
	struct config c = CONFIG_EMPTY;
	struct err err;

	(void)state;
	assert_int_equal(config_parse(&c, CMD_BIND, ARRAY_SIZE(argv), argv, &err), 0);
	assert_int_equal(config_check(&c, CMD_BIND, &err), 0);
	assert_true(c.verbose);
	assert_int_equal(c.nr_operands, 2);
	assert_ptr_equal(c.operands, &argv[1]);
	config_free(&c);
	refuse(CMD_BIND, "", "there is nothing to bind; name devices: straddle bind 0000:41:00.0");
	refuse(CMD_UNBIND, "-v", "there is nothing to unbind");
	refuse(CMD_UNBIND, "41:00.0 -v 42:00.0", "'42:00.0' comes after an option");
	refuse(CMD_BIND, "eth0", "'eth0' is neither a PCI address");
	refuse(CMD_CHECK, "41:00.0",
	       "'41:00.0' is not an option, and straddle check takes nothing");
}

/* Another host's devices and IOMMU, whatever the order of the options. */
static void test_other_host(void **state)
{
	struct config c;

	(void)state;
	accept(&c, CMD_PLAN,
	       "--host-pci 41:00.0,group=7,bar0=16M:64:pref,bar2=256:io,rom=512K "
	       "--host-pci 0000:42:00.0,bar1=1G --host-usable 4G-512G --host-usable 0-0xfee00000 "
	       "--host vendor=intel,phys-bits=46 --host-resv 7,0-16M,direct-relaxable "
	       "--host-resv 0x8,0xfee00000-0xfef00000,msi --vfio 42:00.0 --vfio 0000:41:00.0");
	assert_int_equal(c.host.phys_bits, 46);
	assert_int_equal(c.host.nr_pci, 2);
	assert_string_equal(c.host.pci[0].name, "0000:42:00.0");
	assert_int_equal(c.host.pci[0].bars[1].size, GIB);
	assert_string_equal(c.host.pci[1].name, "0000:41:00.0");
	assert_int_equal(c.host.pci[1].group, 7);
	assert_int_equal(c.host.pci[1].bars[0].size, 16 * MIB);
	assert_true(c.host.pci[1].bars[0].wide && c.host.pci[1].bars[0].prefetch);
	assert_true(c.host.pci[1].bars[2].io && !c.host.pci[1].bars[2].wide);
	assert_int_equal(c.host.pci[1].rom_size, 512 * KIB);
	assert_int_equal(c.host.nr_usable, 2);
	assert_int_equal(c.host.usable[0].base, 0);
	assert_int_equal(c.host.usable[1].end, 512 * GIB);
	assert_int_equal(c.host.nr_resv, 2);
	assert_int_equal(c.host.resv[0].type, HOST_RESV_DIRECT_RELAXABLE);
	assert_int_equal(c.host.resv[1].group, 8);
	assert_int_equal(c.host.resv[1].at.end, 0xfef00000);
	config_free(&c);
	/* Devices that are not named do not count. */
	accept(&c, CMD_PLAN, "--host vendor=amd --host-pci 41:00.0,bar0=4K");
	assert_int_equal(c.host.nr_pci, 0);
	config_free(&c);

#define ON_AMD "--host vendor=amd "
	refuse(CMD_PLAN, ON_AMD "--vfio 41:00.0",
	       "--vfio 41:00.0: --host knows no such device; describe it with --host-pci 41:00.0");
	refuse(CMD_PLAN, "--host-pci 41:00.0", "--host-pci describes another host; add --host");
	refuse(CMD_PLAN, "--host auto --host-usable 0-1G", "--host-usable describes another host");
	refuse(CMD_PLAN, ON_AMD "--host-pci /x", "the device's address comes first");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,size=1", "'size' is unknown here; use group=");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,bar6=1M", "'bar6' is unknown here");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,bar0", "bar0 needs a value");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,bar0=3M", "bar0=3M: a BAR's size is a power");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,bar0=1M:pre", "'pre' is unknown here");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,bar0=16:io:64", ":io excludes :64 and :pref");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,bar0=8G", "did you forget :64?");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,bar0=8",
	       "is too small or too large for a BAR of its kind");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,bar0=1M:64,bar1=1M", "bar1 is its upper half");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,bar5=1M:64", "bar6 is its upper half");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,bar0=1M,bar0=1M", "bar0 is given twice");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0,rom=17M", "a ROM's size is a power of two");
	refuse(CMD_PLAN, ON_AMD "--host-pci 41:00.0 --host-pci 0000:41:00.0", "described twice");
	refuse(CMD_PLAN, ON_AMD "--host-resv 1G-2G", "a region is GROUP,START-END,TYPE");
	refuse(CMD_PLAN, ON_AMD "--host-resv 7,1G-2G,some", "the type is reserved, direct,");
	refuse(CMD_PLAN, ON_AMD "--host-resv 7,1G-2G,msi,x", "a region is GROUP,START-END,TYPE");
	refuse(CMD_PLAN, ON_AMD "--host-resv x,1G-2G,msi", "'x' is not a number");
	refuse(CMD_PLAN, ON_AMD "--host-usable 1G-3G --host-usable 2G-4G",
	       "the range overlaps 0x40000000-0xc0000000; make one range of them");
}

/* What must stay free is no less than was said; what can be mapped is no more. */
static void test_ranges_are_rounded(void **state)
{
	char *argv[] = { "--host=vendor=amd",
			 "--reserve=0.1G-0.3G",
			 "--vfio=41:00.0",
			 "--host-pci=41:00.0,group=7",
			 "--host-resv=7,0.1G-0.3G,direct",
			 "--host-usable=0.1G-0.3G" };
	struct config c = CONFIG_EMPTY;
	struct err err = { "" };

	(void)state;
	assert_int_equal(config_parse(&c, CMD_PLAN, (int)ARRAY_SIZE(argv), argv, &err), 0);
	assert_int_equal(c.reserve[0].base, 102 * MIB); /* 102.4 and 307.2 MiB */
	assert_int_equal(c.reserve[0].end, 308 * MIB);
	assert_int_equal(c.host.resv[0].at.base, 102 * MIB);
	assert_int_equal(c.host.resv[0].at.end, 308 * MIB);
	assert_int_equal(c.host.usable[0].base, 104 * MIB);
	assert_int_equal(c.host.usable[0].end, 306 * MIB);
	config_free(&c);
}

/* --- the configuration file --- */

static int take_file(struct config *c, const char *text, size_t len, struct err *err)
{
	*err = (struct err){ "" };
	return config_parse_file(c, CMD_RUN, "vm.conf", text, len, err);
}

static void refuse_file(const char *text, size_t len, const char *sentence)
{
	struct config c = CONFIG_EMPTY;
	struct err err;

	if (take_file(&c, text, len, &err) != -EINVAL)
		fail_msg("accepted; wanted: %s", sentence);
	if (strncmp(err.text, sentence, strlen(sentence)) != 0)
		fail_msg("got    %s\nwanted %s", err.text, sentence);
	config_free(&c);
}

#define REFUSE_FILE(text, sentence) refuse_file(text, sizeof(text) - 1, sentence)

static void test_file(void **state)
{
	static const char text[] = "# a guest\r\n"
				   "kernel = /boot/vmlinuz\r\n"
				   "\n"
				   "\t memory=2G  # enough\n"
				   "append = \"  console=ttyS0 # \"quiet\" \" # kept as it is\n"
				   "reserve = 8G-9G\n"
				   "reserve = 10G-11G\n"
				   "no-reboot # = no\n"
				   "  #\n"
				   "serial = file:/tmp/a#b \t\n"
				   "verbose";
	struct config c = CONFIG_EMPTY;
	struct err err;

	(void)state;
	if (take_file(&c, text, sizeof(text) - 1, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(c.kernel, "/boot/vmlinuz");
	assert_int_equal(c.memory, 2 * GIB);
	assert_string_equal(c.append, "  console=ttyS0 # \"quiet\" ");
	assert_int_equal(c.nr_reserve, 2);
	assert_string_equal(c.serial.path, "/tmp/a#b");
	assert_true(c.no_reboot && c.verbose);
	assert_int_equal(config_check(&c, CMD_RUN, &err), 0);
	config_free(&c);
	assert_int_equal(take_file(&c, "", 0, &err), 0);
	assert_int_equal(take_file(&c, "kernel=k\nappend=\n", 17, &err), 0);
	assert_string_equal(c.append, "");
	config_free(&c);
	assert_int_equal(take_file(&c, "\xef\xbb\xbfmemory = 3G", 14, &err), 0);
	assert_int_equal(c.memory, 3 * GIB);
	config_free(&c);
	assert_int_equal(take_file(&c, "\xef\xbb\xbf", 3, &err), 0);
	config_free(&c);
	assert_int_equal(take_file(&c, "append=\"\"", 9, &err), 0);
	assert_string_equal(c.append, "");
	config_free(&c);
}

static void test_file_and_command_line(void **state)
{
	static const char text[] = "memory = 2G\ncpus = 4\nreserve = 1G-2G\nserial = file:x\n";
	char *const argv[] = { "-m", "3G", "--reserve", "4G-5G", "--serial", "none" };
	struct config c = CONFIG_EMPTY;
	struct err err = { "" };

	(void)state;
	assert_int_equal(config_parse(&c, CMD_RUN, ARRAY_SIZE(argv), argv, &err), 0);
	assert_int_equal(take_file(&c, text, sizeof(text) - 1, &err), 0);
	assert_int_equal(c.memory, 3 * GIB);
	assert_int_equal(c.cpus, 4);
	assert_int_equal(c.nr_reserve, 2);
	assert_int_equal(c.serial.kind, SERIAL_NONE);
	assert_null(c.serial.path);
	/* What loses must still be right. */
	assert_int_equal(take_file(&c, "memory = 2Q", 11, &err), -EINVAL);
	config_free(&c);
}

static void test_bad_file(void **state)
{
	(void)state;
	REFUSE_FILE("memory = 1G\n\nmemmory = 2G\n",
		    "vm.conf:3: unknown key 'memmory'; did you mean memory?");
	REFUSE_FILE("--memory = 1G", "vm.conf:1: unknown key '--memory'; did you mean memory?");
	REFUSE_FILE("xyzzy = 1G", "vm.conf:1: unknown key 'xyzzy'; keys are the long options");
	REFUSE_FILE("mem = 1G", "vm.conf:1: unknown key 'mem'");
	REFUSE_FILE("ke\x1by", "vm.conf:1: unknown key 'ke?y'");
	REFUSE_FILE("memory = 12Q", "vm.conf:1: memory 12Q: 'Q' is not a size suffix");
	REFUSE_FILE("memory", "vm.conf:1: memory needs a value: memory = SIZE");
	REFUSE_FILE("memory # = 1G", "vm.conf:1: memory needs a value: memory = SIZE");
	REFUSE_FILE("memory =", "vm.conf:1: memory '': a size is missing");
	REFUSE_FILE("no-reboot = 1", "vm.conf:1: no-reboot 1: use on or off");
	REFUSE_FILE("smp = 2", "vm.conf:1: unknown key 'smp'; did you mean cpus?");
	REFUSE_FILE("accel = kvm", "vm.conf:1: unknown key 'accel'; leave it out, because KVM");
	REFUSE_FILE("\xef\xbb\xbfmemroy = 2G", "vm.conf:1: unknown key 'memroy'; did you mean");
	REFUSE_FILE("\nmemory = 2G\n\xef\xbb\xbf"
		    "cpus = 2",
		    "vm.conf:3: unknown key '???cpus'");
	REFUSE_FILE("= 1G", "vm.conf:1: a key is missing before '='");
	REFUSE_FILE("cpus = 1\ncpus = 2", "vm.conf:2: cpus is given twice, the second time as '2'");
	REFUSE_FILE("config = x", "vm.conf:1: 'config' cannot stand in a configuration file");
	REFUSE_FILE("json", "vm.conf:1: 'json' cannot stand in a configuration file");
	REFUSE_FILE("append = \"x", "vm.conf:1: append: the closing quote is missing");
	REFUSE_FILE("append = \"x\" y", "vm.conf:1: append: the closing quote is missing, or");
	REFUSE_FILE("append = \"", "vm.conf:1: append: the closing quote is missing");
	REFUSE_FILE("append = \"x\"#", "vm.conf:1: append: the closing quote is missing");
	REFUSE_FILE("cpus = 1\nappend = a\0b\n", "vm.conf:2: the line holds a NUL byte");
	REFUSE_FILE("cpus = 1\r2\n", "vm.conf:1: cpus 1?2: '1?2' is not a number");
}

static void test_line_length(void **state)
{
	static char text[65538];
	struct config c = CONFIG_EMPTY;
	struct err err;

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, "append = x", 10);
	text[65536] = '\n';
	assert_int_equal(take_file(&c, text, 65537, &err), 0);
	config_free(&c);
	text[65536] = ' ';
	text[65537] = '\n';
	refuse_file(text, 65538, "vm.conf:1: the line is longer than 64 KiB");
}

/* --- --help --- */

static void check_help_line(const char *line, size_t len)
{
	if (len > 100)
		fail_msg("%zu columns: %.*s", len, (int)len, line);
	/* Two columns: names end before column 30, sentences begin at 32. */
	if (len <= 32 || line[31] != ' ' || line[30] != ' ' || line[32] == ' ' ||
	    line[len - 1] == ' ')
		fail_msg("not aligned: %.*s", (int)len, line);
}

static bool has_option(const char *name, enum config_command cmd)
{
	size_t n;
	const struct config_option *options = config_options(&n);

	for (size_t i = 0; i < n; i++)
		if (options[i].commands & cmd && !strcmp(options[i].name, name))
			return true;
	return false;
}

static void test_help(void **state)
{
	static const enum config_command commands[] = { CMD_RUN, CMD_PLAN, CMD_CHECK, CMD_BIND };
	const struct config_option *options;
	char text[16384], name[64], part[100];
	size_t n;

	(void)state;
	options = config_options(&n);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		size_t len = config_help(commands[i], NULL, 0);

		assert_true(len < sizeof(text));
		assert_int_equal(config_help(commands[i], text, sizeof(text)), len);
		assert_int_equal(strlen(text), len);
		assert_int_equal(config_help(commands[i], part, sizeof(part)), len);
		assert_int_equal(strlen(part), sizeof(part) - 1);
		assert_memory_equal(part, text, sizeof(part) - 1);
		for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
			check_help_line(line, (size_t)(end - line));
		for (size_t j = 0; j < n; j++) {
			bool there;

			snprintf(name, sizeof(name), "%s--%s ", options[j].letter ? ", " : "     ",
				 options[j].name);
			there = strstr(text, name);
			if (there != has_option(options[j].name, commands[i]))
				fail_msg("%s is %s", name, there ? "there" : "missing");
		}
	}
}

/* Rows that contradict each other would be found by no user, so here. */
static void test_table(void **state)
{
	const struct config_option *options;
	size_t n;

	(void)state;
	options = config_options(&n);
	assert_true(n <= CONFIG_OPTIONS_MAX);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(options[i].name);
		assert_non_null(options[i].set);
		assert_true(strlen(options[i].name) <= 24);
		assert_false(options[i].repeatable && !options[i].argument);
		for (size_t j = 0; j < i; j++) {
			if (options[i].commands & options[j].commands)
				assert_string_not_equal(options[i].name, options[j].name);
			assert_false(options[i].letter && options[i].letter == options[j].letter);
		}
	}
}

static void test_policy_names(void **state)
{
	(void)state;
	assert_string_equal(iova_policy_name(IOVA_AUTO), "auto");
	assert_string_equal(iova_policy_name(IOVA_VENDOR), "vendor");
	assert_string_equal(iova_policy_name(IOVA_HOST), "host");
	assert_string_equal(iova_policy_name(IOVA_OFF), "off");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_option),
		cmocka_unit_test(test_prefault),
		cmocka_unit_test(test_private_disks),
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_bad_spellings),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_vfio),
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_other_host),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_and_command_line),
		cmocka_unit_test(test_bad_file),
		cmocka_unit_test(test_line_length),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_policy_names),
		cmocka_unit_test(test_foreign_names),
		cmocka_unit_test(test_foreign_table),
		cmocka_unit_test(test_flags_taken_back),
		cmocka_unit_test(test_debug_exit_status),
		cmocka_unit_test(test_ranges_are_rounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
