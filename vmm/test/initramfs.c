#include "vmm/test/initramfs.h"

#include "firmware/release.h"
#include "vmm/host/image.h"
#include "vmm/test/init.h"
#include "vmm/test/modules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WANTED_MAX 24

/*
 * Lists what a stock kernel may have as modules and the case needs: PCI and the channel, the root,
 * and the drivers of the user's own devices. What a kernel has built in, or does not have, is left
 * out later. Drivers of file systems are few, because each is loaded into every guest with an
 * image, and some try out algorithms when they are.
 */
static unsigned list_wanted(struct module_wanted *list, const struct config *c, const char *root)
{
	bool fs = !strncmp(root, "root=fs:", 8), disk = !strncmp(root, "root=disk:", 10);
	const struct {
		const char *name;
		bool needed;
	} all[] = {
		{ "virtio_pci", true },	   { "vmw_vsock_virtio_transport", c->vsock_cid },
		{ "virtiofs", c->nr_fs },  { "virtio_blk", c->nr_disks },
		{ "overlay", fs || disk }, { "ext4", disk },
		{ "xfs", disk },	   { "squashfs", disk },
		{ "erofs", disk },	   { "virtio_net", c->nr_nets },
		{ "virtio_rng", c->rng },  { "virtio_balloon", c->has_balloon },
		{ "nd_pmem", c->nr_pmem }, { "virtio_pmem", c->nr_pmem },
	};
	unsigned n = 0;

	static_assert(ARRAY_SIZE(all) <= WANTED_MAX, "the list has room for all");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].needed)
			list[n++] = (struct module_wanted){ .name = all[i].name };
	return n;
}

/* --- init's specification --- */

static void put_word(struct buffer *b, const char *key, const char *value)
{
	buffer_put(b, key, strlen(key));
	buffer_put(b, "=", 1);
	buffer_put(b, value, strlen(value) + 1);
}

static void put_spec(struct buffer *b, const struct config *c, const struct modules *modules,
		     const char *root, bool read_only, bool input)
{
	char port[16];

	for (unsigned i = 0; i < modules->n; i++)
		put_word(b, "module", modules->paths[i]);
	if (c->vsock_port) {
		snprintf(port, sizeof(port), "%u", c->vsock_port);
		put_word(b, "port", port);
	}
	put_word(b, "serial", "ttyS1");
	buffer_put(b, root, strlen(root) + 1);
	if (read_only)
		put_word(b, "layer", "off");
	if (input)
		put_word(b, "stdin", "on");
	for (unsigned i = 0; i < c->nr_command; i++)
		put_word(b, "arg", c->command[i]);
}

/* --- modules --- */

/* Writes /lib/modules of the kernel's own release, "" if the image does not tell it. */
static int find_folder(char *folder, size_t size, const char *kernel, struct err *err)
{
	struct image image;
	char release[RELEASE_SIZE];
	int ret = image_open(&image, "--kernel", kernel, err);

	*folder = '\0';
	if (ret < 0)
		return ret;
	if (boot_kernel_release(image.data, image.len, release, sizeof(release)) == 0)
		snprintf(folder, size, "/lib/modules/%s", release);
	image_close(&image);
	return 0;
}

static int pack_modules(struct modules *m, struct cpio *archive, const struct config *c,
			const char *root, struct err *err)
{
	struct module_wanted list[WANTED_MAX];
	unsigned n = list_wanted(list, c, root);
	char folder[sizeof("/lib/modules/") + RELEASE_SIZE];
	struct stat st;
	int ret;

	if (c->test.modules) {
		ret = modules_pack(m, archive, c->test.modules, list, n, err);
		if (ret < 0 && ret != -ENOMEM)
			ret = -EINVAL; /* it is the user who named the folder */
		return ret < 0 ? err_prefix(err, ret, "--modules %s: ", c->test.modules) : 0;
	}
	ret = find_folder(folder, sizeof(folder), c->kernel, err);
	/* A kernel without modules on this host may have all it needs built in. */
	if (ret < 0 || !*folder || stat(folder, &st) < 0)
		return ret;
	return modules_pack(m, archive, folder, list, n, err);
}

/* --- the archive --- */

static int pack(struct cpio *archive, const struct config *c, const char *root, bool read_only,
		bool input, struct err *err)
{
	struct modules modules = MODULES_EMPTY;
	struct buffer spec = BUFFER_EMPTY;
	int ret;

	cpio_directory(archive, "dev", 0755);
	cpio_character_device(archive, "dev/console", 0600, 5, 1);
	cpio_file(archive, "init", 0755, init_elf, init_elf_size);
	cpio_directory(archive, "straddle", 0755);
	ret = pack_modules(&modules, archive, c, root, err);
	if (ret < 0)
		return ret;
	put_spec(&spec, c, &modules, root, read_only, input);
	modules_free(&modules);
	cpio_file(archive, "straddle/spec", 0644, spec.data, spec.len);
	if (spec.error)
		ret = err_sys(err, -spec.error, "out of memory for init's specification");
	buffer_free(&spec);
	return ret < 0 ? ret : cpio_end(archive, err);
}

static int write_archive(int fd, const struct buffer *b, struct err *err)
{
	for (size_t at = 0; at < b->len;) {
		ssize_t n = write(fd, b->data + at, b->len - at);

		if (n < 0)
			return err_sys(err, errno, "cannot write init's archive to memory");
		at += (size_t)n;
	}
	return 0;
}

int test_initramfs_make(struct test_initramfs *i, const struct config *c, const char *root,
			bool read_only, bool input, struct err *err)
{
	struct cpio archive = CPIO_EMPTY;
	int ret = pack(&archive, c, root, read_only, input, err);

	if (ret < 0)
		goto out;
	i->fd = memfd_create("straddle-init", MFD_CLOEXEC);
	if (i->fd < 0) {
		ret = err_sys(err, errno, "cannot make a file in memory for init's archive");
		goto out;
	}
	snprintf(i->path, sizeof(i->path), "/proc/self/fd/%d", i->fd);
	ret = write_archive(i->fd, &archive.out, err);
out:
	cpio_free(&archive);
	return ret;
}

void test_initramfs_close(struct test_initramfs *i)
{
	if (i->fd >= 0)
		close(i->fd);
	*i = (struct test_initramfs)TEST_INITRAMFS_EMPTY;
}
