/*
 * What a refusal advises, works: command lines that do not fit are changed as the sentence says,
 * one way out at a time, and then they fit.
 */
#include "vmm/config/config.h"
#include "vmm/plan/plan.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGS_MAX     64
#define RANDOM_CASES 3000
#define RANDOM_SEED  UINT64_C(0x4144564943452121)

/* A command line: options and their values in turn. */
struct line {
	char args[ARGS_MAX][160];
	unsigned n;
};

static void __attribute__((format(printf, 3, 4)))
add(struct line *l, const char *option, const char *fmt, ...)
{
	va_list ap;

	assert_true(l->n + 2 <= ARGS_MAX);
	snprintf(l->args[l->n++], sizeof(l->args[0]), "--%s", option);
	va_start(ap, fmt);
	vsnprintf(l->args[l->n++], sizeof(l->args[0]), fmt, ap);
	va_end(ap);
}

static void show(const struct line *l)
{
	for (unsigned i = 0; i < l->n; i++)
		print_message("%s ", l->args[i]);
	print_message("\n");
}

/* 0, or plan_build()'s code; what is no sound request at all fails the test. */
static int plan(const struct line *l, struct err *err)
{
	static struct plan p;
	struct config c = CONFIG_EMPTY;
	char *argv[ARGS_MAX];
	int ret;

	for (unsigned i = 0; i < l->n; i++)
		argv[i] = (char *)(uintptr_t)l->args[i];
	ret = config_parse(&c, CMD_PLAN, (int)l->n, argv, err);
	if (ret == 0)
		ret = config_check(&c, CMD_PLAN, err);
	if (ret < 0) {
		show(l);
		fail_msg("%s", err->text);
	}
	ret = plan_build(&p, &c, &c.host, err);
	config_free(&c);
	return ret;
}

static void drop(struct line *l, unsigned i)
{
	memmove(l->args[i], l->args[i + 2], (l->n - i - 2) * sizeof(l->args[0]));
	l->n -= 2;
}

/* Takes an option out: those whose value begins with `value`, if that is not empty. */
static unsigned drop_option(struct line *l, const char *option, const char *value)
{
	unsigned dropped = 0;

	for (unsigned i = l->n; i >= 2; i -= 2) {
		if (strcmp(l->args[i - 2], option) || strncmp(l->args[i - 1], value, strlen(value)))
			continue;
		drop(l, i - 2);
		dropped++;
	}
	return dropped;
}

static void follow_word_for_every_vfio(struct line *l, const char *word)
{
	for (unsigned i = 0; i < l->n; i += 2)
		if (!strcmp(l->args[i], "--vfio") && !strstr(l->args[i + 1], word)) {
			strcat(l->args[i + 1], ",");
			strcat(l->args[i + 1], word);
		}
}

/* The --vfio from the n-th on, and what --host-pci says of them. */
static void keep_vfio(struct line *l, unsigned n)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < l->n;) {
		char device[32];

		if (strcmp(l->args[i], "--vfio") || seen++ < n) {
			i += 2;
			continue;
		}
		snprintf(device, sizeof(device), "%.12s", l->args[i + 1]);
		drop(l, i);
		drop_option(l, "--host-pci", device);
		i = 0;
		seen = 0;
	}
}

/* Does what one way out says. False: nothing is said that could be done here. */
static bool follow(struct line *l, const char *way)
{
	char option[64], value[128], word[32];
	unsigned n;

	if (sscanf(way, "only the first %u of --vfio", &n) == 1) {
		keep_vfio(l, n);
	} else if (!strcmp(way, "no --vfio")) {
		keep_vfio(l, 0);
	} else if (sscanf(way, "no --vfio %127s", value) == 1) {
		assert_int_equal(drop_option(l, "--vfio", value), 1);
		assert_int_equal(drop_option(l, "--host-pci", value), 1);
	} else if (sscanf(way, "no --reserve %127s", value) == 1) {
		assert_int_equal(drop_option(l, "--reserve", value), 1);
	} else if (!strcmp(way, "no --layout hole")) {
		assert_int_equal(drop_option(l, "--layout", "hole"), 1);
	} else if (!strcmp(way, "no --reserve")) {
		assert_true(drop_option(l, "--reserve", "") > 1);
	} else if (sscanf(way, "a smaller node %u, such as of %127s", &n, value) == 2) {
		for (unsigned i = 0; i < l->n; i += 2)
			if (!strcmp(l->args[i], "--numa") && !n--)
				strcpy(l->args[i + 1], value);
	} else if (sscanf(way, "%31s for every --vfio", word) == 1 && strstr(way, "for every")) {
		follow_word_for_every_vfio(l, word);
	} else if (sscanf(way, "--vfio %12[^,],%31s", value, word) == 2) {
		for (unsigned i = 0; i < l->n; i += 2)
			if (!strcmp(l->args[i], "--vfio") &&
			    !strncmp(l->args[i + 1], value, strlen(value))) {
				strcat(l->args[i + 1], ",");
				strcat(l->args[i + 1], word);
			}
	} else if (sscanf(way, "--%63s %127s", option, value) == 2) {
		memmove(option + 2, option, strlen(option) + 1);
		memcpy(option, "--", 2);
		drop_option(l, option, "");
		add(l, option + 2, "%s", value);
	} else {
		return false;
	}
	return true;
}

