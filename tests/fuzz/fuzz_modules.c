/*
 * A folder's modules.dep, modules.builtin, modules.softdep and modules.alias, and a wanted name,
 * behind each other, with a line "%" between two of them. Whatever is in them: files of the list
 * lie in the folder, each is there once, and a refusal has a sentence.
 */
#include "vmm/test/module_index.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PARTS (MODULE_TEXTS + 1)

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Takes the bytes up to the next "%\n" as a buffer of their own; one NUL follows the name alone. */
static char *part_take(const uint8_t **data, size_t *size, bool terminated, size_t *len)
{
	const uint8_t *end = *size ? memmem(*data, *size, "%\n", 2) : NULL;
	char *part;

	*len = end ? (size_t)(end - *data) : *size;
	part = malloc(*len + 1);
	must(part);
	memcpy(part, *data, *len);
	part[*len] = 0;
	if (!terminated && *len) /* so that the sanitizer sees a read past the end */
		part = realloc(part, *len);
	*data += *len + (end ? 2 : 0);
	*size -= *len + (end ? 2 : 0);
	return part;
}

static bool file_is_right(const struct module_file *file)
{
	char path[MODULE_PATH_MAX + 3] = "/";

	if (!file->path_len || file->path_len > MODULE_PATH_MAX || file->path[0] == '/')
		return false;
	memcpy(path + 1, file->path, file->path_len);
	strcat(path, "/");
	if (strlen(path) != file->path_len + 2 || strstr(path, "/../"))
		return false;
	for (size_t i = 0; i < file->name_len; i++)
		if (file->name[i] <= ' ' || file->name[i] == '/' || file->name[i] == '.')
			return false;
	return file->name_len && file->name_len <= MODULE_NAME_MAX;
}

static void list_check(const struct module_list *list)
{
	must(list->n <= MODULES_MAX && !list->nr_open);
	for (unsigned i = 0; i < list->n; i++) {
		const struct module_file *a = &list->files[i];

		must(file_is_right(a));
		for (unsigned j = 0; j < i; j++)
			must(a->name_len != list->files[j].name_len ||
			     memcmp(a->name, list->files[j].name, a->name_len));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct module_list list;
	struct module_index x = { .folder = "/m" };
	enum module_where where;
	struct err err = { "" };
	char *parts[PARTS], *name;
	int ret;

	for (unsigned i = 0; i < MODULE_TEXTS; i++) {
		size_t len;

		parts[i] = part_take(&data, &size, false, &len);
		x.texts[i].data = parts[i];
		x.texts[i].len = len;
	}
	name = parts[MODULE_TEXTS] = part_take(&data, &size, true, &(size_t){ 0 });
	name[strcspn(name, "\n")] = 0;
	memset(&list, 0, sizeof(list));
	ret = module_index_check(&x, &err);
	if (!ret)
		ret = module_list_add(&list, &x, name, &where, &err);
	if (!ret)
		list_check(&list);
	else
		must((ret == -EINVAL || ret == -ELOOP || ret == -E2BIG) && err.text[0]);
	for (unsigned i = 0; i < PARTS; i++)
		free(parts[i]);
	return 0;
}
