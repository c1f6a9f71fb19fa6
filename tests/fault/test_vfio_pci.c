/*
 * A passed-through function against a device that the test plays: what VFIO is asked for and when,
 * every call failing, and what is left behind. The device's regions are a real file, so mappings,
 * reads and writes are real, too.
 */
#include "tests/fault/wrap.h"
#include "vfio/pci.h"
#include "vmm/base/bytes.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BAR0_FILE  0x10000u /* where the regions lie in the file */
#define BAR0_SIZE  0x4000u
#define TABLE	   0x2000u
#define PBA	   0x3000u
#define PORTS_FILE 0x20000u
#define ROM_FILE   0x21000u
#define ROM_SIZE   0x800u
#define SMALL_FILE 0x22000u /* two BARs smaller than a page */
#define FILE_SIZE  0x30000
#define AER	   0x100 /* in configuration space of 4096 bytes */
#define VECTORS	   16	 /* of MSI-X; MSI has 8 */

#define COMMAND	 0x04
#define IO_MEM	 0x0003
#define MASTER	 0x0004
#define INTX_OFF 0x0400
#define PM	 0x40
#define MSI	 0x50
#define MSIX	 0x70

#define BAR0_GPA  UINT64_C(0x20000000000)
#define ROM_GPA	  UINT64_C(0xe0000000)
#define SMALL_GPA UINT64_C(0xe1000000)

static struct err err;
static struct vfio_pci *dev;
static int file; /* the device */
static int other_file = -1;

/* --- the played device --- */

#define KINDS VFIO_PCI_NUM_IRQS

static struct {
	uint32_t device_flags;
	uint32_t atomics, info_at, info_next; /* its capabilities */
	uint32_t bus_resets, reset_count;     /* groups that a bus reset was given */
	int32_t reset_group;
	uint32_t reset_flags;
	uint32_t nr_affected; /* by a reset of the bus */
	struct vfio_pci_dependent_device affected[3];
	uint32_t config_size;
	bool has_small;
	bool has_rom, mediated; /* ... devices describe what they have */
	int intx_error;
	uint32_t vectors; /* that the host has left */
	bool no_resize;
	unsigned set_calls, resets;
	unsigned enabled[KINDS];
	int fds[KINDS][VECTORS]; /* what it signals */
	int unmask;		 /* INTx resampling */
} host;

static const uint8_t
	config[] = {
		[0x00] = 0x36, 0x1b,	      0x10,	   0x00,     0x00,	    0x00,
		0x10,	       0x00,				 /* capabilities */
		[0x08] = 0x02, 0x02,	      0x08,	   0x01, /* NVMe */
		[0x10] = 0x04,					 /* 64 bits wide */
		[0x20] = 0x01,					 /* ports */
		[0x34] = PM,   [0x3d] = 0x01,			 /* INTA */
		[PM] = 0x01,   MSI,	      0x03,	   0x00,     [MSI] = 0x05,  MSIX,
		0x86,	       0x00, /* 8 vectors, 64 bits */
		[MSIX] = 0x11, 0x00,	      VECTORS - 1, 0x00,     0x00,	    TABLE >> 8,
		0x00,	       0x00,	      0x00,	   PBA >> 8, [0xff] = 0x00,
	};

static int set_irqs(struct vfio_irq_set *set)
{
	const int32_t *fds = (const void *)set->data;
	bool trigger = set->flags & VFIO_IRQ_SET_ACTION_TRIGGER;

	host.set_calls++;
	if (set->index == VFIO_PCI_INTX_IRQ_INDEX && host.intx_error && fds &&
	    set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		errno = host.intx_error;
		return -1;
	}
	assert_true(set->index < KINDS && set->start + set->count <= VECTORS);
	if (!trigger) {
		host.unmask = set->flags & VFIO_IRQ_SET_DATA_EVENTFD ? fds[0] : -1;
		return 0;
	}
	if (set->flags & VFIO_IRQ_SET_DATA_NONE) {
		assert_int_equal(set->count, 0);
		host.enabled[set->index] = 0;
		memset(host.fds[set->index], -1, sizeof(host.fds[0]));
		return 0;
	}
	if (set->start + set->count > host.vectors)
		return (int)host.vectors;
	/* drivers/vfio/pci/vfio_pci_intrs.c: the kernel adds vectors where it can. */
	if (host.enabled[set->index])
		assert_true(!host.no_resize || set->start + set->count <= host.enabled[set->index]);
	if (set->start + set->count > host.enabled[set->index])
		host.enabled[set->index] = set->start + set->count;
	for (unsigned i = 0; i < set->count; i++)
		host.fds[set->index][set->start + i] = fds[i];
	return 0;
}

/* drivers/vfio/pci/vfio_pci_core.c: another capability, and then that of atomic operations */
static void put_caps(struct vfio_device_info *info)
{
	struct vfio_device_info_cap_pci_atomic_comp cap = {
		.header = { .id = VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP,
			    .version = 1,
			    .next = host.info_next },
		.flags = host.atomics,
	};
	uint32_t first = 24, second = first + sizeof(cap);

	if (!host.atomics)
		return;
	assert_true(info->argsz >= second + sizeof(cap));
	info->flags |= VFIO_DEVICE_FLAGS_CAPS;
	info->cap_offset = host.info_at ? host.info_at : first;
	memcpy((char *)info + second, &cap, sizeof(cap));
	cap.header = (struct vfio_info_cap_header){ 1, 1, second };
	memcpy((char *)info + first, &cap, sizeof(cap));
}

