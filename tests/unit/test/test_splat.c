/*
 * Complaints of the guest's kernel on its console: lines that kernels from 2.6 to 7 print, and
 * lines that look like them.
 */
#include "vmm/test/splat.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FEED(s, allow, text) splat_feed(s, allow, text, sizeof(text) - 1)

static bool feed(struct splat *s, const char *text)
{
	return splat_feed(s, NULL, text, strlen(text));
}

/* --- lines of kernels --- */

/* Without printk's prefix: those that count at the start of a line, ... */
static const char *const complaints[] = {
	"kernel BUG at mm/slub.c:305!",
	"Kernel BUG at skb_pull+0x25/0x30 [verbose debug info unavailable]",
	"WARNING: CPU: 5 PID: 0 at net/core/stream.c:212 sk_stream_kill_queues+0xc5/0xd2",
	"WARNING: CPU: 1 PID: 19 at inet_sock_destruct+0x194/0x1c0",
	"WARNING: kernel/time/timekeeping.c:821 at ktime_get+0xb8/0xd8, CPU#0: swapper/0/0",
	"WARNING: [ptr == 0 && 1] kernel/sched/core.c:8511 at sched_init+0x20/0x410, CPU#0: "
	"swapper/0",
	"WARNING: at ktime_get+0xb8/0xd8, CPU#0: swapper/0/0",
	"WARNING: at net/sched/sch_generic.c:255 dev_watchdog+0x25f/0x270()",
	"BUG: kernel NULL pointer dereference, address: 0000000000000008",
	"BUG: unable to handle kernel NULL pointer dereference at 0000000000000010",
	"BUG: unable to handle page fault for address: ffffffffc0a5e0f0",
	"Oops: 0002 [#1] PREEMPT SMP NOPTI",
	"Oops: general protection fault, probably for non-canonical address 0xdead000000000108: "
	"0000 [#1] SMP KASAN",
	"Oops: invalid opcode: 0000 [#1] SMP NOPTI",
	"general protection fault: 0000 [#1] SMP",
	"general protection fault, probably for non-canonical address 0x6b6b6b6b6b6b6b6b: 0000 "
	"[#1] PREEMPT SMP PTI",
	"stack segment: 0000 [#1] SMP",
	"segment not present: 0098 [#1] SMP",
	"divide error: 0000 [#1] SMP",
	"invalid opcode: 0000 [#1] SMP",
	"int3: 0000 [#1] SMP",
	"alignment check: 0000 [#1] SMP",
	"double fault: 0000 [#1] SMP",
	"kernel stack overflow (double-fault): 0000 [#1] SMP",
	"BUG: stack guard page was hit at ffffc90000593ff8 (stack is "
	"ffffc90000594000..ffffc90000597fff)",
	"BUG: TASK stack guard page was hit at 00000000c6f4a1b0 (stack is 1..2)",
	"traps: PANIC: double fault, error_code: 0x0",
	"PANIC: double fault, error_code: 0x0",
	"PANIC: early exception 0x0d IP 10:ffffffff81e4d0a5 error 0 cr2 0xffff888002600000",
	"BUG: KASAN: use-after-free in ip6_send_skb+0x2f5/0x330",
	"KASAN: null-ptr-deref in range [0x0000000000000008-0x000000000000000f]",
	"BUG: KCSAN: data-race in e1000_clean_rx_irq / e1000_clean_rx_irq",
	"BUG: KMSAN: uninit-value in n_tty_receive_buf_standard+0x1c1/0x8a0",
	"BUG: KFENCE: out-of-bounds read in test_out_of_bounds_read+0xa6/0x234",
	"UBSAN: array-index-out-of-bounds in drivers/ata/libata-core.c:2064:14",
	"UBSAN: Undefined behaviour in lib/test.c:10:3",
	"WARNING: possible recursive locking detected",
	"WARNING: possible circular locking dependency detected",
	"WARNING: possible irq lock inversion dependency detected",
	"WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
	"WARNING: inconsistent lock state",
	"WARNING: chain_key collision",
	"WARNING: Nested lock was not taken",
	"WARNING: bad unlock balance detected!",
	"WARNING: bad contention detected!",
	"WARNING: held lock freed!",
	"WARNING: modprobe/123 still has locks held!",
	"WARNING: lock held when returning to user space!",
	"WARNING: suspicious RCU usage",
	"INFO: trying to register non-static key.",
	"[ INFO: possible circular locking dependency detected ]",
	"[ INFO: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected ]",
	"[ INFO: inconsistent lock state ]",
	"[ INFO: suspicious RCU usage. ]",
	"[ BUG: Invalid wait context ]",
	"[ BUG: bad unlock balance detected! ]",
	"BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580",
	"BUG: scheduling while atomic: swapper/0/1/0x00000002",
	"BUG: using smp_processor_id() in preemptible [00000000] code: modprobe/123",
	"BUG: using __this_cpu_add() in preemptible [00000000] code: sh/7",
	"BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 33s!",
	"watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [kworker/u64:0:6]",
	"NMI watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapper/0:1]",
	"BUG: soft lockup - CPU#0 stuck for 61s! [sh:1]",
	"watchdog: Watchdog detected hard LOCKUP on cpu 3",
	"watchdog: CPU3: Watchdog detected hard LOCKUP on cpu 3",
	"NMI watchdog: Watchdog detected hard LOCKUP on cpu 1",
	"Watchdog detected hard LOCKUP on cpu 1",
	"INFO: task kworker/0:1:12 blocked for more than 120 seconds.",
	"INFO: task dd:456 blocked in I/O wait for more than 122 seconds.",
	"rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
	"rcu: INFO: rcu_sched self-detected stall on CPU",
	"rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... } 21 jiffies",
	"INFO: rcu_sched self-detected stall on CPU { 0}  (t=6500 jiffies g=1 c=0 q=99)",
	"INFO: rcu_tasks detected stalls on tasks:",
	"VFS: Unable to mount root fs via NFS.",
	"Out of memory: Killed process 123 (stress) total-vm:1048576kB, anon-rss:400kB",
	"Out of memory: Kill process 123 (stress) score 908 or sacrifice child",
	"Memory cgroup out of memory: Killed process 9 (sh) total-vm:1kB",
	"Out of memory and no killable processes...",
};

