#include "vmm/host/fault.h"

#include "vmm/host/terminal.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fault_range ranges[FAULT_RANGES];
static unsigned nr_ranges; /* how many were ever used */

static __thread struct fault_bad *catching;
static __thread sigjmp_buf *touching; /* fault_touch() runs on this thread */

/* --- the list --- */

void fault_list(const struct fault_range *range)
{
	unsigned i = 0;

	while (i < nr_ranges && ranges[i].len)
		i++;
	if (i == FAULT_RANGES)
		return;
	ranges[i] = *range;
	if (i == nr_ranges)
		__atomic_store_n(&nr_ranges, i + 1, __ATOMIC_RELEASE);
}

void fault_unlist(const void *at)
{
	for (unsigned i = 0; i < nr_ranges; i++)
		if (ranges[i].len && ranges[i].at == at)
			ranges[i].len = 0;
}

static const struct fault_range *fault_find(uintptr_t at)
{
	unsigned n = __atomic_load_n(&nr_ranges, __ATOMIC_ACQUIRE);

	for (unsigned i = 0; i < n; i++)
		if (at >= (uintptr_t)ranges[i].at && at - (uintptr_t)ranges[i].at < ranges[i].len)
			return &ranges[i];
	return NULL;
}

/* --- sentences, made of what is safe in a handler (signal-safety(7)) --- */

struct sentence {
	char text[512];
	size_t len;
};

static void fault_add(struct sentence *s, const char *words)
{
	size_t len = strlen(words), room = sizeof(s->text) - 1 - s->len;

	len = len < room ? len : room;
	memcpy(s->text + s->len, words, len);
	s->len += len;
	s->text[s->len] = '\0';
}

static void add_address(struct sentence *s, uint64_t value)
{
	char digits[19] = "0x";
	unsigned n = 2;

	for (int shift = 60; shift >= 0; shift -= 4)
		if (value >> shift || !shift)
			digits[n++] = "0123456789abcdef"[value >> shift & 15];
	digits[n] = '\0';
	fault_add(s, digits);
}

static void add_place(struct sentence *s, const struct fault_range *r, uintptr_t at)
{
	if (r->option) {
		fault_add(s, r->option);
		fault_add(s, " ");
		fault_add(s, r->path);
	}
	if (r->option && r->is_guest)
		fault_add(s, ", ");
	if (r->is_guest) {
		fault_add(s, "guest address ");
		add_address(s, r->gpa + (at - (uintptr_t)r->at));
	}
}

static void fault_say(struct sentence *s)
{
	fault_add(s, "\r\n");
	(void)!write(STDERR_FILENO, s->text, s->len);
}

static void say_bad(const struct fault_range *r, uintptr_t at, const char *what_now)
{
	struct sentence s = { .len = 0 };

	fault_add(&s,
		  "straddle: the host's memory has an error that its hardware cannot correct, at ");
	if (r)
		add_place(&s, r, at);
	else
		fault_add(&s, "straddle's own memory");
	fault_add(&s, what_now);
	fault_say(&s);
}

static void say_missing(const struct fault_range *r, uintptr_t at)
{
	struct sentence s = { .len = 0 };

	fault_add(&s, "straddle: ");
	if (!r) {
		fault_add(&s, "a file that was mapped was cut short (SIGBUS at ");
		add_address(&s, at);
		fault_add(&s, ")");
	} else if (r->option) {
		add_place(&s, r, at);
		fault_add(&s, ": was cut short, or its storage failed, while it was in use");
	} else {
		fault_add(&s, "the host has no memory left for ");
		add_place(&s, r, at);
		fault_add(&s, r->huge ? ": no huge page is free, or a control group allows no more"
				      : ": its file system for shared memory is full");
	}
	fault_say(&s);
}

/* --- the signal --- */

static void restore_and_exit(void)
{
	terminal_restore(STDIN_FILENO);
	_exit(1);
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	const uintptr_t at = (uintptr_t)info->si_addr;
	int saved = errno;
	const struct fault_range *r;

	(void)context;
	if (info->si_code <= 0) { /* kill(2): nothing is wrong with memory */
		terminal_restore(STDIN_FILENO);
		signal(sig, SIG_DFL);
		raise(sig);
		return;
	}
	r = fault_find(at);
	if (info->si_code == BUS_MCEERR_AO) {
		/* The kernel found the error before any access to the page. */
		say_bad(r, at, "; nothing is lost until it is used");
	} else if (touching) {
		/* It is the access that raised the signal, so no lock is held and nothing half
		 * done. */
		siglongjmp(*touching, info->si_code == BUS_MCEERR_AR ? EHWPOISON : EFAULT);
	} else if (info->si_code == BUS_MCEERR_AR && r && r->is_guest && catching) {
		catching->gpa = r->gpa + (at - (uintptr_t)r->at);
		catching->hit = 1;
	} else if (info->si_code == BUS_MCEERR_AR) {
		terminal_restore(STDIN_FILENO);
		say_bad(r, at, "; straddle itself needs it and cannot go on");
		restore_and_exit();
	} else {
		terminal_restore(STDIN_FILENO);
		say_missing(r, at);
		restore_and_exit();
	}
	errno = saved;
}

int fault_init(struct err *err)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	sigset_t bus;

	if (sigaction(SIGBUS, &action, NULL) < 0)
		return err_sys(err, errno, "cannot handle SIGBUS");
	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	sigprocmask(SIG_UNBLOCK, &bus, NULL); /* the parent may have blocked it */
	return 0;
}

void fault_catch(struct fault_bad *bad)
{
	catching = bad;
}

int fault_touch(uint8_t *at, uint64_t len, uint64_t step, uint64_t *done)
{
	volatile uint64_t touched = 0;
	sigjmp_buf back;
	int code = sigsetjmp(back, 1);

	if (code == 0) {
		touching = &back;
		/* An atomic OR with 0, because another thread may write to the page already. */
		for (; touched < len; touched += step)
			__asm__ volatile("lock orb $0, %0" : "+m"(at[touched]));
	}
	touching = NULL;
	*done = min_u64(touched, len);
	return -code;
}

/* --- KVM's EFAULT, which does not name the address --- */

bool fault_find_cut(struct err *err)
{
	struct stat st;

	for (unsigned i = 0; i < nr_ranges; i++) {
		const struct fault_range *r = &ranges[i];

		if (!r->len || !r->is_guest)
			continue;
		if (r->option && r->fd >= 0 && fstat(r->fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    (uint64_t)st.st_size < r->offset + r->len) {
			err_set(err, EFAULT,
				"%s %s was cut short to %lld bytes while the guest used it: "
				"make it as long as before and start anew",
				r->option, r->path, (long long)st.st_size);
			return true;
		}
	}
	return false;
}

bool fault_explain(struct err *err)
{
	bool huge = false;

	if (fault_find_cut(err))
		return true;
	for (unsigned i = 0; i < nr_ranges; i++)
		huge |= ranges[i].len && ranges[i].is_guest && ranges[i].huge;
	if (huge)
		err_set(err, EFAULT,
			"the host has no huge page left for guest RAM: none is free, or a control "
			"group allows no more (hugetlb.*.max)");
	return huge;
}
