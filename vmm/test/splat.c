#include "vmm/test/splat.h"

#include "vmm/base/quote.h"
#include "vmm/test/expression.h"

#include <errno.h>
#include <string.h>

/*
 * The list: one row for each kind of line, with its place in the kernel's source. Only the first
 * line of a report is needed. Lines that follow another row's (a WARNING's own message, "Call
 * Trace:") and lines that tell of the host or of a user's program ("unchecked MSR access error",
 * "traps: NAME[1] general protection fault") are left out on purpose.
 */
#define AT_START SPLAT_AT_START
#define STAMPED	 SPLAT_STAMPED
#define SPLAT	 VERDICT_SPLAT
#define OOM	 VERDICT_OUT_OF_MEMORY
static const struct splat_words list[] = {
	/* lib/bug.c, report_bug(): BUG(), with and without CONFIG_DEBUG_BUGVERBOSE */
	{ "kernel BUG at ", AT_START, SPLAT, false },
	{ "Kernel BUG at ", AT_START, SPLAT, false },
	/* kernel/panic.c, __warn(): WARN() of Linux up to 6.18, from 6.19 on, and up to 3.12 */
	{ "WARNING: CPU: * PID: * at ", AT_START, SPLAT, false },
	{ "WARNING: *:* at *, CPU#*: ", AT_START, SPLAT, false },
	{ "WARNING: at *, CPU#*: ", AT_START, SPLAT, false },
	{ "WARNING: at *:* *+0x", AT_START, SPLAT, false },
	/* arch/x86/mm/fault.c, show_fault_oops(): from 5.1 on, and before */
	{ "BUG: kernel NULL pointer dereference", AT_START, SPLAT, false },
	{ "BUG: unable to handle ", AT_START, SPLAT, false },
	/* arch/x86/kernel/dumpstack.c, __die_header(): all from 6.10 on, before only page faults */
	{ "Oops: * [#", AT_START, SPLAT, false },
	/* The other traps before 6.10: arch/x86/kernel/traps.c names them */
	{ "general protection fault* [#", AT_START, SPLAT, false },
	{ "stack segment: * [#", AT_START, SPLAT, false },
	{ "segment not present: * [#", AT_START, SPLAT, false },
	{ "divide error: * [#", AT_START, SPLAT, false },
	{ "invalid opcode: * [#", AT_START, SPLAT, false },
	{ "int3: * [#", AT_START, SPLAT, false },
	{ "alignment check: * [#", AT_START, SPLAT, false },
	{ "double fault: * [#", AT_START, SPLAT, false },
	{ "kernel stack overflow * [#", AT_START, SPLAT, false },
	/* arch/x86/kernel/traps.c: handle_stack_overflow(), exc_double_fault() */
	{ "BUG: *stack guard page was hit at ", AT_START, SPLAT, false },
	{ "traps: PANIC: double fault", AT_START, SPLAT, false },
	{ "PANIC: double fault", AT_START, SPLAT, false },
	/* arch/x86/mm/extable.c, early_fixup_exception(): before there are handlers */
	{ "PANIC: early exception ", AT_START, SPLAT, false },
	/* mm/kasan/report.c: print_error_description(), kasan_non_canonical_hook() */
	{ "BUG: KASAN: ", AT_START, SPLAT, false },
	{ "KASAN: * in range [", AT_START, SPLAT, false },
	/* kernel/kcsan/report.c, mm/kmsan/report.c, mm/kfence/report.c, lib/ubsan.c */
	{ "BUG: KCSAN: ", AT_START, SPLAT, false },
	{ "BUG: KMSAN: ", AT_START, SPLAT, false },
	{ "BUG: KFENCE: ", AT_START, SPLAT, false },
	{ "UBSAN: * in ", AT_START, SPLAT, false },
	/* mm/slub.c, slab_bug(); mm/kmemleak.c, kmemleak_scan() */
	{ "BUG * (*ainted*): ", STAMPED, SPLAT, false },
	{ "kmemleak: * new suspected memory leaks", STAMPED, SPLAT, false },
	/* kernel/locking/lockdep.c; Linux up to 4.12, and a few lines today, are in brackets */
	{ "WARNING: possible recursive locking detected", AT_START, SPLAT, false },
	{ "WARNING: possible circular locking dependency detected", AT_START, SPLAT, false },
	{ "WARNING: possible irq lock inversion dependency detected", AT_START, SPLAT, false },
	{ "WARNING: *-safe -> *-unsafe lock order detected", AT_START, SPLAT, false },
	{ "WARNING: inconsistent lock state", AT_START, SPLAT, false },
	{ "WARNING: chain_key collision", AT_START, SPLAT, false },
	{ "WARNING: Nested lock was not taken", AT_START, SPLAT, false },
	{ "WARNING: bad unlock balance detected!", AT_START, SPLAT, false },
	{ "WARNING: bad contention detected!", AT_START, SPLAT, false },
	{ "WARNING: held lock freed!", AT_START, SPLAT, false },
	{ "WARNING: * still has locks held!", AT_START, SPLAT, false },
	{ "WARNING: lock held when returning to user space!", AT_START, SPLAT, false },
	{ "WARNING: suspicious RCU usage", AT_START, SPLAT, false },
	{ "INFO: trying to register non-static key", AT_START, SPLAT, false },
	{ "[ INFO: possible * detected ]", AT_START, SPLAT, false },
	{ "[ INFO: *-safe -> *-unsafe lock order detected ]", AT_START, SPLAT, false },
	{ "[ INFO: inconsistent lock state ]", AT_START, SPLAT, false },
	{ "[ INFO: suspicious RCU usage", AT_START, SPLAT, false },
	{ "[ BUG: * ]", AT_START, SPLAT, false },
	/* kernel/sched/core.c: __might_resched(), __schedule_bug(); lib/smp_processor_id.c */
	{ "BUG: sleeping function called from invalid context at ", AT_START, SPLAT, false },
	{ "BUG: scheduling while atomic: ", AT_START, SPLAT, false },
	{ "BUG: using *() in preemptible", AT_START, SPLAT, false },
	/* kernel/workqueue.c, wq_watchdog_timer_fn() */
	{ "BUG: workqueue lockup - pool", AT_START, SPLAT, true },
	/* kernel/watchdog.c, watchdog_timer_fn() and watchdog_hardlockup_check() */
	{ "watchdog: BUG: soft lockup - CPU#", AT_START, SPLAT, true },
	{ "NMI watchdog: BUG: soft lockup - CPU#", AT_START, SPLAT, true },
	{ "BUG: soft lockup - CPU#", AT_START, SPLAT, true },
	{ "watchdog: *Watchdog detected hard LOCKUP on cpu ", AT_START, SPLAT, true },
	{ "NMI watchdog: Watchdog detected hard LOCKUP on cpu ", AT_START, SPLAT, true },
	{ "Watchdog detected hard LOCKUP on cpu ", AT_START, SPLAT, true },
	/* kernel/hung_task.c, check_hung_task() */
	{ "INFO: task *:* blocked *for more than ", AT_START, SPLAT, true },
	/* kernel/rcu/tree_stall.h, tree_exp.h, tasks.h: from 4.19 on with "rcu: " */
	{ "rcu: INFO: rcu*detected *stall", AT_START, SPLAT, true },
	{ "INFO: rcu*detected *stall", AT_START, SPLAT, true },
	/* All other lines of the kind: mm/page_alloc.c, kernel/fork.c, spinlock_debug.c, ... */
	{ "BUG: ", STAMPED, SPLAT, false },
	/* init/do_mounts.c, mount_root_generic() and its siblings: a panic follows */
	{ "VFS: Unable to mount root fs", AT_START, SPLAT, false },
	/* mm/oom_kill.c: __oom_kill_process() ("Kill process" up to 5.2), out_of_memory() */
	{ "Out of memory: Kill* process ", AT_START, OOM, false },
	{ "Memory cgroup out of memory: Kill* process ", AT_START, OOM, false },
	{ "Out of memory and no killable processes", AT_START, OOM, false },
	/* mm/oom_kill.c, dump_header(): the first line of all, unless its rate is limited */
	{ "* invoked oom-killer: gfp_mask=", STAMPED, OOM, false },
};

