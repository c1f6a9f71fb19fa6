/*
 * A hostile guest at the watchdog, and time that passes. Holds at every step: the timer is armed
 * exactly while it runs, into the future and by no more than its widest setting; nothing ends while
 * it is off; once locked it stays as it is.
 */
#include "devices/watchdog.h"
#include "vmm/base/platform.h"

#include "vmm/base/bytes.h"

#include <stdlib.h>
#include <string.h>

#define SLOWEST_NS ((int64_t)((UINT64_C(1) << 35) * 1000 / 33)) /* 2^20 ticks of 2^15 clocks */

static struct watchdog w;
static struct device *claimed;
static int64_t now, armed;
static unsigned ends;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static int env_claim(void *to, bool io, struct span at, struct device *dev, struct err *err)
{
	(void)to;
	(void)err;
	must(!claimed && !io && span_size(at) == WATCHDOG_BAR_SIZE);
	claimed = dev;
	return 0;
}

static void env_unclaim(void *to, bool io, struct span at)
{
	(void)to;
	(void)io;
	(void)at;
	must(claimed);
	claimed = NULL;
}

static void env_say(void *to, const char *sentence)
{
	(void)to;
	must(*sentence);
}

static const struct pci_env env = { .claim = env_claim, .unclaim = env_unclaim, .say = env_say };

static int64_t board_now(void *to)
{
	(void)to;
	return now;
}

static void board_arm(void *to, int64_t at)
{
	(void)to;
	must(!at || (at > now && at - now <= SLOWEST_NS + 1));
	armed = at;
}

static void board_end(void *to, enum device_end why, unsigned value)
{
	(void)to;
	must(why == DEVICE_END_RESET && !value);
	ends++;
}

static void pass_time(uint64_t ns)
{
	bool fires = armed && armed - now <= (int64_t)ns;
	unsigned before = ends;

	now = fires ? armed : now + (int64_t)ns;
	if (!fires)
		return;
	armed = 0;
	watchdog_timer(&w);
	must(!armed || ends == before);
}

static void one_step(struct bytes_in *in)
{
	unsigned what = (unsigned)get_le(in, 1), size = 1u << (what >> 3 & 1 ? 2 : what >> 4 & 1);
	unsigned offset = (unsigned)get_le(in, 1) & ~(size - 1);
	bool locked = pci_config_get(&w.fn.config, 0x68, 1) & 1, was = w.state.running;

	switch (what & 7) {
	case 0:
		if (claimed)
			claimed->ops->write(claimed, offset & 0xc, 4, get_le(in, 4));
		break;
	case 1:
		if (claimed)
			must(claimed->ops->read(claimed, offset & 0xc, 4) <= 0xfffff);
		break;
	case 2:
		w.fn.ops->write(&w.fn, offset, size, (uint32_t)get_le(in, size));
		must(!locked || w.state.running == was);
		break;
	case 3:
		pass_time(get_le(in, 5));
		break;
	case 4: /* the two magic words, and what follows them */
		w.fn.ops->write(&w.fn, 4, 2, 2);
		if (!claimed)
			break;
		claimed->ops->write(claimed, 0xc, 4, 0x80);
		claimed->ops->write(claimed, 0xc, 4, 0x86);
		claimed->ops->write(claimed, offset & 0xc, 4, get_le(in, 4));
		break;
	case 5:
		w.fn.ops->reset(&w.fn);
		must(!armed && !w.state.running);
		break;
	}
	must(!armed == !w.state.running);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct device_timer timer = { board_now, board_arm, NULL };
	struct bytes_in in = { .data = data, .len = size };

	now = 1;
	armed = 0;
	ends = 0;
	watchdog_init(&w, &env, timer, (struct device_ender){ board_end, NULL }, 0x10000000);
	while (!in.failed && in.at < in.len)
		one_step(&in);
	watchdog_destroy(&w);
	must(!claimed);
	return 0;
}