/* ... and those that need a time before them. */
static const char *const stamped[] = {
	"BUG kmalloc-64 (Not tainted): Poison overwritten",
	"BUG kmalloc-64 (Tainted: G    B     ): Redzone overwritten",
	"BUG: Bad page state in process swapper/0  pfn:00000",
	"BUG: spinlock bad magic on CPU#0, swapper/0/1",
	"BUG: Dentry 00000000e5f4 still in use (1) [unmount of tmpfs tmpfs]",
	"kmemleak: 12 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
	"stress invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE), order=0",
};

/* Prefixes of printk, and what may stand before them. */
static const char *const prefixes[] = {
	"[    1.234567] ",
	"[12345.678901] ",
	"[123456789.678901] ",
	"[    1.234567][    T1] ",
	"[    1.234567][   C12] ",
	"[    1.234567] [    T1] ",
	"<4>[    1.234567] ",
	"\x1b[0m[    1.234567] ",
	"login: [    1.234567] ",
	"/ # \x1b[6n[    1.234567] ",
	"tests/foo ... [    1.234567] ",
	"[  OK  ] Started foo [    1.234567] ",
};

static unsigned char hit[256]; /* rows of the list that a line has found */

/* `line` behind `prefix` is a complaint, and is kept from `kept` on. */
static void expect(const char *prefix, const char *line, const char *kept)
{
	const struct splat_words *list;
	struct splat s = { 0 };
	char text[2048], want[SPLAT_TEXT_MAX + 1];
	size_t n;

	list = splat_list(&n);
	assert_in_range(n, 1, sizeof(hit));
	snprintf(text, sizeof(text), "something\r\n%s%s", prefix, line);
	assert_false(feed(&s, text));
	if (!feed(&s, "\r\n") || !s.found)
		fail_msg("'%s%s' is not found", prefix, line);
	snprintf(want, sizeof(want), "%s%s", kept, line);
	assert_string_equal(s.text, want);
	hit[s.found - list] = 1;
	assert_int_equal(s.found->verdict,
			 strstr(line, "emory") || strstr(line, "oom-")
				 ? (strstr(line, "leaks") ? VERDICT_SPLAT : VERDICT_OUT_OF_MEMORY)
				 : VERDICT_SPLAT);
}

