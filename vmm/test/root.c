#include "vmm/test/root.h"

#include "vmm/base/quote.h"
#include "vmm/host/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WHAT	"--root"
#define TELL_MS 100 /* that the daemon may need to end after its socket */

/* --- the program --- */

/*
 * Two programs have this name, with different options: the one in Rust (package virtiofsd), and
 * that of QEMU before 8.0.
 */
struct virtiofsd {
	char path[PROGRAM_PATH];
	bool of_qemu;
	bool drops_noatime; /* opens files without O_NOATIME, whatever the guest asks for */
	bool has_readonly;  /* has an option that refuses to write */
	bool announces;	    /* tells of mounts inside the folder, unless told not to */
};

/* Where distributions keep it, behind the folders of $PATH. */
#define DAEMON_FOLDERS "/usr/libexec:/usr/lib:/usr/lib/qemu:/usr/local/libexec:/usr/sbin:/sbin"
#define ASK_MS	       10000

/* QEMU's drops its groups before it even prints its help. */
static int get_ready_to_ask(void *to)
{
	(void)to;
	return getuid() == 0 ? 0 : daemon_calls_filter(-1);
}

/* Finds the program and asks for its options, which tell what it is and what it can. */
static int find_virtiofsd(struct virtiofsd *v, struct err *err)
{
	const char *const argv[] = { v->path, "--help", NULL };
	const struct program_spec spec = {
		.what = WHAT, .path = v->path, .argv = argv, .ready = get_ready_to_ask
	};
	char words[32768];
	int ret;

	if (!program_find("virtiofsd", DAEMON_FOLDERS, v->path))
		return err_set(err, ENOENT,
			       "--root: there is no virtiofsd, which serves folders; install it "
			       "(package virtiofsd, or qemu-system-common), or use an image");
	ret = program_ask(&spec, ASK_MS, words, sizeof(words), err);
	if (ret < 0)
		return ret;
	v->of_qemu = strstr(words, "-o source=");
	v->drops_noatime = strstr(words, "--preserve-noatime");
	v->has_readonly = strstr(words, "--readonly");
	v->announces = strstr(words, "--no-announce-submounts");
	if (!v->of_qemu && !strstr(words, "--shared-dir"))
		return err_set(err, ENOEXEC,
			       "--root: %s --help says '%s', which is no virtiofsd; install "
			       "another, or use an image",
			       v->path, SHOWN(words));
	return 0;
}

/* --- the daemon --- */

/* In the child, where the daemon will run. */
struct place {
	uid_t uid;
	gid_t gid;
	bool alone; /* without a user namespace */
	int calls;  /* where the listener of its filter goes, or -1 */
};

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/*
 * Makes the process root in a user namespace of its own (user_namespaces(7)), where it may mount
 * and chroot, which virtiofsd does to lock itself in. Some hosts allow the namespace, but nothing
 * in it, so chroot(2) is tried. Returns 0 or an errno.
 */
static int become_root(const struct place *place)
{
	char map[64];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return errno;
	snprintf(map, sizeof(map), "0 %u 1\n", place->uid);
	if (!write_file("/proc/self/setgroups", "deny") || !write_file("/proc/self/uid_map", map))
		return errno;
	snprintf(map, sizeof(map), "0 %u 1\n", place->gid);
	if (!write_file("/proc/self/gid_map", map) || chroot("/") < 0)
		return errno;
	return 0;
}

/*
 * Makes all file systems read-only for this process, in its own mount namespace, so that the
 * guest's root, who could mount the device once more, writes to none of them. A kernel before 5.12
 * lacks the call.
 */
static void forbid_writes(void)
{
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };

	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) == 0)
		(void)syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &read_only,
			      sizeof(read_only));
}

static int get_ready(void *to)
{
	const struct place *place = to;
	int code;

	if (place->alone)
		return 0;
	if (place->uid == 0) {
		/* Root of a container may be refused. */
		if (unshare(CLONE_NEWNS) == 0)
			forbid_writes();
		return 0;
	}
	code = daemon_calls_filter(place->calls);
	if (code == 0)
		code = become_root(place);
	if (code == 0)
		forbid_writes();
	return code;
}

/*
 * Both programs take a socket that listens already, so that nobody waits for its name to appear.
 * Without a user namespace virtiofsd cannot lock itself in. A mount that is announced becomes an
 * automount in the guest, and overlayfs refuses to look up those with EREMOTE
 * (ovl_lookup_single() of fs/overlayfs/namei.c), so that there would be no /proc.
 */
static int run_virtiofsd(struct program *daemon, const struct virtiofsd *v, const char *folder,
			 int listener, struct place *place, struct err *err)
{
	char source[PROGRAM_PATH + 16];
	const char *const of_qemus[] = { v->path, "--fd=3",	"-o",
					 source,  "-o",		"sandbox=chroot",
					 "-o",	  "cache=auto", "--rlimit-nofile=0",
					 NULL };
	const char *of_rust[12] = { v->path,
				    "--fd=3",
				    source,
				    place->alone ? "--sandbox=none" : "--sandbox=chroot",
				    "--cache=auto",
				    "--rlimit-nofile=0",
				    "--log-level=error" };
	unsigned n = 7;
	const struct program_spec spec = {
		.what = WHAT,
		.path = v->path,
		.argv = v->of_qemu ? of_qemus : of_rust,
		.fds = { listener },
		.nr_fds = 1,
		.ready = get_ready,
		.to = place,
		.unready = "this host allows no user namespace, in which virtiofsd would run; use "
			   "an image, or run as root",
	};

	if (v->has_readonly)
		of_rust[n++] = "--readonly";
	if (v->announces)
		of_rust[n++] = "--no-announce-submounts";
	snprintf(source, sizeof(source), v->of_qemu ? "source=%s" : "--shared-dir=%s", folder);
	return program_start(daemon, &spec, err);
}

