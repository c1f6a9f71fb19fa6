#include "vmm/test/daemon_calls.h"

#include "vmm/base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- the child --- */

static int send_listener(int socket, int listener)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec part = { &byte, 1 };
	struct msghdr h = { .msg_iov = &part,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &listener, sizeof(int));
	return sendmsg(socket, &h, MSG_NOSIGNAL) < 0 ? errno : 0;
}

int daemon_calls_filter(int socket)
{
	/* x86-64 passes the flags in the low half of the third argument; the high half is not used.
	 */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 6),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setgroups, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_NOATIME, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO), /* of errno 0 */
	};
	const struct sock_fprog filter = { ARRAY_SIZE(code), code };
	int listener = -1, ret = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return errno;
	if (socket >= 0)
		listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
					SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
	if (listener >= 0) {
		ret = send_listener(socket, listener);
		close(listener);
		return ret;
	}
	code[7].k = SECCOMP_RET_ALLOW; /* without a listener the call would fail */
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0 ? errno : 0;
}

/* --- this process --- */

/* Newer kernels may have longer structs (SECCOMP_GET_NOTIF_SIZES), whose start is the same. */
union request {
	struct seccomp_notif notif;
	uint8_t room[512];
};
union response {
	struct seccomp_notif_resp resp;
	uint8_t room[512];
};

/* Reads a name that is a number, as those in /proc/PID/fd are, from the daemon's memory. */
static bool daemon_calls_number(unsigned pid, uint64_t at, char name[16])
{
	char path[32];
	ssize_t n = -1;
	size_t digits;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = pread(fd, name, 16, (off_t)at);
		close(fd);
	}
	digits = n > 0 ? strspn(name, "0123456789") : 0;
	return digits && digits < 16 && !name[digits];
}

/*
 * Opens what the call names, without O_NOATIME. A daemon opens an inode that the guest has looked
 * up by the name of its O_PATH descriptor in /proc/self/fd, which works in whatever root directory
 * it is, and here as well. O_NONBLOCK is for a FIFO, on which this thread must not wait. Returns a
 * descriptor, or -1.
 */
static int open_instead(const struct seccomp_notif *n)
{
	int flags = (int)n->data.args[2] & ~O_NOATIME, fd;
	char name[17] = "", path[64];

	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ||
	    !daemon_calls_number(n->pid, n->data.args[1], name))
		return -1;
	snprintf(path, sizeof(path), "/proc/%u/fd/%d/%s", n->pid, (int)n->data.args[0], name);
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd >= 0)
		(void)fcntl(fd, F_SETFL, flags);
	return fd;
}

/* The daemon gets the descriptor, or else its call is made as it is. */
static void daemon_calls_answer(int listener, const struct seccomp_notif *n)
{
	union response r = { .resp = { .id = n->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE } };
	struct seccomp_notif_addfd add = { .id = n->id,
					   .flags = SECCOMP_ADDFD_FLAG_SEND,
					   .newfd_flags = (uint32_t)n->data.args[2] & O_CLOEXEC };
	int fd = open_instead(n), ret = -1;

	if (fd >= 0) {
		add.srcfd = (uint32_t)fd;
		ret = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
		close(fd);
	}
	if (ret < 0)
		(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

static void daemon_called(void *to, short revents)
{
	struct daemon_calls *c = to;
	union request r = { .room = { 0 } };

	if (!(revents & POLLIN)) /* the daemon is gone */
		loop_forget(&c->worker.loop, c->fd);
	else if (ioctl(c->fd, SECCOMP_IOCTL_NOTIF_RECV, &r) == 0)
		daemon_calls_answer(c->fd, &r.notif);
}

static int receive_listener(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec part = { &byte, 1 };
	struct msghdr h = { .msg_iov = &part,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = NULL;
	int fd;

	if (recvmsg(socket, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) > 0)
		c = CMSG_FIRSTHDR(&h);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* Of a call that there is not: a kernel that knows the flag looks for it (ENOENT). */
static bool can_add(int listener)
{
	struct seccomp_notif_addfd add = { .flags = SECCOMP_ADDFD_FLAG_SEND,
					   .srcfd = (uint32_t)listener };

	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 && errno == ENOENT;
}

int daemon_calls_serve(struct daemon_calls *c, int socket, struct err *err)
{
	int ret;

	c->fd = receive_listener(socket);
	if (c->fd < 0)
		return -EOPNOTSUPP;
	ret = worker_create(&c->worker, "root", err);
	c->serving = ret == 0;
	if (ret < 0) {
		close(c->fd);
		return ret;
	}
	ret = loop_watch(&c->worker.loop, c->fd, POLLIN, daemon_called, c, err);
	if (ret == 0)
		ret = worker_start(&c->worker, err);
	if (ret < 0)
		return ret;
	return can_add(c->fd) ? 0 : -EOPNOTSUPP;
}

void daemon_calls_end(struct daemon_calls *c)
{
	if (!c->serving)
		return;
	worker_destroy(&c->worker);
	close(c->fd);
	*c = (struct daemon_calls){ .serving = false };
}