/* Follows every way out of a refusal. Returns how many there are. */
static unsigned follow_all(const struct line *l, const struct err *refusal)
{
	const char *next = strstr(refusal->text, ": use ");
	unsigned ways = 0;

	if (!next) {
		if (!strstr(refusal->text, "no change of a single option"))
			fail_msg("no way out: %s", refusal->text);
		return 0;
	}
	next += strlen(": use ");
	while (*next) {
		struct line changed = *l;
		struct err err = { "" };
		const char *comma = strstr(next, ", "), * or = strstr(next, " or ");
		char way[160];
		size_t len;

		/* "a smaller node 1, such as of 2G" is one */
		if (comma && !strncmp(comma, ", such as", 9))
			comma = strstr(comma + 2, ", ");
		len = comma && (! or || comma < or) ? (size_t)(comma - next) : or
									       ? (size_t)(or -next)
									       : strlen(next);
		snprintf(way, sizeof(way), "%.*s", (int)len, next);
		next += len + (next[len] == ',' ? 2 : next[len] ? 4 : 0);
		if (!follow(&changed, way)) {
			show(l);
			fail_msg("not understood: '%s' in: %s", way, refusal->text);
		}
		if (plan(&changed, &err) != 0) {
			show(l);
			fail_msg("'%s' of '%s' does not help: %s", way, refusal->text, err.text);
		}
		ways++;
	}
	return ways;
}

/* Refused with all of the words, and what it advises works. */
static void refused(const struct line *l, const char *words)
{
	struct err err = { "" };

	assert_int_equal(plan(l, &err), -ERANGE);
	if (!strstr(err.text, words))
		fail_msg("expected '%s' in: %s", words, err.text);
	follow_all(l, &err);
}

static struct line machine(const char *host, const char *memory)
{
	struct line l = { .n = 0 };

	add(&l, "host", "%s", host);
	add(&l, "memory", "%s", memory);
	return l;
}

static void test_by_hand(void **state)
{
	struct line l;

	(void)state;
	/* Only where the place of high memory can be lower. */
	l = machine("vendor=intel,phys-bits=39", "1G");
	add(&l, "high-memory-start", "0x10000000000");
	refused(&l, "but the host has 39: use --high-memory-start 511G");
	/* Nothing is forbidden, so no policy helps. */
	l = machine("vendor=intel", "80T");
	refused(&l, "has 46: use --memory 65534G");
	l = machine("vendor=amd", "256T");
	refused(&l, "use --memory 262118G");
	l = machine("vendor=intel", "1006G");
	add(&l, "pci64-window", "4096T");
	refused(&l, "0 ranges below must stay free: use --pci64-window 64529G");
	/* What may well be reserved is no reason to refuse; what may not, is not the policy's. */
	l = machine("vendor=intel", "4G");
	add(&l, "reserve", "0xa0000-0x100000");
	assert_int_equal(plan(&l, NULL), 0);
	add(&l, "reserve", "0x1000-0x2000");
	refused(&l, "RAM comes in pieces of 2 MiB: use no --reserve 0x1000-0x2000");
	/* Of many, those that are in the way. */
	l = machine("vendor=intel,phys-bits=36", "50G");
	add(&l, "reserve", "0x140000000-0xa00000000");
	refused(&l, "use no --reserve 0x140000000-0xa00000000 or --memory");
	add(&l, "reserve", "0xa40000000-0xf00000000");
	refused(&l, "use no --reserve or --memory 8G");
	/* The guest's bits, or the host's */
	l = machine("vendor=intel,phys-bits=46", "600G");
	add(&l, "phys-bits", "39");
	refused(&l, "but the guest has 39: use --phys-bits 40");
	/* Nodes are not --memory. */
	l = machine("vendor=intel,phys-bits=36", "70G");
	add(&l, "numa", "%s", "10G");
	add(&l, "numa", "%s", "60G");
	drop_option(&l, "--memory", "");
	refused(&l, "use a smaller node 1, such as of 30G");
	l = machine("vendor=intel", "1G");
	add(&l, "reserve", "0-0x1000");
	add(&l, "reserve", "0x1000-0x2000");
	add(&l, "pci64-window", "1000T");
	refused(&l, "no change of a single option makes room");
	/* Pieces of a page each */
	l = machine("vendor=amd", "2G");
	add(&l, "layout", "hole");
	add(&l, "page-size", "1G");
	refused(&l, "has 2 GiB: use --page-size 2M, --memory 3G or no --layout hole");
	/* Everything above 4 GiB is someone else's. */
	l = machine("vendor=amd", "80G");
	add(&l, "host-usable", "0-16G");
	refused(&l, "use --iova-policy vendor or --memory 14G");
}