static int start_virtiofsd(struct test_root *root, const char *folder, int listener,
			   struct err *err)
{
	struct place place = { .uid = getuid(), .gid = getgid(), .calls = -1 };
	struct virtiofsd v = { .path = "" };
	int ends[2] = { -1, -1 }, ret = find_virtiofsd(&v, err);
	bool served = place.uid == 0 || v.drops_noatime;

	if (ret < 0)
		return ret;
	if (!served && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, errno, "--root: cannot make a socket");
	place.calls = ends[1];
	ret = run_virtiofsd(&root->daemon, &v, folder, listener, &place, err);
	if (ret == -ECHILD && v.has_readonly) {
		place.alone = true;
		ret = run_virtiofsd(&root->daemon, &v, folder, listener, &place, err);
	}
	if (ret == 0 && !served && !place.alone) {
		ret = daemon_calls_serve(&root->calls, ends[0], err);
		served = ret == 0;
		if (ret == -EOPNOTSUPP)
			ret = 0;
	}
	root->read_only = !served;
	for (unsigned i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	return ret;
}

/* --- devices --- */

static int add_folder(struct test_root *root, struct config *c, const char *folder, struct err *err)
{
	struct config_fs *fs = &c->fs[c->nr_fs];
	const char *temporary = getenv("TMPDIR");
	int listener, ret;
	char *socket;

	if (c->nr_fs == CONFIG_FS_MAX)
		return err_set(err, EINVAL, "--root: there are %u --fs already; leave one out",
			       CONFIG_FS_MAX);
	/* A Unix socket's name has 107 bytes at most. */
	if (!temporary || strlen(temporary) > 40)
		temporary = "/tmp";
	snprintf(root->folder, sizeof(root->folder), "%s/straddle-XXXXXX", temporary);
	if (!mkdtemp(root->folder)) {
		int code = errno;

		root->folder[0] = '\0';
		return err_sys(err, code, "--root: cannot make a folder in %s", temporary);
	}
	if (asprintf(&socket, "%s/fs", root->folder) < 0)
		return err_sys(err, ENOMEM, "out of memory for a file name");
	*fs = (struct config_fs){ socket, strdup(TEST_ROOT_TAG) };
	c->nr_fs++;
	if (!fs->tag)
		return err_sys(err, ENOMEM, "out of memory for a name");
	ret = unix_socket_listen("--root: ", socket, &listener, err);
	if (ret < 0)
		return ret;
	ret = start_virtiofsd(root, folder, listener, err);
	close(listener);
	return ret;
}

static int add_image(struct config *c, struct err *err)
{
	struct config_disk *disk = &c->disks[c->nr_disks];

	if (c->nr_disks == CONFIG_DISKS_MAX)
		return err_set(err, EINVAL, "--root: there are %u --disk already; leave one out",
			       CONFIG_DISKS_MAX);
	*disk = (struct config_disk){ .path = strdup(c->test.root),
				      .serial = strdup(TEST_ROOT_SERIAL),
				      .readonly = true };
	c->nr_disks++;
	return disk->path && disk->serial ? 0 : err_sys(err, ENOMEM, "out of memory for a name");
}

int test_root_open(struct test_root *root, struct config *c, struct err *err)
{
	const char *what = c->test.root;
	struct stat st;

	if (!what || !strcmp(what, "none"))
		return 0;
	if (!strcmp(what, "host"))
		what = "/";
	if (stat(what, &st) < 0)
		return err_set(err, EINVAL,
			       "--root %s: there is no such folder or image (%s); other words are "
			       "none and host",
			       what, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return add_image(c, err);
	return add_folder(root, c, what, err);
}

const char *test_root_spec(const struct config *c, const struct test_root *root)
{
	if (!c->test.root || !strcmp(c->test.root, "none"))
		return "root=none";
	return *root->folder ? "root=fs:" TEST_ROOT_TAG : "root=disk:" TEST_ROOT_SERIAL;
}

void test_root_connected(struct test_root *root)
{
	char socket[sizeof(root->folder) + 8];

	if (!*root->folder)
		return;
	snprintf(socket, sizeof(socket), "%s/fs", root->folder);
	(void)unlink(socket);
	(void)rmdir(root->folder);
}

bool test_root_tell(const struct test_root *root, struct err *err)
{
	return program_tell(&root->daemon, TELL_MS, err);
}

void test_root_close(struct test_root *root)
{
	test_root_connected(root);
	program_end(&root->daemon);
	daemon_calls_end(&root->calls);
	*root = (struct test_root){ .folder = "" };
}