static bool play_ioctl(int fd, unsigned long request, void *arg, int *ret)
{
	struct vfio_region_info *region = arg;
	struct vfio_irq_info *irq = arg;

	if (fd != file && fd != other_file)
		return false;
	*ret = 0;
	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		((struct vfio_device_info *)arg)->flags = VFIO_DEVICE_FLAGS_PCI | host.device_flags;
		put_caps(arg);
		break;
	case VFIO_DEVICE_GET_REGION_INFO:
		region->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
		region->size = region->offset = 0;
		if (region->index == VFIO_PCI_CONFIG_REGION_INDEX) {
			region->size = host.config_size;
		} else if (region->index == VFIO_PCI_ROM_REGION_INDEX && host.has_rom) {
			region->offset = ROM_FILE;
			region->size = ROM_SIZE;
		} else if (host.mediated && region->index) {
			errno = EINVAL;
			*ret = -1;
		} else if (region->index == 0) {
			region->flags |= VFIO_REGION_INFO_FLAG_MMAP;
			region->offset = BAR0_FILE;
			region->size = BAR0_SIZE;
		} else if (host.has_small && (region->index == 2 || region->index == 3)) {
			region->flags |= VFIO_REGION_INFO_FLAG_MMAP;
			region->offset = SMALL_FILE + 0x1000 * region->index;
			region->size = 256;
		} else if (region->index == 4) {
			region->offset = PORTS_FILE;
			region->size = 32;
		}
		break;
	case VFIO_DEVICE_GET_IRQ_INFO:
		irq->flags = VFIO_IRQ_INFO_EVENTFD | (host.no_resize ? VFIO_IRQ_INFO_NORESIZE : 0);
		irq->count = irq->index == VFIO_PCI_MSIX_IRQ_INDEX  ? VECTORS
			     : irq->index == VFIO_PCI_MSI_IRQ_INDEX ? 8
								    : 1;
		break;
	case VFIO_DEVICE_SET_IRQS:
		*ret = set_irqs(arg);
		break;
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		((struct vfio_pci_hot_reset_info *)arg)->flags = host.reset_flags;
		((struct vfio_pci_hot_reset_info *)arg)->count = host.nr_affected;
		memcpy(((struct vfio_pci_hot_reset_info *)arg)->devices, host.affected,
		       sizeof(host.affected));
		break;
	case VFIO_DEVICE_PCI_HOT_RESET:
		host.bus_resets++;
		host.reset_count = ((struct vfio_pci_hot_reset *)arg)->count;
		host.reset_group = ((struct vfio_pci_hot_reset *)arg)->group_fds[0];
		break;
	case VFIO_DEVICE_RESET:
		host.resets++;
		break;
	default:
		errno = ENOTTY;
		*ret = -1;
	}
	return true;
}

/* What the device itself has in its configuration space. */
static uint32_t device_config(unsigned offset)
{
	uint8_t bytes[2];

	assert_int_equal(pread(file, bytes, 2, offset), 2);
	return (uint32_t)load_le(bytes, 2);
}

/* Not by the C library, whose calls the sweep counts and fails: these are the test's own. */
static void new_file(void)
{
	file = (int)syscall(SYS_memfd_create, "device", MFD_CLOEXEC);
	assert_true(file >= 0);
	assert_int_equal(syscall(SYS_ftruncate, file, FILE_SIZE), 0);
	assert_int_equal(pwrite(file, config, sizeof(config), 0), sizeof(config));
}

static void swap_files(void)
{
	int fd = file;

	file = other_file;
	other_file = fd;
}

/* --- the machine around it --- */

static struct {
	struct device *trap[2]; /* memory, ports */
	struct span at[2];
	struct device *rom;
	void (*ready[4])(void *of); /* by the order of watching */
	void *ready_of;
	int ready_fd[4];
	unsigned failures;
	unsigned maps, watches;
	bool routed[VECTORS];
	uint64_t address[VECTORS];
	int route_fd[VECTORS];
	unsigned moves, commits;
	int intx_fd, gsi;
	char said[256];
	unsigned lines;
	uint16_t command_at_map, command_at_unmap; /* the device's, at those moments */
} machine;

static int env_claim(void *to, bool io, struct span at, struct device *device, struct err *e)
{
	(void)to;
	(void)e;
	if (at.base == ROM_GPA) {
		machine.rom = device;
		return 0;
	}
	if (at.base >> 24 == SMALL_GPA >> 24)
		return 0;
	assert_null(machine.trap[io]);
	machine.trap[io] = device;
	machine.at[io] = at;
	return 0;
}

static void env_unclaim(void *to, bool io, struct span at)
{
	(void)to;
	if (at.base == ROM_GPA) {
		machine.rom = NULL;
		return;
	}
	if (at.base >> 24 == SMALL_GPA >> 24)
		return;
	assert_int_equal(machine.at[io].base, at.base);
	machine.trap[io] = NULL;
}

static int env_map(void *to, struct span at, void *hva, struct err *e)
{
	(void)to;
	(void)e;
	assert_int_equal(at.base % 4096 | at.end % 4096 | (uintptr_t)hva % 4096, 0);
	machine.command_at_map = (uint16_t)device_config(COMMAND);
	return (int)machine.maps++;
}

static void env_unmap(void *to, int handle)
{
	(void)to;
	(void)handle;
	machine.command_at_unmap = (uint16_t)device_config(COMMAND);
	machine.maps--;
}

static int route_one(struct msi_route *r, struct err *e)
{
	int i = r->handle;

	if (i >= 0) {
		assert_true(machine.routed[i]);
		machine.moves++;
	}
	for (int j = 0; i < 0 && j < VECTORS; j++)
		if (!machine.routed[j])
			i = j;
	if (i < 0)
		return err_set(e, ENOSPC, "no route is left");
	machine.routed[i] = true;
	machine.address[i] = r->address;
	machine.route_fd[i] = r->fd;
	r->handle = i;
	return 0;
}

static int env_route(void *to, struct msi_route *list, size_t n, struct err *e)
{
	int ret = 0;

	(void)to;
	machine.commits++;
	for (size_t i = 0; i < n && ret == 0; i++)
		ret = route_one(&list[i], e);
	return ret;
}