const struct splat_words *splat_list(size_t *n)
{
	*n = sizeof(list) / sizeof(list[0]);
	return list;
}

/* --- what is no complaint --- */

int splat_allow_add(struct splat_allow *a, const char *regex, struct err *err)
{
	int ret;

	if (a->n == SPLAT_ALLOW_MAX)
		return err_set(err, E2BIG,
			       "--allow-splat '%s' is one too many: %d are allowed; join some "
			       "with |",
			       SHOWN(regex), SPLAT_ALLOW_MAX);
	ret = expression_compile(&a->regex[a->n], "--allow-splat", regex, err);
	if (ret == 0)
		a->n++;
	return ret;
}

void splat_allow_free(struct splat_allow *a)
{
	while (a->n)
		regfree(&a->regex[--a->n]);
}

static bool is_allowed(const struct splat_allow *a, const char *text)
{
	for (unsigned i = 0; a && i < a->n; i++)
		if (!regexec(&a->regex[i], text, 0, NULL, 0))
			return true;
	return false;
}

/* --- printk's prefix --- */

static const char *skip_digits(const char *at)
{
	return at + strspn(at, "0123456789");
}

/*
 * "<4>", "[    1.234567]", "[   T12]" or "[     C1]": returns what follows, or NULL if there is
 * none of these. Sets *stamp at a time.
 */
