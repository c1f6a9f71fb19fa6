#include "vmm/test/modules.h"

#include "vmm/base/quote.h"
#include "vmm/base/units.h"
#include "vmm/test/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The most bytes of one of depmod's texts; modules.alias of Debian has 1.4 MiB. */
#define TEXT_MAX (16 * MIB)

/* Everything that one call takes, of which the guest's paths alone are left. */
struct packer {
	char folder[PATH_MAX];
	struct module_index index;
	struct buffer texts[MODULE_TEXTS];
	struct module_list list;
};

/* --- files --- */

static int fill(int fd, const char *path, size_t len, struct buffer *to, struct err *err)
{
	uint8_t *at = buffer_room(to, len);

	if (!at)
		return err_sys(err, -to->error, "%s cannot be read", path);
	while (to->len < len) {
		ssize_t n = read(fd, at + to->len, len - to->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "%s cannot be read", path);
		if (n == 0)
			return err_set(err, EIO, "%s was cut short while straddle read it", path);
		to->len += (size_t)n;
	}
	return 0;
}

/* Reads a regular file into the empty buffer. -ENOENT, without a sentence: there is none. */
static int take_file(const char *path, uint64_t max, struct buffer *to, struct err *err)
{
	/* O_NONBLOCK: a pipe of that name must not be waited for before it is refused. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), ret;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : err_sys(err, errno, "%s cannot be opened", path);
	if (fstat(fd, &st) < 0)
		ret = err_sys(err, errno, "%s cannot be opened", path);
	else if (!S_ISREG(st.st_mode))
		ret = err_set(err, EINVAL, "%s is no regular file", path);
	else if ((uint64_t)st.st_size > max)
		ret = err_set(err, EFBIG, "%s is larger than %s, too large for what it should be",
			      path, QUOTED_SIZE(max));
	else
		ret = fill(fd, path, (size_t)st.st_size, to, err);
	close(fd);
	return ret;
}

/* --- the texts of depmod --- */

static int folder_set(struct packer *p, const char *folder, struct err *err)
{
	size_t len = strlen(folder);

	while (len > 1 && folder[len - 1] == '/')
		len--;
	if (!len || len + 1 + MODULE_PATH_MAX >= sizeof(p->folder))
		return err_set(err, ENAMETOOLONG, "'%s' is no path of a folder of modules",
			       SHOWN(folder));
	memcpy(p->folder, folder, len);
	p->folder[len] = 0;
	p->index.folder = p->folder;
	return 0;
}

/* modules.dep must be there. Kernels without aliases or soft dependencies need not have the others.
 */
static int index_read(struct packer *p, struct err *err)
{
	char path[PATH_MAX + 32];

	for (enum module_text t = 0; t < MODULE_TEXTS; t++) {
		struct buffer *text = &p->texts[t];
		int ret;

		snprintf(path, sizeof(path), "%s/%s", p->folder, module_text_name(t));
		ret = take_file(path, TEXT_MAX, text, err);
		if (ret == -ENOENT && t == MODULE_TEXT_DEP)
			return err_set(err, ENOENT,
				       "there is no %s: name the folder of the kernel's modules "
				       "(/lib/modules/RELEASE), and run depmod if that folder was "
				       "only unpacked",
				       path);
		if (ret < 0 && ret != -ENOENT)
			return ret;
		p->index.texts[t].data = (const char *)text->data;
		p->index.texts[t].len = text->len;
	}
	return module_index_check(&p->index, err);
}

/* --- the archive --- */

static int module_add(struct packer *p, struct modules *m, struct cpio *archive, struct err *err)
{
	const struct module_file *file = &p->list.files[m->n];
	struct buffer packed = BUFFER_EMPTY, module = BUFFER_EMPTY;
	char path[PATH_MAX + 1];
	int ret;

	/* It fits: folder_set() has made sure of it. */
	ret = snprintf(path, sizeof(path), "%s/%.*s", p->folder, (int)file->path_len, file->path);
	if (ret < 0 || (size_t)ret >= sizeof(path))
		return err_sys(err, ENAMETOOLONG, "%s", p->folder);
	ret = take_file(path, UNPACK_MAX, &packed, err);
	if (ret == -ENOENT)
		err_set(err, ENOENT,
			"there is no %s, which modules.dep names: run depmod, or install the "
			"kernel's modules anew",
			path);
	if (!ret)
		ret = unpack(path, packed.data, packed.len, &module, err);
	if (!ret) {
		snprintf(m->paths[m->n], sizeof(m->paths[m->n]), "/straddle/modules/%03u-%.*s.ko",
			 m->n, (int)file->name_len, file->name);
		cpio_file(archive, m->paths[m->n] + 1, 0600, module.data, module.len);
		m->n++;
	}
	buffer_free(&module);
	buffer_free(&packed);
	return ret;
}

static int archive_fill(struct packer *p, struct modules *m, struct cpio *archive, struct err *err)
{
	int ret = 0;

	if (!p->list.n)
		return 0;
	m->paths = calloc(p->list.n, sizeof(*m->paths));
	if (!m->paths)
		return err_sys(err, ENOMEM, "the modules of %s have no room", p->folder);
	cpio_directory(archive, "straddle", 0755);
	cpio_directory(archive, "straddle/modules", 0755);
	while (!ret && m->n < p->list.n)
		ret = module_add(p, m, archive, err);
	return ret;
}

int modules_pack(struct modules *m, struct cpio *archive, const char *folder,
		 struct module_wanted *wanted, unsigned nr_wanted, struct err *err)
{
	struct packer *p = calloc(1, sizeof(*p));
	int ret;

	*m = (struct modules)MODULES_EMPTY;
	if (!p)
		return err_sys(err, ENOMEM, "the modules of %s have no room", folder);
	ret = folder_set(p, folder, err);
	if (!ret)
		ret = index_read(p, err);
	m->knows_built_in = p->texts[MODULE_TEXT_BUILTIN].len > 0;
	for (unsigned i = 0; !ret && i < nr_wanted; i++)
		ret = module_list_add(&p->list, &p->index, wanted[i].name, &wanted[i].where, err);
	if (!ret)
		ret = archive_fill(p, m, archive, err);
	for (enum module_text t = 0; t < MODULE_TEXTS; t++)
		buffer_free(&p->texts[t]);
	free(p);
	if (ret)
		modules_free(m);
	return ret;
}

void modules_free(struct modules *m)
{
	free(m->paths);
	*m = (struct modules)MODULES_EMPTY;
}
