#include "devices/watchdog.h"

#include "vmm/base/platform.h"

#define VENDOR 0x8086
#define DEVICE 0x25ab
#define CLASS  0x088000 /* system peripheral, other */

/* Configuration space. */
#define CONFIG		0x60 /* 16 bits */
#define CONFIG_FAST	(1u << 2)
#define CONFIG_HARMLESS (1u << 5) /* the guest is not reset when the timer expires */
#define CONFIG_BITS	0x27u
#define LOCK		0x68 /* 8 bits */
#define LOCK_LOCKED	(1u << 0)
#define LOCK_ENABLED	(1u << 1)
#define LOCK_BITS	0x07u

/* Registers of the BAR. */
enum { STAGE_1 = 0x0, STAGE_2 = 0x4, STATUS = 0x8, RELOAD = 0xc };

#define TICKS	       0xfffffu /* 20 bits */
#define RELOAD_FEED    (1u << 8)
#define RELOAD_EXPIRED (1u << 9)
#define MAGIC_1	       0x80
#define MAGIC_2	       0x86

/* The counter runs at 33 MHz, divided by 2^15 or 2^5. */
#define CLOCK	   UINT64_C(33000000)
#define SLOW_SHIFT 15
#define FAST_SHIFT 5
#define SECOND	   UINT64_C(1000000000)

static struct watchdog *watchdog_of_bar(struct device *bar)
{
	return container_of(bar, struct watchdog, bar);
}

static struct watchdog *watchdog_of_function(struct pci_function *fn)
{
	return container_of(fn, struct watchdog, fn);
}

/* --- the counter; lock held --- */

static void start_stage(struct watchdog *w, bool second)
{
	uint32_t config = pci_config_get(&w->fn.config, CONFIG, 2);
	uint64_t clocks = (uint64_t)(w->state.stages[second] + 1)
			  << (config & CONFIG_FAST ? FAST_SHIFT : SLOW_SHIFT);

	w->state.second = second;
	w->timer.arm(w->timer.to, w->timer.now(w->timer.to) + (int64_t)(clocks * SECOND / CLOCK));
}

static void watchdog_stop(struct watchdog *w)
{
	w->state.running = false;
	w->timer.arm(w->timer.to, 0);
}

/* Starts or stops the timer as the lock register says, to which the guest has written. */
static void look_at_lock(struct watchdog *w)
{
	struct watchdog_state *st = &w->state;
	bool enabled = pci_config_get(&w->fn.config, LOCK, 1) & LOCK_ENABLED;

	if (enabled && !st->running) {
		st->running = true;
		start_stage(w, false);
	} else if (!enabled && st->running) {
		watchdog_stop(w);
	}
}

void watchdog_timer(struct watchdog *w)
{
	struct watchdog_state *st = &w->state;
	bool ends = false;

	pthread_mutex_lock(&w->bar.lock);
	if (st->running && !st->second) {
		start_stage(w, true);
	} else if (st->running) {
		watchdog_stop(w);
		st->expired = true;
		ends = !(pci_config_get(&w->fn.config, CONFIG, 2) & CONFIG_HARMLESS);
	}
	pthread_mutex_unlock(&w->bar.lock);
	if (!ends)
		return;
	w->env->say(w->env->to, "the guest has not fed its watchdog in time");
	device_end(&w->ender, DEVICE_END_RESET, 0);
}

/* --- registers --- */

static uint64_t watchdog_bar_read(struct device *bar, uint64_t offset, unsigned size)
{
	const struct watchdog *w = watchdog_of_bar(bar);

	(void)size;
	switch (offset) {
	case STAGE_1:
	case STAGE_2:
		return w->state.stages[offset / STAGE_2];
	case RELOAD:
		return w->state.expired ? RELOAD_EXPIRED : 0;
	}
	return 0;
}