/* --- random machines --- */

static uint64_t seed;

/* Vigna's splitmix64 */
static uint64_t rnd(uint64_t below)
{
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

/* A size whose number of bits is random: most machines are then near some limit. */
static uint64_t some(uint64_t unit, unsigned bits)
{
	return unit * (1 + rnd(UINT64_C(1) << rnd(bits)));
}

static struct line random_machine(void)
{
	static const char *const vendors[] = { "amd", "intel", "hygon" };
	static const char *const policies[] = { "auto", "vendor", "host", "off" };
	static const uint64_t anchors[] = { 0, 0xa0000, MIB, 2 * GIB, 3 * GIB, 4 * GIB, 64 * GIB };
	struct line l = { .n = 0 };
	unsigned bits = 34 + (unsigned)rnd(12);
	uint64_t unit = rnd(4) ? GIB : 2 * MIB, memory = some(unit, 10), from = 0;

	add(&l, "host", "vendor=%s,phys-bits=%u", vendors[rnd(3)], bits);
	if (unit == GIB && rnd(4) == 0)
		add(&l, "page-size", "1G");
	if (rnd(4)) {
		add(&l, "memory", "%" PRIu64, memory);
		if (rnd(4) == 0)
			add(&l, "max-memory", "%" PRIu64, memory + some(unit, 8));
	} else {
		for (uint64_t i = rnd(4); i + 1; i--)
			add(&l, "numa", "%" PRIu64, some(unit, 9));
	}
	if (rnd(8) == 0)
		add(&l, "low-memory", "%" PRIu64, GIB * (1 + rnd(3)));
	if (rnd(4) == 0)
		add(&l, "layout", "hole");
	else if (rnd(4) == 0)
		add(&l, "high-memory-start", "%" PRIu64, 4 * GIB + some(GIB, 10));
	if (rnd(8) == 0)
		add(&l, "pci32-window", "%" PRIu64, some(MIB, 11));
	if (rnd(4) == 0)
		add(&l, "pci64-window", "%" PRIu64, some(GIB, 11));
	if (rnd(4) == 0)
		add(&l, "phys-bits", "%u", 34 + (unsigned)rnd(bits - 33));
	add(&l, "iova-policy", "%s", policies[rnd(4)]);
	for (uint64_t i = rnd(4); i; i--) {
		from += rnd(2) ? anchors[rnd(ARRAY_SIZE(anchors))] : some(MIB, 18);
		add(&l, "reserve", "%#" PRIx64 "-%#" PRIx64, from, from + 4096 + some(MIB, 16));
		sscanf(l.args[l.n - 1], "%*i-%" SCNi64, (int64_t *)&from);
	}
	if (rnd(4) == 0)
		add(&l, "host-usable", "0-%" PRIu64 "G", 8 + rnd(512));
	for (uint64_t i = rnd(4) ? 0 : 1 + rnd(5); i; i--) {
		add(&l, "vfio", "0000:%02x:00.0", (unsigned)i);
		add(&l, "host-pci",
		    "0000:%02x:00.0,bar0=%" PRIu64 "%s,bar2=%" PRIu64 ":64%s,rom=64K", (unsigned)i,
		    UINT64_C(1) << (12 + rnd(20)), rnd(8) ? "" : ":pref",
		    UINT64_C(1) << (12 + rnd(26)), rnd(4) ? ":pref" : "");
	}
	return l;
}

static void test_random(void **state)
{
	unsigned counts[4] = { 0 };

	(void)state;
	seed = RANDOM_SEED;
	for (unsigned i = 0; i < RANDOM_CASES; i++) {
		struct line l = random_machine();
		struct err err = { "" };
		unsigned ways;

		if (plan(&l, &err) == 0)
			continue;
		ways = follow_all(&l, &err);
		counts[ways < 3 ? ways : 3]++;
	}
	print_message("refused with 0, 1, 2, more ways out: %u %u %u %u\n", counts[0], counts[1],
		      counts[2], counts[3]);
	/* Many are refused, and most have a way out. */
	assert_in_range(counts[1] + counts[2] + counts[3], RANDOM_CASES / 10, RANDOM_CASES);
	assert_true(counts[0] * 2 < counts[1] + counts[2] + counts[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
