/* Pieces of memory that threads claim: every byte once, and known when it is done. */
#include "vmm/base/pieces.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

static const struct span areas[] = {
	{ 3 * MIB, 9 * MIB }, /* cut at 4 and 8 MiB */
	{ 16 * MIB, 24 * MIB },
	{ UINT64_MAX - 2 * MIB, UINT64_MAX }, /* begins in the last piece but one that there can be
					       */
};

static struct pieces p;
static uint8_t done[16];

static void init(void)
{
	memset(done, 0, sizeof(done));
	assert_true(pieces_count(areas, ARRAY_SIZE(areas), 4 * MIB) <= sizeof(done));
	pieces_init(&p, areas, ARRAY_SIZE(areas), 4 * MIB, done);
}

static void test_sizes(void **state)
{
	(void)state;
	/* A terabyte has pieces enough for everybody. */
	assert_int_equal(pieces_size(TIB, 384, 4 * KIB), 256 * MIB);
	assert_int_equal(pieces_size(4 * GIB, 2, 4 * KIB), 256 * MIB);
	/* Few GiB among many CPUs */
	assert_int_equal(pieces_size(16 * GIB, 96, 4 * KIB), 32 * MIB);
	/* A page is not cut, and neither is a transparent huge page. */
	assert_int_equal(pieces_size(16 * GIB, 96, GIB), GIB);
	assert_int_equal(pieces_size(64 * MIB, 96, 4 * KIB), 2 * MIB);
	assert_int_equal(pieces_size(0, 0, 4 * KIB), 256 * MIB);
}

static void test_claims(void **state)
{
	static const struct span wanted[] = {
		{ 3 * MIB, 4 * MIB },	{ 4 * MIB, 8 * MIB },
		{ 8 * MIB, 9 * MIB },	{ 16 * MIB, 20 * MIB },
		{ 20 * MIB, 24 * MIB }, { UINT64_MAX - 2 * MIB, UINT64_MAX },
	};
	struct span at;
	uint64_t number;

	(void)state;
	init();
	assert_int_equal(p.n, ARRAY_SIZE(wanted));
	assert_int_equal(p.total, 16 * MIB);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		assert_true(pieces_claim(&p, &number, &at));
		assert_int_equal(number, i);
		assert_int_equal(at.base, wanted[i].base);
		assert_int_equal(at.end, wanted[i].end);
	}
	assert_false(pieces_claim(&p, &number, &at));
	assert_false(pieces_claim(&p, &number, &at));
}

static void test_done(void **state)
{
	const struct span all = { 0, UINT64_MAX }, second = { 17 * MIB, 23 * MIB },
			  cut = { 3 * MIB, 4 * MIB + 1 }, between = { 10 * MIB, 12 * MIB };

	(void)state;
	init();
	assert_true(pieces_are_done(&p, between)); /* nothing is there to wait for */
	assert_false(pieces_are_done(&p, cut));
	pieces_finish(&p, 0);
	assert_false(pieces_are_done(&p, cut)); /* its last byte is in the next piece */
	pieces_finish(&p, 1);
	assert_true(pieces_are_done(&p, cut));
	pieces_finish(&p, 4);
	assert_false(pieces_are_done(&p, second));
	pieces_finish(&p, 3);
	assert_true(pieces_are_done(&p, second));
	pieces_finish(&p, 5);
	assert_false(pieces_are_done(&p, all));
	pieces_finish(&p, 2);
	assert_true(pieces_are_done(&p, all));
	pieces_note(&p, 3);
	pieces_note(&p, MIB);
	assert_int_equal(pieces_noted(&p), MIB + 3);
}

/* --- several threads --- */

#define MANY 10000

static uint8_t claimed[MANY];

static void *claim_all(void *arg)
{
	struct pieces *many = arg;
	uint64_t number;
	struct span at;

	while (pieces_claim(many, &number, &at)) {
		__atomic_fetch_add(&claimed[number], 1, __ATOMIC_RELAXED);
		pieces_finish(many, number);
		pieces_note(many, span_size(at));
	}
	return NULL;
}

static void test_threads(void **state)
{
	const struct span area = { 0, MANY * MIB };
	static uint8_t all_done[MANY];
	pthread_t threads[4];
	struct pieces many;

	(void)state;
	pieces_init(&many, &area, 1, MIB, all_done);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, claim_all, &many), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(claimed[i], 1);
	assert_true(pieces_are_done(&many, area));
	assert_int_equal(pieces_noted(&many), span_size(area));
}

static void test_progress(void **state)
{
	struct pieces_progress progress = pieces_progress(3 * GIB, 12 * GIB, 1.5);

	(void)state;
	assert_true(progress.gib == 3 && progress.total == 12);
	assert_true(progress.rate == 2 && progress.left == 4.5);
	progress = pieces_progress(0, GIB, 2);
	assert_true(progress.rate == 0 && progress.left == 0);
	progress = pieces_progress(GIB, GIB, 0);
	assert_true(progress.rate == 0 && progress.left == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	 cmocka_unit_test(test_claims),
		cmocka_unit_test(test_done),	 cmocka_unit_test(test_threads),
		cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