static void env_unroute(void *to, int handle, int fd)
{
	(void)to;
	assert_true(machine.routed[handle]);
	assert_int_equal(machine.route_fd[handle], fd);
	machine.routed[handle] = false;
}

static int env_intx(void *to, unsigned gsi, int fd, int resample, struct err *e)
{
	(void)to;
	(void)e;
	assert_true(resample >= 0);
	machine.gsi = (int)gsi;
	machine.intx_fd = fd;
	return 0;
}

static void env_unintx(void *to, unsigned gsi, int fd)
{
	(void)to;
	assert_int_equal(machine.gsi, gsi);
	assert_int_equal(machine.intx_fd, fd);
	machine.intx_fd = -1;
}

static int env_watch(void *to, int fd, void (*ready)(void *of), void *of, struct err *e)
{
	(void)to;
	(void)e;
	machine.ready[machine.watches & 3] = ready;
	machine.ready_fd[machine.watches & 3] = fd;
	machine.ready_of = of;
	machine.watches++;
	return 0;
}

static void env_unwatch(void *to, int fd)
{
	(void)to;
	(void)fd;
	machine.watches--;
}

static void env_say(void *to, const char *sentence)
{
	(void)to;
	strncpy(machine.said, sentence, sizeof(machine.said) - 1);
	machine.lines++;
}

static void env_fail(void *to, const char *sentence)
{
	env_say(to, sentence);
	machine.failures++;
}

static const struct pci_env env = {
	.claim = env_claim,
	.unclaim = env_unclaim,
	.map = env_map,
	.unmap = env_unmap,
	.route = env_route,
	.unroute = env_unroute,
	.intx = env_intx,
	.unintx = env_unintx,
	.watch = env_watch,
	.unwatch = env_unwatch,
	.say = env_say,
	.fail = env_fail,
};

static unsigned routes(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < VECTORS; i++)
		n += machine.routed[i];
	return n;
}

static void write_config(unsigned offset, unsigned size, uint32_t value)
{
	struct pci_function *fn = vfio_pci_function(dev);

	fn->ops->write(fn, offset, size, value);
}

static uint32_t read_config(unsigned offset, unsigned size)
{
	struct pci_function *fn = vfio_pci_function(dev);

	return fn->ops->read(fn, offset, size);
}

static void write_bar(uint64_t offset, unsigned size, uint64_t value)
{
	machine.trap[0]->ops->write(machine.trap[0], offset, size, value);
}

static uint64_t read_bar(uint64_t offset, unsigned size)
{
	uint64_t value = machine.trap[0]->ops->read(machine.trap[0], offset, size);

	return size == 8 ? value : value & UINT32_MAX;
}

static void unmask(unsigned vector, uint64_t address)
{
	write_bar(TABLE + 16 * vector, 8, address);
	write_bar(TABLE + 16 * vector + 8, 4, vector);
	write_bar(TABLE + 16 * vector + 12, 4, 0);
}

static int plug(struct err *e)
{
	static const struct vfio_pci_place place = {
		.bars = { BAR0_GPA, 0, 0, 0, 0x1000, 0, ROM_GPA },
		.gsi = { 20, 21, 22, 23 },
	};
	static const struct vfio_pci_events events = { NULL, NULL };

	return vfio_pci_plug(dev, &env, NULL, &place, &events, e);
}

static int open_device(struct err *e)
{
	static const struct vfio_pci_options options = { .rom = true };

	new_file();
	return vfio_pci_open(&dev, file, "0000:05:00.0", &options, e);
}

static struct wrap_held before;

static int play(void **state)
{
	(void)state;
	wrap_reset();
	wrap_ioctl(play_ioctl);
	memset(&host, 0, sizeof(host));
	memset(&machine, 0, sizeof(machine));
	memset(host.fds, -1, sizeof(host.fds));
	host.device_flags = VFIO_DEVICE_FLAGS_RESET;
	host.config_size = 256;
	host.nr_affected = 1;
	host.affected[0] = (struct vfio_pci_dependent_device){ .group_id = 9, .bus = 5 };
	host.vectors = VECTORS;
	host.unmask = machine.intx_fd = other_file = -1;
	before = wrap_held();
	return 0;
}

/* A device in a machine whose guest decodes its BARs and lets it be bus master. */
static int play_plugged(void **state)
{
	play(state);
	if (open_device(&err) < 0 || plug(&err) < 0)
		return -1;
	write_config(COMMAND, 2, IO_MEM | MASTER);
	return 0;
}

static int take_out(void **state)
{
	(void)state;
	vfio_pci_unplug(dev);
	assert_int_equal(routes() + machine.maps + machine.watches, 0);
	assert_null(machine.trap[0]);
	assert_null(machine.trap[1]);
	assert_int_equal(machine.intx_fd, -1);
	vfio_pci_close(dev);
	for (unsigned i = 0; i <= VFIO_PCI_MSIX_IRQ_INDEX; i++)
		assert_int_equal(host.enabled[i], 0);
	wrap_assert_released(before, "the end");
	wrap_reset();
	return 0;
}

/* --- from open to close --- */

static int whole_life(void *to, struct err *e)
{
	bool failed;
	int ret;

	(void)to;
	dev = NULL;
	machine.lines = 0;
	ret = open_device(e);
	if (ret == 0)
		ret = plug(e);
	failed = wrap_failed().name;
	if (dev) {
		vfio_pci_unplug(dev);
		vfio_pci_close(dev);
	}
	assert_int_equal(machine.watches, 0);
	/* Interrupts that cannot be had do not end the machine, but the user hears of them. */
	if (ret == 0 && machine.lines)
		ret = err_set(e, EIO, "%s", machine.said);
	/* On the way out all that matters is that nothing stays. */
	if (ret == 0 && !failed && wrap_failed().name)
		ret = err_set(e, EIO, "%s failed on the way out", wrap_failed().name);
	return ret;
}