/* A write to a register has an effect only after writes of the two magic values to RELOAD. */
static void watchdog_bar_write(struct device *bar, uint64_t offset, unsigned size, uint64_t value)
{
	struct watchdog *w = watchdog_of_bar(bar);
	struct watchdog_state *st = &w->state;

	(void)size;
	if (offset == RELOAD && value == MAGIC_1) {
		st->unlock = 1;
		return;
	}
	if (offset == RELOAD && value == MAGIC_2 && st->unlock == 1) {
		st->unlock = 2;
		return;
	}
	if (st->unlock != 2)
		return;
	st->unlock = 0;
	switch (offset) {
	case STAGE_1:
	case STAGE_2:
		st->stages[offset / STAGE_2] = (uint32_t)value & TICKS;
		break;
	case RELOAD:
		if (value & RELOAD_EXPIRED)
			st->expired = false;
		if ((value & RELOAD_FEED) && st->running)
			start_stage(w, false);
		break;
	}
}

static const struct device_ops bar_ops = {
	.name = "watchdog",
	.width = 4,
	.read = watchdog_bar_read,
	.write = watchdog_bar_write,
};

/* --- the function --- */

static void watchdog_bar_moved(struct pci_function *fn, unsigned bar, struct span at)
{
	struct watchdog *w = watchdog_of_function(fn);

	(void)bar;
	if (!span_empty(w->at))
		w->env->unclaim(w->env->to, false, w->at);
	w->at = (struct span){ 0, 0 };
	if (!span_empty(at) && w->env->claim(w->env->to, false, at, &w->bar, NULL) == 0)
		w->at = at;
}

static void watchdog_function_write(struct pci_function *fn, unsigned offset, unsigned size,
				    uint32_t value)
{
	struct watchdog *w = watchdog_of_function(fn);
	bool touches_lock = offset <= LOCK && offset + size > LOCK;

	pthread_mutex_lock(&w->bar.lock);
	/* A lock register with LOCKED set is read-only until the function is reset. */
	if (touches_lock && (pci_config_get(&fn->config, LOCK, 1) & LOCK_LOCKED))
		touches_lock = false;
	else if (touches_lock)
		pci_config_allow(&fn->config, LOCK, 1, LOCK_BITS);
	pthread_mutex_unlock(&w->bar.lock);
	pci_function_write(fn, offset, size, value);
	if (!touches_lock)
		return;
	pthread_mutex_lock(&w->bar.lock);
	if (pci_config_get(&fn->config, LOCK, 1) & LOCK_LOCKED)
		pci_config_allow(&fn->config, LOCK, 1, 0);
	look_at_lock(w);
	pthread_mutex_unlock(&w->bar.lock);
}

static void watchdog_function_reset(struct pci_function *fn)
{
	struct watchdog *w = watchdog_of_function(fn);
	struct watchdog_state *st = &w->state;

	pci_function_reset(fn);
	pthread_mutex_lock(&w->bar.lock);
	pci_config_set(&fn->config, CONFIG, 2, 0);
	pci_config_set(&fn->config, LOCK, 1, 0);
	pci_config_allow(&fn->config, LOCK, 1, LOCK_BITS);
	st->stages[0] = st->stages[1] = TICKS;
	st->unlock = 0;
	watchdog_stop(w);
	pthread_mutex_unlock(&w->bar.lock);
}

static const struct pci_ops function_ops = {
	.name = "watchdog",
	.write = watchdog_function_write,
	.bar_moved = watchdog_bar_moved,
	.reset = watchdog_function_reset,
};

void watchdog_init(struct watchdog *w, const struct pci_env *env, struct device_timer timer,
		   struct device_ender ender, uint64_t bar)
{
	const struct pci_identity identity = { .vendor = VENDOR, .device = DEVICE, .class = CLASS };
	const struct bar_shape shape = { .size = WATCHDOG_BAR_SIZE };

	*w = (struct watchdog){ .env = env, .timer = timer, .ender = ender };
	device_init(&w->bar, &bar_ops);
	pci_function_init(&w->fn, &function_ops, &identity);
	pci_config_allow(&w->fn.config, CONFIG, 2, CONFIG_BITS);
	pci_config_allow(&w->fn.config, LOCK, 1, LOCK_BITS);
	pci_function_add_bar(&w->fn, 0, &shape, bar);
	w->state.stages[0] = w->state.stages[1] = TICKS;
}

void watchdog_destroy(struct watchdog *w)
{
	if (!w->env)
		return;
	pci_function_unmap(&w->fn);
	w->env = NULL;
}
