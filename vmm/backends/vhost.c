#include "vmm/backends/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

int vhost_open(struct vhost *v, const char *path, struct err *err)
{
	int ret = 0;

	*v = (struct vhost)VHOST_EMPTY;
	v->fd = open(path, O_RDWR | O_CLOEXEC);
	if (v->fd < 0)
		return err_sys(err, errno, "%s cannot be opened", path);
	if (ioctl(v->fd, VHOST_SET_OWNER) < 0 || ioctl(v->fd, VHOST_GET_FEATURES, &v->features) < 0)
		ret = err_sys(err, errno, "%s does not answer", path);
	if (ret < 0)
		vhost_close(v);
	return ret;
}

void vhost_close(struct vhost *v)
{
	if (v->fd >= 0)
		close(v->fd);
	*v = (struct vhost)VHOST_EMPTY;
}

static int vhost_set_memory(const struct vhost *v, const struct guest_ram *ram, struct err *err)
{
	struct vhost_memory *m = calloc(1, sizeof(*m) + ram->n * sizeof(m->regions[0]));
	int ret = 0;

	if (!m)
		return err_sys(err, ENOMEM, "out of memory for vhost's list of guest memory");
	m->nregions = (uint32_t)ram->n;
	for (size_t i = 0; i < ram->n; i++)
		m->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = ram->blocks[i].gpa.base,
			.memory_size = span_size(ram->blocks[i].gpa),
			.userspace_addr = (uintptr_t)ram->blocks[i].hva,
		};
	if (ioctl(v->fd, VHOST_SET_MEM_TABLE, m) < 0)
		ret = err_sys(err, errno, "vhost does not take guest memory of %zu spans", ram->n);
	free(m);
	return ret;
}

/* --- guest memory that comes and goes --- */

/* A ring that starts is told of all of it anyway. */
static int vhost_memory_add(void *to, const struct guest_ram *all, const struct ram_block *block,
			    struct err *err)
{
	const struct vhost *v = to;

	(void)block;
	return v->knows_memory ? vhost_set_memory(v, all, err) : 0;
}

static void vhost_memory_remove(void *to, const struct guest_ram *all,
				const struct ram_block *block)
{
	struct err err;

	(void)vhost_memory_add(to, all, block, &err); /* a shorter table fits, too */
}

static const struct guest_memory_listener_ops vhost_memory_ops = {
	.rank = GUEST_MEMORY_VHOST,
	.add = vhost_memory_add,
	.remove = vhost_memory_remove,
};

int vhost_listen(struct vhost *v, struct guest_memory *m, struct err *err)
{
	v->listener = (struct guest_memory_listener){ .ops = &vhost_memory_ops, .to = v };
	return guest_memory_listen(m, &v->listener, err);
}

/* --- rings --- */

static int set_queue(const struct vhost *v, unsigned i, const struct served_queue *q,
		     struct err *err)
{
	struct vhost_vring_state num = { .index = i, .num = q->size }, base = { .index = i };
	struct vhost_vring_file kick = { .index = i, .fd = q->kick };
	struct vhost_vring_file call = { .index = i, .fd = q->call };
	struct vhost_vring_file error = { .index = i, .fd = q->error };
	struct vhost_vring_addr addr = {
		.index = i,
		.desc_user_addr = (uintptr_t)q->desc,
		.avail_user_addr = (uintptr_t)q->driver,
		.used_user_addr = (uintptr_t)q->device,
	};

	if (ioctl(v->fd, VHOST_SET_VRING_NUM, &num) < 0 ||
	    ioctl(v->fd, VHOST_SET_VRING_BASE, &base) < 0 ||
	    ioctl(v->fd, VHOST_SET_VRING_ADDR, &addr) < 0 ||
	    ioctl(v->fd, VHOST_SET_VRING_KICK, &kick) < 0 ||
	    ioctl(v->fd, VHOST_SET_VRING_CALL, &call) < 0 ||
	    ioctl(v->fd, VHOST_SET_VRING_ERR, &error) < 0)
		return err_sys(err, errno, "vhost does not take queue %u", i);
	return 0;
}

int vhost_set_up(struct vhost *v, const struct guest_ram *ram, const struct served_queue *queues,
		 unsigned n, uint64_t features, struct err *err)
{
	int ret;

	features &= v->features;
	if (ioctl(v->fd, VHOST_SET_FEATURES, &features) < 0)
		return err_sys(err, errno, "vhost does not take the driver's features");
	ret = vhost_set_memory(v, ram, err);
	v->knows_memory = ret == 0;
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < n; i++) {
		if (!queues[i].size)
			continue;
		ret = set_queue(v, i, &queues[i], err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int vhost_net_run(const struct vhost *v, int tap, struct err *err)
{
	for (unsigned i = 0; i < 2; i++) {
		struct vhost_vring_file backend = { .index = i, .fd = tap };

		if (ioctl(v->fd, VHOST_NET_SET_BACKEND, &backend) < 0 && tap >= 0)
			return err_sys(err, errno, "vhost does not take the tap interface");
	}
	return 0;
}

/* --- sockets --- */

int vhost_vsock_set_cid(const struct vhost *v, uint32_t cid, struct err *err)
{
	uint64_t number = cid;

	if (ioctl(v->fd, VHOST_VSOCK_SET_GUEST_CID, &number) == 0)
		return 0;
	if (errno == EADDRINUSE)
		return err_set(err, EADDRINUSE, "another guest has cid %u; choose another", cid);
	return err_sys(err, errno, "vhost does not take cid %u", cid);
}

int vhost_vsock_run(const struct vhost *v, bool run, struct err *err)
{
	int running = run;

	if (ioctl(v->fd, VHOST_VSOCK_SET_RUNNING, &running) < 0)
		return err_sys(err, errno, "vhost does not serve sockets");
	return 0;
}

static int vsock_start(void *server, const struct guest_ram *ram, const struct served_queue *queues,
		       unsigned n, uint64_t features, struct err *err)
{
	int ret = vhost_set_up(server, ram, queues, n, features, err);

	return ret < 0 ? ret : vhost_vsock_run(server, true, err);
}

static void vsock_stop(void *server, unsigned n)
{
	(void)n;
	(void)vhost_vsock_run(server, false, NULL);
}

const struct server_ops vhost_vsock_ops = { vsock_start, vsock_stop, NULL };