static void test_life(void **state)
{
	static const struct wrap_harmless harmless[] = {
		{ { "ioctl", VFIO_DEVICE_GET_IRQ_INFO, 0 }, 0, "an old kernel lacks some kinds" },
		{ { "munmap", 0, 0 }, 0, "there is nothing to be done" },
		{ { 0 }, 0, NULL },
	};

	(void)state;
	wrap_sweep(whole_life, NULL, ENOMEM, harmless);
}

/* --- BARs and the command register --- */

static void test_decode(void **state)
{
	(void)state;
	assert_int_equal(machine.at[0].base, BAR0_GPA);
	assert_int_equal(machine.at[1].base, 0x1000);
	assert_int_equal(machine.maps, 1); /* the two pages before the table's */
	assert_int_equal(device_config(COMMAND) & 7, IO_MEM | MASTER);
	assert_int_equal(machine.command_at_map & 2, 2); /* it answered before it was mapped */
	write_config(COMMAND, 2, MASTER);
	assert_int_equal(machine.maps, 0);
	assert_int_equal(machine.command_at_unmap & 2, 2); /* and after */
	assert_int_equal(device_config(COMMAND) & 7, MASTER);
}

/* --- what the host's root port completes --- */

static void expect_atomics(uint32_t flags, uint32_t at, uint32_t next, uint32_t found)
{
	host.atomics = flags;
	host.info_at = at;
	host.info_next = next;
	assert_int_equal(open_device(&err), 0);
	assert_int_equal(vfio_pci_atomics(dev), found);
	vfio_pci_close(dev);
}

static void test_atomics(void **state)
{
	(void)state;
	play(state);
	expect_atomics(0, 0, 0, 0); /* Linux before 6.5 */
	expect_atomics(VFIO_PCI_ATOMIC_COMP32, 0, 0, 1 << 7);
	expect_atomics(VFIO_PCI_ATOMIC_COMP64 | 8, 0, 0, 1 << 8);
	expect_atomics(7, 0, 0, 7 << 7);
	expect_atomics(7, 1016, 0, 0); /* beyond what was asked for */
	expect_atomics(7, 0xfffffff0, 0, 0);
	expect_atomics(7, 2, 0, 0);
	expect_atomics(7, 0, 24, 7 << 7); /* without an end */
	wrap_reset();
}

/* --- BARs for other devices --- */

static unsigned peer_maps;

static int peer_map(struct iommu *io, const struct iommu_mapping *m)
{
	(void)io;
	assert_int_equal(m->iova.base, BAR0_GPA);
	peer_maps++;
	return 0;
}

static unsigned peer_unmaps;

static int peer_unmap(struct iommu *io, struct span iova)
{
	(void)io;
	(void)iova;
	peer_maps--;
	peer_unmaps++;
	return 0;
}

static const struct iommu_ops peer_ops = { .map = peer_map, .unmap = peer_unmap };

/* What another device finds of the BARs, and how often the guest's accesses do not exit. */
static void expect_bars(const struct vfio_pci_options *options, bool decoded, unsigned maps,
			unsigned for_peers)
{
	static const struct vfio_pci_events events = { NULL, NULL };
	const struct vfio_pci_place place = { .bars = { BAR0_GPA }, .p2p = true };
	struct iommu io = { .ops = &peer_ops, .usable = { { 0, UINT64_MAX } }, .nr_usable = 1 };

	pthread_mutex_init(&io.lock, NULL);
	new_file();
	assert_int_equal(vfio_pci_open(&dev, file, "0000:05:00.0", options, &err), 0);
	assert_int_equal(vfio_pci_plug(dev, &env, &io, &place, &events, &err), 0);
	write_config(COMMAND, 2, IO_MEM);
	assert_int_equal(machine.at[0].base, BAR0_GPA);
	write_config(COMMAND, 2, decoded ? IO_MEM : 0);
	assert_int_equal(machine.maps, maps);
	assert_int_equal(peer_maps, for_peers);
	if (decoded)
		write_bar(0x10, 4, 0x12345678);
	vfio_pci_unplug(dev);
	assert_int_equal(machine.maps + peer_maps, 0);
	vfio_pci_close(dev);
}

/* iommufd loses mappings when the function is reset, and only this process can make them anew. */
static void test_peers_after_reset(void **state)
{
	static const struct vfio_pci_options options = { .rom = false };
	static const struct vfio_pci_events events = { NULL, NULL };
	static const struct vfio_pci_place place = { .bars = { BAR0_GPA }, .p2p = true };
	static const uint8_t link = 0x80, af[6] = { 0x13, 0x00, 0x06, 0x03, 0x00, 0x00 };
	struct iommu_ops ops = peer_ops;
	struct iommu io = { .ops = &ops, .usable = { { 0, UINT64_MAX } }, .nr_usable = 1 };

	(void)state;
	play(state);
	pthread_mutex_init(&io.lock, NULL);
	new_file();
	assert_int_equal(pwrite(file, &link, 1, MSIX + 1), 1);
	assert_int_equal(pwrite(file, af, sizeof(af), 0x80), sizeof(af));
	assert_int_equal(vfio_pci_open(&dev, file, "0000:05:00.0", &options, &err), 0);
	assert_int_equal(vfio_pci_plug(dev, &env, &io, &place, &events, &err), 0);
	write_config(COMMAND, 2, IO_MEM);
	peer_unmaps = 0;
	write_config(0x84, 1, 1); /* type1 keeps them */
	assert_int_equal(peer_unmaps, 0);
	ops.revokes = true;
	write_config(0x84, 1, 0);
	assert_int_equal(peer_unmaps, 0);
	write_config(0x84, 1, 1);
	assert_int_equal(peer_unmaps, 1);
	assert_int_equal(peer_maps, 1);
	write_config(COMMAND, 2, 0);
	write_config(0x84, 1, 1); /* nothing is mapped: decoding is off */
	assert_int_equal(peer_unmaps, 2);
	assert_int_equal(peer_maps, 0);
	write_config(COMMAND, 2, IO_MEM);
	assert_int_equal(peer_maps, 1);
	vfio_pci_unplug(dev);
	assert_int_equal(peer_maps, 0);
	vfio_pci_close(dev);
	wrap_reset();
}