static void expect_none(const char *text)
{
	struct splat s = { 0 };

	if (feed(&s, text) || splat_end(&s, NULL) || s.found || *s.text)
		fail_msg("'%s' is taken for a complaint", text);
}

static void test_lines(void **state)
{
	size_t rows;

	(void)state;
	splat_list(&rows);
	for (size_t i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++) {
		expect("", complaints[i], "");
		expect("<1>", complaints[i], "<1>");
		expect("[   T12] ", complaints[i], "[   T12] ");
		expect("[    1.234567] ", complaints[i], "[    1.234567] ");
	}
	for (size_t i = 0; i < sizeof(stamped) / sizeof(stamped[0]); i++) {
		expect("[    1.234567] ", stamped[i], "[    1.234567] ");
		expect_none(stamped[i]);
	}
	for (size_t i = 0; i < rows; i++)
		if (!hit[i])
			fail_msg("no line of this test is found by row %zu, '%s'", i,
				 splat_list(&rows)[i].words);
}

static void test_prefixes(void **state)
{
	static const char bug[] = "BUG: KASAN: use-after-free in foo+0x1/0x2";

	(void)state;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		const char *kept = strstr(prefixes[i], "<4>");

		if (!kept)
			kept = strstr(prefixes[i], "[  OK") ? strstr(prefixes[i], "[    1.")
							    : strpbrk(prefixes[i], "[");
		if (*kept == '[' && (kept[1] == '6' || kept[1] == '0'))
			kept = strchr(kept + 1, '[');
		expect(prefixes[i], bug, kept);
	}
}

/* --- lines that are none --- */

