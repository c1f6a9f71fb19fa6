#include "vmm/test/reports.h"

#include "vmm/base/quote.h"

#include <errno.h>

/* Of TAP the caller has the file. */
static bool is_ours(enum report_format f)
{
	return f != REPORT_TAP;
}

static int open_report(struct test_reports *r, enum report_format f, const char *suite,
		       unsigned planned, struct err *err)
{
	if (is_ours(f))
		r->files[f] = fopen(r->paths[f], "we");
	if (!r->files[f])
		return err_sys(err, errno, "--%s %s cannot be written", report_format_word(f),
			       SHOWN(r->paths[f]));
	return report_begin(&r->reports[f], f, r->files[f], suite, planned, err);
}

int test_reports_open(struct test_reports *r, const struct config_suite *options, FILE *tap,
		      const char *suite, unsigned planned, struct err *err)
{
	struct err ignored;

	*r = (struct test_reports){
		.files = { [REPORT_TAP] = tap },
		.paths = { [REPORT_TAP] = tap ? "standard output" : NULL,
			   [REPORT_KTAP] = options->ktap,
			   [REPORT_JUNIT] = options->junit,
			   [REPORT_JSON] = options->json },
	};
	for (enum report_format f = 0; f < REPORT_FORMATS; f++) {
		int ret = r->paths[f] ? open_report(r, f, suite, planned, err) : 0;

		if (ret == 0)
			continue;
		if (r->files[f] && is_ours(f))
			fclose(r->files[f]);
		for (; f < REPORT_FORMATS; f++) /* these are not begun */
			r->paths[f] = NULL;
		(void)test_reports_close(r, 0, &ignored);
		return ret;
	}
	return 0;
}

void test_reports_case(struct test_reports *r, const struct test_result *result)
{
	for (enum report_format f = 0; f < REPORT_FORMATS; f++)
		if (r->paths[f])
			report_case(&r->reports[f], result);
}

static int close_report(struct test_reports *r, enum report_format f, double seconds,
			struct err *err)
{
	int ret = report_end(&r->reports[f], seconds, err);

	if (is_ours(f) && fclose(r->files[f]) != 0 && ret == 0)
		ret = err_sys(err, errno, "cannot write the report");
	return ret < 0 ? err_prefix(err, ret, "%s: ", SHOWN(r->paths[f])) : 0;
}

int test_reports_close(struct test_reports *r, double seconds, struct err *err)
{
	struct err later;
	int ret = 0;

	for (enum report_format f = 0; f < REPORT_FORMATS; f++) {
		int failed = r->paths[f] ? close_report(r, f, seconds, ret ? &later : err) : 0;

		ret = ret ? ret : failed;
		r->paths[f] = NULL;
	}
	return ret;
}