static void test_peers(void **state)
{
	(void)state;
	play(state);
	expect_bars(&(struct vfio_pci_options){ .rom = false }, true, 1, 1);
	expect_bars(&(struct vfio_pci_options){ .rom = false }, false, 0, 0);
	expect_bars(&(struct vfio_pci_options){ .no_p2p = true }, true, 1, 0);
	expect_bars(&(struct vfio_pci_options){ .no_map = true }, true, 0, 0);
	wrap_assert_released(before, "the end");
	wrap_reset();
}

/* Registers beside the table are the device's; ports, too. */
static void test_trapped(void **state)
{
	uint8_t byte = 0;

	(void)state;
	write_bar(0x3800, 4, 0x12345678);
	assert_int_equal(pread(file, &byte, 1, BAR0_FILE + 0x3800), 1);
	assert_int_equal(byte, 0x78);
	assert_int_equal(read_bar(0x3800, 4), 0x12345678);
	machine.trap[1]->ops->write(machine.trap[1], 5, 1, 0x5a);
	assert_int_equal(pread(file, &byte, 1, PORTS_FILE + 5), 1);
	assert_int_equal(byte, 0x5a);
}

static void test_sleep(void **state)
{
	(void)state;
	write_config(PM + 4, 2, 3); /* D3hot */
	assert_null(machine.trap[0]);
	assert_int_equal(device_config(PM + 4), 3);
	write_config(PM + 4, 2, 0);
	assert_non_null(machine.trap[0]);
	assert_int_equal(machine.maps, 1);
}

