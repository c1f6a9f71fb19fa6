#include "vmm/host/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The bytes that QEMU locks (block/file-posix.c). A process that uses a permission holds a shared
 * lock on byte PERM + the permission's number; a process that forbids others to use it holds one on
 * SHARED + the number. Before it uses a permission, a process checks that nobody holds the SHARED
 * byte, and before it forbids one, that nobody holds the PERM byte.
 */
#define PERM   100
#define SHARED 200
#define READ   0 /* BLK_PERM_CONSISTENT_READ */
#define WRITE  1
#define RESIZE 3
/* The bytes from PERM up to OTHERS belong to that scheme; all others are locked as a whole. */
#define OTHERS 300

/*
 * A process that was killed holds its files for a moment longer: the kernel closes an io_uring from
 * a work queue, when the requests in flight are done (io_uring/io_uring.c, io_ring_exit_work()). A
 * guest that is started again at once waits for that, a second at most.
 */
#define TRIES	 50
#define PAUSE_US 20000

/* Waits after a try that found the file locked. False: that was the last try. */
static bool wait_again(unsigned *tries)
{
	if (++*tries == TRIES)
		return false;
	usleep(PAUSE_US);
	return true;
}

struct lock {
	int fd;
	int error; /* EBUSY: somebody else has it; else what the kernel said; or 0 */
};

static void file_lock_take(struct lock *l, short type, off_t start, off_t len)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len
	};

	if (!l->error && fcntl(l->fd, F_OFD_SETLK, &lock) < 0)
		l->error = errno == EAGAIN || errno == EACCES ? EBUSY : errno;
}

/* Sets EBUSY if another process holds a lock on this byte, shared or not. */
static void file_lock_ask(struct lock *l, off_t byte)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
	};

	if (!l->error && fcntl(l->fd, F_OFD_GETLK, &lock) < 0)
		l->error = errno;
	else if (!l->error && lock.l_type != F_UNLCK)
		l->error = EBUSY;
}

/* Takes all locks, or none and EBUSY if another process holds one of them. */
static int lock_once(int fd, bool alone)
{
	const struct flock nothing = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	short others = alone ? F_WRLCK : F_RDLCK;
	struct lock l = { .fd = fd };

	/* For programs that lock the whole file, such as Cloud Hypervisor. */
	file_lock_take(&l, others, 0, PERM);
	file_lock_take(&l, others, OTHERS, 0);
	/*
	 * Lock first, then check: of two processes that do so at once, at least one sees the
	 * other's lock.
	 */
	file_lock_take(&l, F_RDLCK, PERM + READ, 1);
	file_lock_take(&l, F_RDLCK, SHARED + WRITE, 1);
	file_lock_take(&l, F_RDLCK, SHARED + RESIZE, 1);
	if (alone) {
		file_lock_take(&l, F_RDLCK, PERM + WRITE, 1);
		file_lock_take(&l, F_RDLCK, PERM + RESIZE, 1);
		file_lock_ask(&l, SHARED + WRITE);
		file_lock_ask(&l, SHARED + RESIZE);
	}
	file_lock_ask(&l, SHARED + READ);
	file_lock_ask(&l, PERM + WRITE);
	file_lock_ask(&l, PERM + RESIZE);
	if (l.error == EBUSY)
		fcntl(fd, F_OFD_SETLK, &nothing);
	return l.error;
}

int file_lock(int fd, const char *option, const char *path, bool alone, const char *way_out,
	      struct err *err)
{
	unsigned tries = 0;

	do {
		if (lock_once(fd, alone) != EBUSY)
			return 0; /* locked, or the file system has no locks */
	} while (wait_again(&tries));
	return err_set(
		err, EBUSY,
		"%s %s is in use by another process, or given twice: it is locked; end that, or %s",
		option, path, way_out);
}

/* Returns a descriptor, or -1. */
static int open_alone(const char *path, int flags)
{
	unsigned tries = 0;
	int fd;

	do {
		fd = open(path, flags | O_EXCL);
	} while (fd < 0 && errno == EBUSY && wait_again(&tries));
	return fd;
}

int file_claim(int *fd, const char *option, const char *path, int flags, const char *way_out,
	       struct err *err)
{
	struct stat was, is;
	int claimed;

	if (fstat(*fd, &was) < 0)
		return err_sys(err, errno, "%s %s cannot be looked at", option, path);
	if (!S_ISBLK(was.st_mode))
		return 0;
	claimed = open_alone(path, flags);
	if (claimed < 0 && errno == EBUSY)
		return err_set(err, EBUSY,
			       "%s %s is in use on this host: it is mounted, or swap, or a part of "
			       "LVM, RAID or device-mapper, or another program has it for itself "
			       "(lsblk shows which); free it, or %s",
			       option, path, way_out);
	if (claimed < 0)
		return err_sys(err, errno, "%s %s cannot be opened", option, path);
	close(*fd);
	*fd = claimed;
	if (fstat(claimed, &is) < 0)
		return err_sys(err, errno, "%s %s cannot be looked at", option, path);
	if (was.st_rdev != is.st_rdev)
		return err_set(err, EBUSY, "%s %s has become another device meanwhile", option,
			       path);
	return 0;
}
