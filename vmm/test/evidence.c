#include "vmm/test/evidence.h"

#include "vmm/plan/fdt.h"
#include "vmm/plan/json.h"
#include "vmm/test/report.h"
#include "vmm/vm/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that is being written. */
struct evidence {
	const char *folder;
	int dir;
	int ret; /* the first error; then nothing more is written */
	struct err *err;
};

static FILE *begin(struct evidence *e, const char *name)
{
	int fd = e->ret < 0 ? -1
			    : openat(e->dir, name,
				     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file && e->ret == 0)
		e->ret = err_sys(e->err, errno, "%s/%s cannot be written", e->folder, name);
	if (!file && fd >= 0)
		close(fd);
	return file;
}

static void finish(struct evidence *e, FILE *file, const char *name)
{
	bool failed = ferror(file);

	if ((fclose(file) != 0 || failed) && e->ret == 0)
		e->ret = err_sys(e->err, errno, "%s/%s cannot be written", e->folder, name);
}

static void write_text(struct evidence *e, const char *name, const char *text)
{
	FILE *file = *text ? begin(e, name) : NULL;

	if (!file)
		return;
	fputs(text, file);
	if (text[strlen(text) - 1] != '\n')
		fputc('\n', file);
	finish(e, file, name);
}

static void write_console(struct evidence *e, const struct test_case *t)
{
	FILE *file = begin(e, "console.log");

	if (!file)
		return;
	test_console_write(&t->console, file);
	finish(e, file, "console.log");
}

static void write_plan(struct evidence *e, const struct plan *p)
{
	void *blob = malloc(PLAN_FDT_MAX);
	size_t len = 0;
	char *json = NULL;
	FILE *file;

	if (!p->map.nr_regions) { /* there is no plan yet */
		free(blob);
		return;
	}
	if (plan_json(p, NULL, &json, NULL) == 0)
		write_text(e, "plan.json", json);
	free(json);
	if (blob && plan_to_fdt(p, blob, PLAN_FDT_MAX, &len, NULL) == 0 &&
	    (file = begin(e, "plan.dtb"))) {
		fwrite(blob, 1, len, file);
		finish(e, file, "plan.dtb");
	}
	free(blob);
}

static void write_result(struct evidence *e, const struct test_result *r)
{
	struct report report;
	struct err ignored;
	FILE *file = begin(e, "result.json");

	if (!file)
		return;
	if (report_begin(&report, REPORT_JSON, file, "straddle test", 1, &ignored) == 0) {
		report_case(&report, r);
		(void)report_end(&report, r->seconds, &ignored);
	}
	finish(e, file, "result.json");
}

/* What this host can do, because the reason of a failure may be there. */
static void write_check(struct evidence *e, const struct config *c)
{
	FILE *file = begin(e, "check.json");
	struct err err;
	bool able;

	if (!file)
		return;
	if (check_host(c, true, file, &able, &err) < 0 && e->ret == 0)
		e->ret = err_set(e->err, EIO, "%s/check.json: %s", e->folder, err.text);
	finish(e, file, "check.json");
}

int test_output_folder(const char *path, struct err *err)
{
	char above[PATH_MAX];

	snprintf(above, sizeof(above), "%s", path);
	for (char *p = strchr(above + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)mkdir(above, 0777);
		*p = '/';
	}
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return err_sys(err, errno, "the folder %s (--output) cannot be made", path);
	return 0;
}

int test_evidence_write(const struct test_case *t, struct test_result *result, struct err *err)
{
	const struct config *c = &t->vm->config;
	struct evidence e = { .folder = c->test.output ? c->test.output : TEST_EVIDENCE_FOLDER,
			      .err = err };
	int ret;

	result->output = NULL;
	ret = test_output_folder(e.folder, err);
	if (ret < 0)
		return ret;
	e.dir = open(e.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e.dir < 0)
		return err_sys(err, errno, "the folder %s (--output) cannot be opened", e.folder);
	result->output = e.folder;
	write_console(&e, t);
	write_text(&e, "cmdline", c->append ? c->append : "");
	write_text(&e, "cpus.txt", t->cpus ? t->cpus : "");
	write_plan(&e, &t->vm->plan);
	if (!result->passed)
		write_check(&e, c);
	write_result(&e, result);
	close(e.dir);
	if (e.ret < 0)
		result->output = NULL;
	return e.ret;
}

/*
 * A command's own status is no reason for a folder where one case runs, because whoever runs it
 * sees what the command prints; where many run, nobody does.
 */
static bool leaves(const struct config_test *c, const struct test_result *r)
{
	if (c->always_output)
		return true;
	return !r->passed && r->seconds > 0 && (r->verdict != VERDICT_COMMAND || c->output);
}

int test_core_in_folder(struct config_test *c, const char *name, struct err *err)
{
	struct stat st;
	char *path;

	if (!c->core || stat(c->core, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (asprintf(&path, "%s/%s.core", c->core, name) < 0)
		return err_sys(err, ENOMEM, "out of memory for a file name");
	free(c->core);
	c->core = path;
	return 0;
}

int test_evidence_leave(const struct test_case *t, struct test_result *result, struct err *err)
{
	return leaves(&t->vm->config.test, result) ? test_evidence_write(t, result, err) : 0;
}