static void test_reset(void **state)
{
	struct pci_function *fn = vfio_pci_function(dev);

	(void)state;
	write_config(MSIX + 2, 2, 0x8000);
	unmask(1, 0xfee00000);
	fn->ops->reset(fn);
	assert_int_equal(host.resets, 1);
	assert_int_equal(routes() + machine.maps, 0);
	assert_int_equal(host.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
	assert_int_equal(read_config(MSIX + 2, 2), VECTORS - 1);
	assert_int_equal(device_config(COMMAND) & 7, 0);
}

static size_t two_groups(const struct iommu *io, int *out, size_t cap)
{
	assert_true(cap >= 2);
	out[0] = io->groups[0].fd;
	out[1] = io->groups[1].fd;
	return 2;
}

static const struct iommu_ops group_ops = { .kvm_files = two_groups };
static const struct iommu two = { .ops = &group_ops,
				  .groups = { { 7, 100 }, { 9, 101 } },
				  .nr_groups = 2 };

/* A bus reset is given the groups that it touches, and no others: the kernel refuses those. */
static void test_bus_reset(void **state)
{
	(void)state;
	play(state);
	host.device_flags = 0;
	assert_int_equal(open_device(&err), 0);
	err.text[0] = '\0';
	assert_int_equal(vfio_pci_reset_all(&dev, 1, &two, &err), 0);
	assert_string_equal(err.text, "");
	assert_int_equal(host.resets, 0);
	assert_int_equal(host.bus_resets, 1);
	assert_int_equal(host.reset_count, 1);
	assert_int_equal(host.reset_group, 101);
	vfio_pci_close(dev);
	wrap_reset();
}

/* What else is reset must be ours, and need not be passed through. */
static void test_bus_reset_siblings(void **state)
{
	(void)state;
	play(state);
	host.device_flags = 0;
	assert_int_equal(open_device(&err), 0);
	host.nr_affected = 2;
	host.affected[1] =
		(struct vfio_pci_dependent_device){ .group_id = 7, .bus = 5, .devfn = 1 };
	err.text[0] = '\0';
	vfio_pci_reset_all(&dev, 1, &two, &err);
	assert_string_equal(err.text, "");
	assert_int_equal(host.reset_count, 2);
	host.affected[1].group_id = 8; /* somebody else's */
	vfio_pci_reset_all(&dev, 1, &two, &err);
	wrap_assert_says(&err, "0000:05:00.0 cannot be reset");
	assert_int_equal(host.bus_resets, 1);

	/* iommufd: group numbers are device numbers there, and a flag says whose they are. */
	host.reset_flags = VFIO_PCI_HOT_RESET_FLAG_DEV_ID;
	vfio_pci_reset_all(&dev, 1, &two, &err);
	assert_int_equal(host.bus_resets, 1);
	host.reset_flags |= VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	err.text[0] = '\0';
	vfio_pci_reset_all(&dev, 1, &two, &err);
	assert_string_equal(err.text, "");
	assert_int_equal(host.bus_resets, 2);
	vfio_pci_close(dev);
	wrap_reset();
}

/* Two functions of a card that are passed through: one reset for both. */
static void test_bus_reset_together(void **state)
{
	static const struct vfio_pci_options options = { .rom = true };
	struct vfio_pci *both[2];

	(void)state;
	play(state);
	host.device_flags = 0;
	host.nr_affected = 2;
	host.affected[1] =
		(struct vfio_pci_dependent_device){ .group_id = 9, .bus = 5, .devfn = 1 };
	assert_int_equal(open_device(&err), 0);
	both[0] = dev;
	other_file = file;
	new_file();
	assert_int_equal(vfio_pci_open(&both[1], file, "0000:05:00.1", &options, &err), 0);
	swap_files();
	err.text[0] = '\0';
	vfio_pci_reset_all(both, 2, &two, &err);
	assert_string_equal(err.text, "");
	assert_int_equal(host.bus_resets, 1);
	vfio_pci_close(both[0]);
	vfio_pci_close(both[1]);
	wrap_reset();
}

/*
 * A guest that resets one of them does not mean the other, which it sees on another bus, but all
 * functions behind the same port.
 */
static void test_reset_alone(void **state)
{
	static const struct vfio_pci_options options = { .rom = true };
	static const struct vfio_pci_events events = { NULL, NULL };
	struct vfio_pci_place place = { .bars = { BAR0_GPA }, .gsi = { 20, 21, 22, 23 }, .bus = 1 };
	struct iommu io = two;
	struct vfio_pci *all[2];
	struct pci_function *fn;

	(void)state;
	play(state);
	host.device_flags = 0;
	host.nr_affected = 2;
	host.affected[1] =
		(struct vfio_pci_dependent_device){ .group_id = 9, .bus = 5, .devfn = 1 };
	assert_int_equal(open_device(&err), 0);
	all[0] = dev;
	all[1] = NULL; /* given back to the host, or never passed through */
	place.all = all;
	place.nr_all = 2;
	assert_int_equal(vfio_pci_plug(dev, &env, &io, &place, &events, &err), 0);
	fn = vfio_pci_function(dev);
	fn->ops->reset(fn);
	assert_int_equal(host.bus_resets, 1);
	other_file = file;
	new_file();
	assert_int_equal(vfio_pci_open(&all[1], file, "0000:05:00.1", &options, &err), 0);
	swap_files();
	fn->ops->reset(fn);
	assert_int_equal(host.bus_resets, 1);
	assert_non_null(strstr(machine.said, "0000:05:00.0 cannot be reset"));
	vfio_pci_unplug(dev);
	place.bus = 0; /* where the other one is as well */
	assert_int_equal(vfio_pci_plug(dev, &env, &io, &place, &events, &err), 0);
	fn->ops->reset(fn);
	assert_int_equal(host.bus_resets, 2);
	vfio_pci_unplug(dev);
	place.root_bus = true; /* there it would be a device of its own */
	assert_int_equal(vfio_pci_plug(dev, &env, &io, &place, &events, &err), 0);
	fn->ops->reset(fn);
	assert_int_equal(host.bus_resets, 2);
	vfio_pci_unplug(dev);
	vfio_pci_close(all[1]);
	vfio_pci_close(dev);
	wrap_reset();
}

/* The host takes the device back while a vCPU is on its way to a register of it. */
static void test_give_back(void **state)
{
	struct device *trap = machine.trap[0];
	struct wrap_held held;

	(void)state;
	vfio_pci_unplug(dev);
	held = wrap_held();
	vfio_pci_give_back(dev);
	assert_int_equal(wrap_held().fds, held.fds - 1);
	assert_true(wrap_held().mapped < held.mapped);
	assert_int_equal(trap->ops->read(trap, 0x100, 4) & UINT32_MAX, UINT32_MAX);
	trap->ops->write(trap, TABLE + 12, 4, 0);
	trap->ops->write(trap, 0x100, 4, 0);
	assert_int_equal(routes(), 0);
}

/* --- INTx --- */

static void test_intx(void **state)
{
	(void)state;
	assert_int_equal(machine.gsi, 20);
	assert_int_equal(host.fds[VFIO_PCI_INTX_IRQ_INDEX][0], machine.intx_fd);
	assert_true(host.unmask >= 0);
	write_config(COMMAND, 2, IO_MEM | MASTER | INTX_OFF);
	assert_int_equal(machine.intx_fd, -1);
	assert_int_equal(host.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	assert_int_equal(device_config(COMMAND) & INTX_OFF, 0); /* VFIO's own bit */
	write_config(COMMAND, 2, IO_MEM | MASTER);
	assert_true(machine.intx_fd >= 0);
}

/* What VFIO refuses is asked once, and a guest that has not looked yet is shown no pin. */
static void test_intx_refused(void **state)
{
	unsigned calls;

	(void)state;
	host.intx_error = EBUSY;
	write_config(COMMAND, 2, IO_MEM | MASTER | INTX_OFF);
	machine.lines = 0;
	write_config(COMMAND, 2, IO_MEM | MASTER);
	assert_non_null(strstr(machine.said, "VFIO refuses INTx"));
	assert_int_equal(machine.lines, 1);
	calls = host.set_calls;
	write_config(COMMAND, 2, IO_MEM);
	write_config(0x0c, 1, 16);
	assert_int_equal(host.set_calls, calls);
	assert_int_equal(machine.lines, 1);
	write_config(MSIX + 2, 2, 0x8000); /* another mode, and back: once more */
	write_config(MSIX + 2, 2, 0);
	assert_int_equal(machine.lines, 2);
	host.intx_error = 0;
	write_config(COMMAND, 2, IO_MEM | INTX_OFF);
	write_config(COMMAND, 2, IO_MEM);
	assert_true(machine.intx_fd >= 0);
	assert_int_equal(read_config(0x3d, 1), 1);
	vfio_pci_unplug(dev);
	host.intx_error = EBUSY;
	assert_int_equal(plug(&err), 0);
	assert_int_equal(read_config(0x3d, 1), 0);
}

/* --- the option ROM --- */

static void test_rom(void **state)
{
	static const char contents[] = "\x55\xaa that the guest asks for";

	(void)state;
	play(state);
	host.has_rom = true;
	assert_int_equal(open_device(&err), 0);
	assert_int_equal(plug(&err), 0);
	/* Not read until now: reading it can lock a device up. */
	assert_int_equal(pwrite(file, contents, sizeof(contents), ROM_FILE), sizeof(contents));
	write_config(COMMAND, 2, IO_MEM);
	write_config(0x30, 4, ROM_GPA | 1);
	assert_non_null(machine.rom);
	assert_int_equal(machine.rom->ops->read(machine.rom, 0, 2), 0xaa55);
	assert_int_equal(machine.rom->ops->read(machine.rom, ROM_SIZE - 1, 1), 0);
	vfio_pci_unplug(dev);
	vfio_pci_close(dev);
	wrap_assert_released(before, "the end");
	wrap_reset();
}

/* Mapped where it is alone on its page, on both sides. */
static void test_small_bars(void **state)
{
	static const struct vfio_pci_events events = { NULL, NULL };
	struct vfio_pci_place place = { .bars = { BAR0_GPA }, .gsi = { 20, 21, 22, 23 } };

	(void)state;
	play(state);
	host.has_small = true;
	assert_int_equal(open_device(&err), 0);
	assert_int_equal(plug(&err), 0);
	write_config(0x18, 4, SMALL_GPA);
	write_config(0x1c, 4, SMALL_GPA + 0x1000);
	write_config(COMMAND, 2, IO_MEM);
	assert_int_equal(machine.maps, 3); /* BAR 0, and both */
	write_config(COMMAND, 2, 0);
	assert_int_equal(machine.maps, 0);
	write_config(0x1c, 4, SMALL_GPA + 0x100); /* in the other one's page */
	write_config(COMMAND, 2, IO_MEM);
	assert_int_equal(machine.maps, 1);
	write_config(COMMAND, 2, 0);
	write_config(0x1c, 4, SMALL_GPA + 0x1100); /* a mapping would be 256 bytes off */
	write_config(COMMAND, 2, IO_MEM);
	assert_int_equal(machine.maps, 2);
	vfio_pci_unplug(dev);
	assert_int_equal(machine.maps, 0);
	/* Another function behind the port may have a BAR in the same page. */
	place.neighbours = true;
	assert_int_equal(vfio_pci_plug(dev, &env, NULL, &place, &events, &err), 0);
	write_config(0x18, 4, SMALL_GPA);
	write_config(0x1c, 4, SMALL_GPA + 0x1000);
	write_config(COMMAND, 2, IO_MEM);
	assert_int_equal(machine.maps, 1);
	vfio_pci_unplug(dev);
	vfio_pci_close(dev);
	wrap_assert_released(before, "the end");
	wrap_reset();
}

/* A mediated device describes the regions that it has. */
static void test_mediated(void **state)
{
	(void)state;
	play(state);
	host.mediated = true;
	assert_int_equal(open_device(&err), 0);
	assert_int_equal(plug(&err), 0);
	write_config(COMMAND, 2, IO_MEM);
	assert_int_equal(machine.maps, 1);
	vfio_pci_unplug(dev);
	vfio_pci_close(dev);
	wrap_reset();
}

/* --- errors --- */

/* The device has an error, fatal or not by its severity register. */
static void error_of(uint32_t status)
{
	uint8_t bytes[4];
	uint64_t one = 1;

	store_le(bytes, status, 4);
	assert_int_equal(pwrite(file, bytes, 4, AER + 4), 4);
	assert_int_equal(write(machine.ready_fd[0], &one, sizeof(one)), sizeof(one));
	machine.ready[0](machine.ready_of);
}

static void test_errors(void **state)
{
	static const uint8_t header[4] = { 0x01, 0x00, 0x02, 0x00 };
	static const uint8_t severity[4] = { 0x30, 0x20, 0x46, 0x00 };

	(void)state;
	play(state);
	host.config_size = 4096;
	new_file();
	assert_int_equal(pwrite(file, header, 4, AER), 4);
	assert_int_equal(pwrite(file, severity, 4, AER + 12), 4);
	assert_int_equal(vfio_pci_open(&dev, file, "0000:05:00.0",
				       &(struct vfio_pci_options){ .rom = true }, &err),
			 0);
	assert_int_equal(plug(&err), 0);
	error_of(0x4000); /* a completion timeout */
	assert_int_equal(machine.failures, 0);
	assert_non_null(strstr(machine.said, "the guest goes on"));
	error_of(0x10); /* data link protocol */
	assert_int_equal(machine.failures, 1);
	assert_non_null(strstr(machine.said, "on-error=continue"));
	error_of(UINT32_MAX); /* it does not answer */
	assert_int_equal(machine.failures, 2);
	vfio_pci_unplug(dev);
	vfio_pci_close(dev);
	wrap_reset();
}

/* --- MSI-X --- */

static void test_msix(void **state)
{
	const int *fds = host.fds[VFIO_PCI_MSIX_IRQ_INDEX];
	uint64_t one = 1;
	int fd;

	(void)state;
	host.set_calls = 0;
	unmask(3, 0xfee01000);
	assert_int_equal(host.set_calls, 0); /* nothing is enabled yet */
	write_config(MSIX + 2, 2, 0x8000);
	assert_int_equal(machine.intx_fd, -1);
	assert_int_equal(host.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 4); /* in one call */
	assert_true(fds[0] == -1 && fds[1] == -1 && fds[2] == -1 && fds[3] >= 0);
	assert_int_equal(routes(), 1);

	unmask(5, 0xfee02000);
	assert_int_equal(host.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 6);
	assert_int_equal(routes(), 2);
	fd = fds[5];
	host.set_calls = 0;
	write_bar(TABLE + 16 * 5 + 12, 4, 1); /* masked */
	assert_int_equal(routes(), 1);
	assert_int_equal(fds[5], fd);
	assert_int_equal(read_bar(PBA, 8), 0);
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one)); /* the device, meanwhile */
	assert_int_equal(read_bar(PBA, 8), 1u << 5);
	write_bar(TABLE + 16 * 5 + 12, 4, 0);
	assert_int_equal(routes(), 2);
	assert_int_equal(host.set_calls, 0); /* the kernel had to do nothing for that */

	write_bar(TABLE + 16 * 5, 8, 0xfee03000);
	assert_int_equal(machine.moves, 1);
	write_bar(TABLE + 16 * 5, 2, 0x1234); /* no access that the specification knows */
	assert_int_equal(read_bar(TABLE + 16 * 5, 8), 0xfee03000);

	write_config(MSIX + 2, 2, 0xc000); /* all masked */
	assert_int_equal(routes(), 0);
	write_config(MSIX + 2, 2, 0x8000);
	assert_int_equal(routes(), 2);
	write_config(MSIX + 2, 2, 0);
	assert_int_equal(routes(), 0);
	assert_int_equal(host.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
	assert_true(machine.intx_fd >= 0); /* INTx again */
}

/* What the guest changes by one write is set up at once: KVM takes its table of routes whole. */
static void test_msix_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VECTORS; i++)
		unmask(i, 0xfee00000);
	assert_int_equal(machine.commits, 0);
	write_config(MSIX + 2, 2, 0x8000);
	assert_int_equal(routes(), VECTORS);
	assert_int_equal(machine.commits, 1);
	write_config(MSIX + 2, 2, 0xc000);
	write_config(MSIX + 2, 2, 0x8000);
	assert_int_equal(routes(), VECTORS);
	assert_int_equal(machine.commits, 2);
	write_config(0x0c, 1, 16); /* nothing that concerns them */
	assert_int_equal(machine.commits, 2);
}

