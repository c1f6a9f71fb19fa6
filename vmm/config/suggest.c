/*
 * "Did you mean": for a name that straddle does not know, the option that was probably meant.
 *
 * PURE. Called by config/parse.c for its sentences. People come from other monitors, so the names
 * that those use are looked up first; what is left is taken for a slip of the fingers.
 */
#include "vmm/config/internal.h"

#include <string.h>

/*
 * Options of QEMU, Cloud Hypervisor, crosvm, kvmtool and Firecracker that are called otherwise
 * here. An option with `needless` says what straddle does without being asked.
 */
static const struct foreign {
	const char *name;
	struct suggestion means;
} foreign[] = {
	{ "accel", { NULL, "KVM is always used" } },
	{ "api-sock", { "control", NULL } },
	{ "api-socket", { "control", NULL } },
	{ "block", { "disk", NULL } },
	{ "cdrom", { "disk", NULL } },
	{ "chardev", { "serial", NULL } },
	{ "cmdline", { "append", NULL } },
	{ "cpu", { NULL, "the guest's CPUs are the host's" } },
	{ "device", { "vfio", NULL } },
	{ "display", { NULL, "the serial line is the guest's only display" } },
	{ "drive", { "disk", NULL } },
	{ "enable-kvm", { NULL, "KVM is always used" } },
	{ "hda", { "disk", NULL } },
	{ "hdb", { "disk", NULL } },
	{ "initramfs", { "initrd", NULL } },
	{ "machine", { NULL, "there is one kind of machine" } },
	{ "mem", { "memory", NULL } },
	{ "mem-path", { "page-size", NULL } },
	{ "mem-prealloc", { NULL, "RAM for --vfio is always populated, other RAM never is" } },
	{ "monitor", { "control", NULL } },
	{ "netdev", { "net", NULL } },
	{ "nic", { "net", NULL } },
	{ "nodefaults", { NULL, "a guest has no devices but those it is given" } },
	{ "nographic", { NULL, "the serial line is on the terminal already" } },
	{ "overcommit",
	  { NULL, "RAM is the host's as the guest touches it, or at once with --vfio" } },
	{ "params", { "append", NULL } },
	{ "qmp", { "control", NULL } },
	{ "rwdisk", { "disk", NULL } },
	{ "shared-dir", { "fs", NULL } },
	{ "smp", { "cpus", NULL } },
	{ "vga", { NULL, "the serial line is the guest's only display" } },
	{ "virtfs", { "fs", NULL } },
};

static const struct foreign *find_foreign(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		if (strlen(foreign[i].name) == len && !memcmp(foreign[i].name, name, len))
			return &foreign[i];
	return NULL;
}

bool config_is_foreign(const char *name, size_t len)
{
	return find_foreign(name, len);
}

#define NAME_LEN_MAX 24

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Letters to insert, delete, replace or swap with a neighbour (optimal string alignment). */
static unsigned edit_distance(const char *a, size_t na, const char *b)
{
	unsigned d[NAME_LEN_MAX + 1][NAME_LEN_MAX + 1];
	size_t nb = strlen(b);

	for (size_t i = 0; i <= na; i++) {
		for (size_t j = 0; j <= nb; j++) {
			if (!i || !j) {
				d[i][j] = (unsigned)(i + j);
				continue;
			}
			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1,
				       d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = min3(d[i][j], d[i - 2][j - 2] + 1, d[i][j]);
		}
	}
	return d[na][nb];
}

static bool is_of(const struct config_option *o, enum config_command cmd, bool in_file)
{
	return o->commands & cmd && (o->in_file || !in_file);
}

/* One slip, or one in three letters. NULL if no option is so near, nor `also`. */
static const char *nearest_option(const char *name, size_t len, enum config_command cmd,
				  bool in_file, const char *also)
{
	const char *best = NULL;
	unsigned nearest;
	size_t n;
	const struct config_option *options = config_options(&n);

	if (len > NAME_LEN_MAX)
		return NULL;
	nearest = len < 6 ? 2 : (unsigned)len / 3 + 1;
	if (also && edit_distance(name, len, also) < nearest) {
		nearest = edit_distance(name, len, also);
		best = also;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned distance;

		if (!is_of(&options[i], cmd, in_file))
			continue;
		distance = edit_distance(name, len, options[i].name);
		if (distance < nearest) {
			nearest = distance;
			best = options[i].name;
		}
	}
	return best;
}

struct suggestion config_suggest(const char *name, size_t len, enum config_command cmd,
				 bool in_file, const char *also)
{
	const struct foreign *f = find_foreign(name, len);
	size_t n;
	const struct config_option *options = config_options(&n);

	for (size_t i = 0; f && f->means.option && i < n; i++)
		if (!strcmp(options[i].name, f->means.option) && !is_of(&options[i], cmd, in_file))
			f = NULL;
	if (f)
		return f->means;
	return (struct suggestion){ nearest_option(name, len, cmd, in_file, also), NULL };
}