static const char *skip_part(const char *at, bool *stamp)
{
	const char *inner, *end;

	if (*at == '<') {
		end = skip_digits(at + 1);
		return end > at + 1 && *end == '>' ? end + 1 : NULL;
	}
	if (*at != '[')
		return NULL;
	inner = at + 1 + strspn(at + 1, " ");
	if (*inner == 'T' || *inner == 'C') {
		end = skip_digits(inner + 1);
		return end > inner + 1 && *end == ']' ? end + 1 : NULL;
	}
	end = skip_digits(inner);
	/* The time has 6 places always (print_time()). */
	if (end == inner || *end != '.' || skip_digits(end + 1) != end + 7 || end[7] != ']')
		return NULL;
	*stamp = true;
	return end + 8;
}

/* What follows the prefix at `at`, which may be none. */
static const char *skip_prefix(const char *at, bool *stamp)
{
	const char *end;

	while ((end = skip_part(at, stamp)))
		at = end + (*end == ' ');
	return at;
}

/*
 * Whether printk's prefix may begin at `at`, within a line: behind a blank, where a prompt or the
 * words of a program end. Behind "kernel: " it is a line of a system's log, printed by a program.
 */
static bool may_begin(const char *line, const char *at)
{
	static const char logger[] = "kernel: ";
	size_t n = sizeof(logger) - 1;

	if (at == line)
		return true;
	if (at[-1] != ' ' || *at != '[')
		return false;
	return (size_t)(at - line) < n || memcmp(at - n, logger, n) != 0;
}

/* --- the words --- */

/* Whether `text` begins with `words`. */
static bool begins_with(const char *text, const char *words)
{
	const char *star = NULL, *again = NULL;

	while (*words) {
		if (*words == '*') {
			star = ++words;
			again = text;
		} else if (*text && *words == *text) {
			words++;
			text++;
		} else if (star && *again) {
			words = star;
			text = ++again;
		} else {
			return false;
		}
	}
	return true;
}

static const struct splat_words *find_words(const char *text, bool stamp)
{
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if ((stamp || list[i].how == AT_START) && begins_with(text, list[i].words))
			return &list[i];
	return NULL;
}

/* Judges what is at `from`, a place where the kernel's words may begin. */
static bool judge_from(struct splat *s, const struct splat_allow *allow, const char *from)
{
	const struct splat_words *found;
	char text[SPLAT_TEXT_MAX + 1];
	const char *words;
	bool stamp = false;

	words = skip_prefix(from, &stamp);
	if (from > s->line && !stamp)
		return false;
	/* What is kept is what decides, so that a report shows all of it. */
	strncpy(text, from, SPLAT_TEXT_MAX);
	text[SPLAT_TEXT_MAX] = '\0';
	if (words - from > SPLAT_TEXT_MAX)
		return false;
	words = text + (words - from);
	found = find_words(words, stamp);
	if (!found || is_allowed(allow, words))
		return false;
	s->found = found;
	strcpy(s->text, text);
	return true;
}

static bool judge_line(struct splat *s, const struct splat_allow *allow)
{
	bool found = false;

	s->line[s->len] = '\0';
	for (const char *at = s->line; *at && !found && !s->found; at++)
		found = may_begin(s->line, at) && judge_from(s, allow, at);
	s->len = 0;
	s->escape = 0;
	return found;
}

/* --- the bytes --- */

enum { NO_ESCAPE, AFTER_ESC, IN_CSI };

/* An intermediate byte: "ESC ( B" chooses a set of characters. */
static bool is_between(uint8_t byte)
{
	return byte >= 0x20 && byte <= 0x2f;
}

/*
 * Whether the byte belongs to an escape sequence (ECMA-35, section 13; ECMA-48, section 5.4): a
 * shell on the console prints such ones behind its prompt, and the kernel's words follow.
 */
static bool escapes(struct splat *s, uint8_t byte)
{
	bool was = s->escape != NO_ESCAPE;

	if (byte == 0x1b)
		s->escape = AFTER_ESC;
	else if (s->escape == AFTER_ESC)
		s->escape = byte == '[' ? IN_CSI : is_between(byte) ? AFTER_ESC : NO_ESCAPE;
	else if (s->escape == IN_CSI && byte >= 0x40 && byte <= 0x7e)
		s->escape = NO_ESCAPE;
	return was || s->escape != NO_ESCAPE;
}

bool splat_feed(struct splat *s, const struct splat_allow *allow, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	bool found = false;

	for (; n--; p++) {
		if (*p == '\n' || *p == '\r')
			found |= judge_line(s, allow);
		else if (!escapes(s, *p) && s->len < SPLAT_LINE_MAX)
			s->line[s->len++] = *p >= ' ' && *p < 0x7f ? (char)*p : '?';
	}
	return found;
}

bool splat_end(struct splat *s, const struct splat_allow *allow)
{
	return judge_line(s, allow);
}