/* Enabled before any vector is: devices look at the bit. */
static void test_msix_bare(void **state)
{
	(void)state;
	write_config(MSIX + 2, 2, 0x8000);
	assert_int_equal(host.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 1);
	assert_int_equal(host.fds[VFIO_PCI_MSIX_IRQ_INDEX][0], -1);
}

/* A kernel that adds none later is given all, silent. */
static int play_fixed(void **state)
{
	play(state);
	host.no_resize = true;
	if (open_device(&err) < 0 || plug(&err) < 0)
		return -1;
	write_config(COMMAND, 2, IO_MEM | MASTER);
	return 0;
}

static void test_msix_fixed(void **state)
{
	(void)state;
	write_config(MSIX + 2, 2, 0x8000);
	assert_int_equal(host.enabled[VFIO_PCI_MSIX_IRQ_INDEX], VECTORS);
	unmask(9, 0xfee00000);
	assert_true(host.fds[VFIO_PCI_MSIX_IRQ_INDEX][9] >= 0);
	assert_int_equal(routes(), 1);
}

/* The host has fewer vectors than the device: those work, and it is said once. */
static void test_msix_few(void **state)
{
	(void)state;
	host.vectors = 4;
	for (unsigned i = 0; i < 8; i++)
		unmask(i, 0xfee00000);
	write_config(MSIX + 2, 2, 0x8000);
	assert_int_equal(host.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 4);
	assert_true(host.fds[VFIO_PCI_MSIX_IRQ_INDEX][3] >= 0);
	assert_non_null(strstr(machine.said, "the host has 4 of the 8 interrupt vectors"));
	assert_int_equal(machine.lines, 1);
}