static void test_others(void **state)
{
	static const char *const others[] = {
		"",
		"\n\n\r\r",
		"BUG",
		"BUG: \n",
		"WARNING: CPU: 0 PID: 1\n",
		/* Words of programs. */
		"BUG: something of mine\n",
		"WARNING: deprecated\n",
		"WARNING: /etc/ssh/moduli does not exist, using fixed modulus\n",
		"Oops: I did it again\n",
		"INFO: task 5 done\n",
		"foo invoked oom-killer: gfp_mask=0\n",
		/* Echoes, greps and logs. */
		"# echo 'BUG: KASAN: use-after-free in foo'\n",
		"/ # echo \"[    1.234567] BUG: KASAN: x in foo\"\n",
		"    BUG: KASAN: use-after-free in foo\n",
		"3: BUG: KASAN: use-after-free in foo\n",
		"dmesg.txt:[    1.234567] BUG: KASAN: x in foo\n",
		"Nov 27 20:00:00 host kernel: [    1.234567] BUG: KASAN: x in foo\n",
		"Nov 27 20:00:00 host kernel: BUG: KASAN: x in foo\n",
		"-[    1.234567] BUG: KASAN: x in foo\n",
		/* Not a prefix. */
		"[    1.2345] BUG: KASAN: x in foo\n",
		"[    1.2345678] BUG: KASAN: x in foo\n",
		"[     .234567] BUG: KASAN: x in foo\n",
		"[    1.234567 BUG: KASAN: x in foo\n",
		"[    1,234567] BUG: KASAN: x in foo\n",
		"[   T] BUG: KASAN: x in foo\n",
		"<> BUG: KASAN: x in foo\n",
		"<x>BUG: KASAN: x in foo\n",
		"foo [   T12] BUG: KASAN: x in foo\n",
		"[    1.234567]   BUG: KASAN: x in foo\n",
		/* Of the kernel, and no complaint. */
		"[    1.234567] traps: foo[12] general protection fault ip:4 sp:7 error:0 in foo\n",
		"[    1.234567] foo[12]: segfault at 0 ip 0 sp 0 error 4 in foo[400000+1000]\n",
		"[    1.234567] systemd[1]: BUG: KASAN: x in foo\n",
		"[    1.234567] unchecked MSR access error: WRMSR to 0x1 (tried to write 0x0)\n",
		"[    1.234567] Spectre V2 : WARNING: Unprivileged eBPF is enabled\n",
		"[    1.234567] WARNING: workqueue cpumask: online > possible\n",
		"[    1.234567] INFO: lockdep is turned off.\n",
		"[    1.234567] INFO: NMI handler (foo) took too long to run: 1.000 msecs\n",
		"[    1.234567] rcu: INFO: Stall ended before state dump start\n",
		"[    1.234567] watchdog: Delayed init of the lockup detector failed: -1\n",
		"[    1.234567] kasan: KernelAddressSanitizer initialized\n",
		"[    1.234567] Kernel panic - not syncing: Out of memory: system-wide\n",
		"[    1.234567] Lockdown: sh: debugfs access is restricted; BUG: x\n",
		"[    1.234567] ODEBUG: Out of memory. ODEBUG disabled\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		expect_none(others[i]);
}

static void test_late(void **state)
{
	static const char *const lates[] = {
		"watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [sh:6]\n",
		"INFO: task sh:1 blocked for more than 120 seconds.\n",
		"rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n",
	};
	struct splat s = { 0 };

	(void)state;
	assert_true(feed(&s, "kernel BUG at mm/slub.c:305!\n"));
	assert_false(s.found->late);
	for (size_t i = 0; i < sizeof(lates) / sizeof(lates[0]); i++) {
		s = (struct splat){ 0 };
		assert_true(feed(&s, lates[i]));
		assert_true(s.found->late);
	}
}

/* --- the scanner --- */

static void test_first(void **state)
{
	struct splat s = { 0 };

	(void)state;
	assert_true(feed(&s, "[    1.000000] ------------[ cut here ]------------\r\n"
			     "[    1.000001] WARNING: CPU: 0 PID: 1 at kernel/a.c:1 a+0x1/0x2\r\n"
			     "[    1.000002] Modules linked in:\r\n"));
	assert_false(feed(&s, "[    2.000000] kernel BUG at kernel/b.c:2!\r\n"));
	assert_false(splat_end(&s, NULL));
	assert_string_equal(s.text,
			    "[    1.000001] WARNING: CPU: 0 PID: 1 at kernel/a.c:1 a+0x1/0x2");
}

static void test_end(void **state)
{
	struct splat s = { 0 };

	(void)state;
	assert_false(feed(&s, "[    2.000000] kernel BUG at ker"));
	assert_true(splat_end(&s, NULL));
	assert_string_equal(s.text, "[    2.000000] kernel BUG at ker");
	assert_false(splat_end(&s, NULL));
}

/* Pieces of every size find what the whole finds. */
static void test_torn(void **state)
{
	static const char log[] = "/ # \x1b[6n[    0.900000] Oops of mine\r\n"
				  "\x1b[1;32mok\x1b[0m [    1.000000][ T1] BUG: KASAN: x in foo\r\n"
				  "[    1.100000] stress invoked oom-killer: gfp_mask=0\r\n";
	struct splat whole = { 0 };

	(void)state;
	assert_true(feed(&whole, log));
	for (size_t piece = 1; piece < sizeof(log); piece++) {
		struct splat s = { 0 };
		unsigned found = 0;

		for (size_t at = 0; at < sizeof(log) - 1; at += piece) {
			size_t left = sizeof(log) - 1 - at;

			found += splat_feed(&s, NULL, log + at, left < piece ? left : piece);
		}
		assert_int_equal(found, 1);
		assert_ptr_equal(s.found, whole.found);
		assert_string_equal(s.text, whole.text);
	}
	assert_string_equal(whole.text, "[    1.000000][ T1] BUG: KASAN: x in foo");
}

/* A long line is looked at up to SPLAT_LINE_MAX, and a short one that follows is whole again. */
static void test_long(void **state)
{
	static const char bug[] = "[    1.000000] BUG: KASAN: x in foo";
	struct splat s = { 0 };
	char text[SPLAT_LINE_MAX];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = ' ';
	assert_false(splat_feed(&s, NULL, text, sizeof(text)));
	assert_false(feed(&s, bug));
	assert_false(feed(&s, "\n"));
	assert_false(splat_feed(&s, NULL, text + 100, sizeof(text) - 100));
	assert_false(feed(&s, bug));
	assert_true(feed(&s, "\n"));
	assert_string_equal(s.text, bug);
	s = (struct splat){ 0 };
	assert_false(splat_feed(&s, NULL, text + strlen(bug), sizeof(text) - strlen(bug)));
	assert_false(feed(&s, bug));
	assert_true(feed(&s, "more\n"));
	assert_string_equal(s.text, bug);

	/* The text is cut, too. */
	s = (struct splat){ 0 };
	assert_false(feed(&s, bug));
	assert_false(splat_feed(&s, NULL, text, sizeof(text)));
	assert_false(splat_feed(&s, NULL, text, sizeof(text)));
	assert_true(feed(&s, "\n"));
	assert_int_equal(strlen(s.text), SPLAT_TEXT_MAX);
	assert_memory_equal(s.text, bug, strlen(bug));
}

static void test_printable(void **state)
{
	struct splat s = { 0 };

	(void)state;
	assert_true(FEED(&s, NULL, "kernel BUG at \x07\xff\x00\t\x1b(B\x1b[2J!\n"));
	assert_string_equal(s.text, "kernel BUG at ???\?!");
	/* An escape sequence without an end ends with the line. */
	s = (struct splat){ 0 };
	assert_false(feed(&s, "\x1b[12;34\nker"));
	assert_true(feed(&s, "nel BUG at x\n"));
}

/* --- what is allowed --- */

static void test_allowed(void **state)
{
	struct splat_allow allow = { 0 };
	struct splat s = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(splat_allow_add(&allow, "^WARNING: .* at (net|fs)/", &err), 0);
	assert_int_equal(splat_allow_add(&allow, "KASAN: .* in kasan_test_", &err), 0);
	assert_false(FEED(&s, &allow,
			  "[    1.0] \n[    1.000000] BUG: KASAN: x in kasan_test_a+0x1/0x2\n"
			  "[    1.000000] WARNING: CPU: 0 PID: 1 at fs/a.c:1 a+0x1/0x2\n"));
	assert_null(s.found);
	assert_true(FEED(&s, &allow, "WARNING: CPU: 0 PID: 1 at mm/a.c:1 a+0x1/0x2\n"));
	/* Expressions see the line without its prefix. */
	s = (struct splat){ 0 };
	assert_int_equal(splat_allow_add(&allow, "1\\.5", &err), 0);
	assert_true(FEED(&s, &allow, "[    1.500000] kernel BUG at a.c:1!\n"));
	splat_allow_free(&allow);
	assert_int_equal(allow.n, 0);
}

static void test_allow_errors(void **state)
{
	struct splat_allow allow = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(splat_allow_add(&allow, "a(b", &err), -EINVAL);
	assert_non_null(strstr(err.text, "--allow-splat 'a(b'"));
	assert_int_equal(allow.n, 0);
	while (allow.n < SPLAT_ALLOW_MAX)
		assert_int_equal(splat_allow_add(&allow, "a", &err), 0);
	assert_int_equal(splat_allow_add(&allow, "b", &err), -E2BIG);
	assert_non_null(strstr(err.text, "64"));
	splat_allow_free(&allow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	     cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_others),	     cmocka_unit_test(test_late),
		cmocka_unit_test(test_first),	     cmocka_unit_test(test_end),
		cmocka_unit_test(test_torn),	     cmocka_unit_test(test_long),
		cmocka_unit_test(test_printable),    cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_allow_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
