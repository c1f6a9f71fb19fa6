/*
 * A program that answers vhost-user with nonsense: whatever it says, the front-end comes to an end
 * with a sentence, and keeps no descriptor.
 */
#include "devices/virtio_blk.h"
#include "vmm/backends/vhost_user.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MEMORY 4096

static uint8_t memory[MEMORY];
static char path[64];
static int listener = -1, memfd;

struct answers {
	const uint8_t *data;
	size_t size;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void remove_socket(void)
{
	unlink(path);
}

static void set_up(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(path, sizeof(path), "/tmp/fuzz-vhost-user-%d", (int)getpid());
	memcpy(addr.sun_path, path, strlen(path));
	memfd = memfd_create("ram", MFD_CLOEXEC);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(path);
	must(memfd >= 0 && bind(listener, (void *)&addr, sizeof(addr)) == 0 &&
	     listen(listener, 1) == 0);
	atexit(remove_socket);
}

/* Says all that it has to say at once, and listens until the other side has enough. */
static void *answer(void *to)
{
	const struct answers *a = to;
	char heard[4096];
	int fd = accept(listener, NULL, NULL);

	must(fd >= 0);
	(void)!send(fd, a->data, a->size, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (recv(fd, heard, sizeof(heard), 0) > 0)
		;
	close(fd);
	return NULL;
}

static void use(struct vhost_user *v)
{
	const struct ram_block block = { { 0, MEMORY }, memory, memfd, 0 };
	const struct guest_ram ram = { &block, 1 };
	const struct served_queue queues[] = {
		{ 16, memory, memory + 1024, memory + 2048, memfd, memfd, memfd },
		{ .size = 0, .kick = -1, .call = -1, .error = -1 },
	};
	struct err err = { "" };

	if (vhost_user_ops.start(v, &ram, queues, 2, UINT64_MAX, &err) < 0)
		must(*err.text);
	vhost_user_ops.stop(v, 2);
	vhost_user_lost(v);
	must(v->wire.fd < 0 && vhost_user_ops.state(v) == SERVER_RESUMES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vhost_user_kind blk = { .features = VHOST_USER_BLK_FEATURES,
						    .config = VIRTIO_BLK_CONFIG };
	struct answers answers = { data, size < 4096 ? size : 4096 };
	struct err err = { "" };
	struct vhost_user v;
	pthread_t thread;
	int before, after;

	if (listener < 0)
		set_up();
	before = dup(0);
	close(before);
	must(pthread_create(&thread, NULL, answer, &answers) == 0);
	if (vhost_user_open(&v, "--disk vhost-user=", path, &blk, 2, &err) == 0)
		use(&v);
	else
		must(*err.text && v.wire.fd < 0);
	vhost_user_close(&v);
	pthread_join(thread, NULL);
	after = dup(0);
	close(after);
	must(before == after);
	return 0;
}
