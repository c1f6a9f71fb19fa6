/*
 * The control socket when too many call it.
 */
#include "tests/fault/wrap.h"
#include "vmm/vm/commands.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[] = "/tmp/straddle-fake-XXXXXX";
static char path[sizeof(dir) + 8];
static struct loop loop;
static struct control control;
static struct vm vm;
static struct err err;

static int set_up(void **state)
{
	wrap_setup(state);
	return loop_create(&loop, &err) < 0 ||
	       control_open(&control, path, &loop, vm_command, &vm, &err) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	wrap_reset();
	control_close(&control);
	loop_destroy(&loop);
	return 0;
}

/* What is ready on the loop, a few times over. */
static void serve(void)
{
	for (int i = 0; i < 4; i++) {
		loop_stop(&loop);
		assert_int_equal(loop_run(&loop, &err), 0);
		loop_rearm(&loop);
	}
}

static int call(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (void *)&addr, sizeof(addr)), 0);
	serve();
	return fd;
}

static void expect_answer(int fd, const char *words)
{
	char line[512] = "";

	assert_true(recv(fd, line, sizeof(line) - 1, MSG_DONTWAIT) > 0);
	if (!strstr(line, words))
		fail_msg("'%s' does not say '%s'", line, words);
}

static void ask(int fd, const char *line, const char *words)
{
	assert_int_equal(send(fd, line, strlen(line), 0), strlen(line));
	serve();
	expect_answer(fd, words);
}

static void test_silent_clients(void **state)
{
	int fds[CONTROL_CLIENTS + 1];
	char byte;

	(void)state;
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		fds[i] = call();
	ask(fds[0], "what\n", "the commands are"); /* then it is not the silent one */
	fds[CONTROL_CLIENTS] = call();
	ask(fds[CONTROL_CLIENTS], "what\n", "the commands are");
	assert_int_equal(recv(fds[1], &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), -1);
	for (unsigned i = 0; i <= CONTROL_CLIENTS; i++)
		close(fds[i]);
}

static void test_all_wait(void **state)
{
	int fds[CONTROL_CLIENTS + 1];

	(void)state;
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		fds[i] = call();
		control.clients[i].waiting = true;
	}
	fds[CONTROL_CLIENTS] = call();
	expect_answer(fds[CONTROL_CLIENTS], "busy");
	for (unsigned i = 0; i <= CONTROL_CLIENTS; i++)
		close(fds[i]);
}

/* No descriptor is left: the caller hears it, and does not keep the loop awake. */
static void test_no_descriptor(void **state)
{
	int fd;

	(void)state;
	wrap_fail_named("accept4", 1, EMFILE);
	fd = call();
	expect_answer(fd, "busy");
	close(fd);
	fd = call();
	ask(fd, "what\n", "the commands are");
	close(fd);
}

static void test_no_utf8(void **state)
{
	int fd = call();

	(void)state;
	ask(fd, "balloon \xff\xfe\n", "balloon ??");
	close(fd);
}

/* A guest that is kept hears nothing, and can be looked at; one that runs cannot. */
static void test_kept(void **state)
{
	int fd = call();

	(void)state;
	vm.machine.nr_cpus = 2;
	vm.machine.parts.loop = &loop;
	ask(fd, "registers 0\n", "the commands are balloon SIZE");
	ask(fd, "core x\n", "the commands are balloon SIZE");
	vm.kept = true;
	ask(fd, "memory\n", "the guest is stopped; the commands are registers CPU, core FILE");
	ask(fd, "power-button\n", "the guest is stopped");
	ask(fd, "registers\n", "the command is registers CPU");
	ask(fd, "registers 2\n", "CPUs are 0 to 1");
	ask(fd, "registers -1\n", "CPUs are 0 to 1");
	ask(fd, "registers 1x\n", "CPUs are 0 to 1");
	assert_true(vm.kept);
	ask(fd, "quit\n", "true");
	assert_false(vm.kept);
	vm.machine.nr_cpus = 0;
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_silent_clients), TEST(test_all_wait), TEST(test_no_descriptor),
		TEST(test_no_utf8),	   TEST(test_kept),
	};
	int ret;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/c", dir);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return ret;
}
