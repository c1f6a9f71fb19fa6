/* What Slurm's programs print. The lines are those of Slurm 22.05. */
#include "vmm/test/slurm_text.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_jobs(void **state)
{
	uint64_t job;

	(void)state;
	assert_true(slurm_text_job("1234\n", &job));
	assert_int_equal(job, 1234);
	assert_true(slurm_text_job("4294967295;cluster\n", &job));
	assert_int_equal(job, UINT32_MAX);
	assert_true(slurm_text_job("7", &job));
	assert_false(slurm_text_job("4294967296\n", &job));
	assert_false(slurm_text_job("99999999999999999999\n", &job));
	assert_false(slurm_text_job("0\n", &job));
	assert_false(slurm_text_job("", &job));
	assert_false(slurm_text_job(" 7\n", &job));
	assert_false(slurm_text_job("-7\n", &job));
	assert_false(slurm_text_job("7 \n", &job));
	assert_false(slurm_text_job("Submitted batch job 7\n", &job));
}

static void test_lines(void **state)
{
	const char *text = "9|1|17|RUNNING|None|n2\n"
			   "slurm_load_jobs error: something\n"
			   "12|N/A|17|RUNNING|None|n2\n"
			   "\n"
			   "9|0|17|NODE_FAIL|NodeDown|n1\n"
			   "9|2|17|PENDING|JobHeldUser|\n"
			   "9|3|17|PENDING|Resources\n"
			   "9|4|17||Resources|\n"
			   "9|5|17|PENDING|(Nodes required\tfor job)|n[1-2]";
	struct slurm_line l;

	(void)state;
	assert_true(slurm_text_line(&text, &l));
	assert_int_equal(l.job, 9);
	assert_int_equal(l.index, 1);
	assert_int_equal(l.priority, 17);
	assert_string_equal(l.state, "RUNNING");
	assert_string_equal(l.reason, "None");
	assert_string_equal(l.node, "n2");
	assert_true(slurm_text_line(&text, &l));
	assert_int_equal(l.index, 0);
	assert_string_equal(l.reason, "NodeDown");
	assert_string_equal(l.node, "n1");
	assert_true(slurm_text_line(&text, &l));
	assert_int_equal(l.index, 2);
	assert_string_equal(l.node, "");
	assert_true(slurm_text_line(&text, &l));
	assert_int_equal(l.index, 5);
	assert_string_equal(l.reason, "(Nodes?required?for?job)");
	assert_string_equal(l.node, "n[1-2]");
	assert_false(slurm_text_line(&text, &l));
	assert_string_equal(text, "");
}

static void test_long_fields(void **state)
{
	char text[512] = "1|2|3|", *end = text + 6;
	const char *p = text;
	struct slurm_line l;

	(void)state;
	memset(end, 'S', 100);
	end[100] = '|';
	memset(end + 101, 'R', 100);
	end[201] = '|';
	memset(end + 202, 'n', 100);
	assert_true(slurm_text_line(&p, &l));
	assert_int_equal(strlen(l.state), sizeof(l.state) - 1);
	assert_int_equal(strlen(l.reason), sizeof(l.reason) - 1);
	assert_int_equal(strlen(l.node), sizeof(l.node) - 1);
	assert_int_equal(l.node[0], 'n');
}

static enum slurm_state state_of(const char *text)
{
	struct slurm_line l;

	assert_true(slurm_text_line(&text, &l));
	return slurm_text_state(&l);
}

static void test_states(void **state)
{
	(void)state;
	assert_int_equal(state_of("1|2|17|PENDING|Resources|"), SLURM_WAITS);
	assert_int_equal(state_of("1|2|0|PENDING|BadConstraints|"), SLURM_NEVER);
	assert_int_equal(state_of("1|2|17|PENDING|BadConstraints|"), SLURM_WAITS);
	assert_int_equal(state_of("1|2|0|PENDING|JobHeldUser|"), SLURM_WAITS);
	assert_int_equal(state_of("1|2|17|RUNNING|None|n"), SLURM_RUNS);
	assert_int_equal(state_of("1|2|17|COMPLETING|None|n"), SLURM_RUNS);
	assert_int_equal(state_of("1|2|17|SOMETHING_NEW|None|n"), SLURM_RUNS);
	assert_int_equal(state_of("1|2|17|COMPLETED|None|n"), SLURM_ENDED);
	assert_int_equal(state_of("1|2|17|CANCELLED|BadConstraints|n"), SLURM_ENDED);
	assert_int_equal(state_of("1|2|17|NODE_FAIL|NodeDown|n"), SLURM_ENDED);
	assert_true(slurm_text_is_chance("NODE_FAIL"));
	assert_true(slurm_text_is_chance("FAILED"));
	assert_true(slurm_text_is_chance("COMPLETED"));
	assert_true(slurm_text_is_chance(""));
	assert_false(slurm_text_is_chance("TIMEOUT"));
	assert_false(slurm_text_is_chance("OUT_OF_MEMORY"));
	assert_false(slurm_text_is_chance("CANCELLED"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jobs),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_fields),
		cmocka_unit_test(test_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