/* What could not be had at first is had at the next change. */
static void test_msix_again(void **state)
{
	(void)state;
	write_config(MSIX + 2, 2, 0x8000);
	wrap_fail_named("eventfd", 1, EMFILE);
	unmask(2, 0xfee00000);
	assert_non_null(strstr(machine.said, "0000:05:00.0: "));
	assert_int_equal(routes(), 0);
	write_bar(TABLE + 16 * 2 + 12, 4, 0);
	assert_int_equal(routes(), 1);
	wrap_fail_named("ioctl", 1, EBUSY);
	unmask(3, 0xfee00000);
	assert_int_equal(host.fds[VFIO_PCI_MSIX_IRQ_INDEX][3], -1);
	write_bar(TABLE + 16 * 3 + 12, 4, 0);
	assert_true(host.fds[VFIO_PCI_MSIX_IRQ_INDEX][3] >= 0);
}

/* --- MSI --- */

static void enable_msi(unsigned log_vectors)
{
	write_config(MSI + 4, 4, 0xfee00000);
	write_config(MSI + 8, 4, 0);
	write_config(MSI + 12, 2, 0x4040);
	write_config(MSI + 2, 2, 1 | log_vectors << 4);
}

static void test_msi(void **state)
{
	(void)state;
	enable_msi(0);
	assert_int_equal(machine.intx_fd, -1);
	assert_int_equal(host.enabled[VFIO_PCI_MSI_IRQ_INDEX], 1);
	assert_int_equal(routes(), 1);
	enable_msi(2); /* more of them while it is on */
	assert_int_equal(host.enabled[VFIO_PCI_MSI_IRQ_INDEX], 4);
	assert_int_equal(routes(), 4);
	write_config(MSI + 4, 4, 0xfee05000);
	assert_int_equal(machine.moves, 4);
	assert_int_equal(machine.commits, 3);
	write_config(MSI + 2, 2, 0);
	assert_int_equal(host.enabled[VFIO_PCI_MSI_IRQ_INDEX], 0);
	assert_int_equal(routes(), 0);
}

#define PLUGGED(name) cmocka_unit_test_setup_teardown(name, play_plugged, take_out)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_life, play),
		PLUGGED(test_decode),
		PLUGGED(test_trapped),
		PLUGGED(test_sleep),
		PLUGGED(test_reset),
		cmocka_unit_test(test_atomics),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_peers_after_reset),
		cmocka_unit_test(test_bus_reset),
		cmocka_unit_test(test_bus_reset_siblings),
		cmocka_unit_test(test_bus_reset_together),
		cmocka_unit_test(test_reset_alone),
		cmocka_unit_test(test_rom),
		cmocka_unit_test(test_small_bars),
		cmocka_unit_test(test_mediated),
		cmocka_unit_test(test_errors),
		PLUGGED(test_give_back),
		PLUGGED(test_intx),
		PLUGGED(test_intx_refused),
		PLUGGED(test_msix),
		PLUGGED(test_msix_at_once),
		PLUGGED(test_msix_bare),
		cmocka_unit_test_setup_teardown(test_msix_fixed, play_fixed, take_out),
		PLUGGED(test_msix_few),
		PLUGGED(test_msix_again),
		PLUGGED(test_msi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
