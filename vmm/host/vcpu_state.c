#include "vmm/host/vcpu_state.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/ioctl.h>

int vcpu_get_state(const struct vcpu *v, struct vcpu_state *state, struct err *err)
{
	*state = (struct vcpu_state){ 0 };
	if (ioctl(v->fd, KVM_GET_REGS, &state->regs) < 0)
		return err_sys(err, errno, "cannot read the registers of vCPU %u", v->index);
	if (ioctl(v->fd, KVM_GET_SREGS, &state->sregs) < 0)
		return err_sys(err, errno, "cannot read the system registers of vCPU %u", v->index);
	return 0;
}

/* --- the report --- */

static void describe_segments(const struct kvm_sregs *s, FILE *to)
{
	const struct {
		const char *name;
		const struct kvm_segment *segment;
	} rows[] = {
		{ "cs", &s->cs }, { "ss", &s->ss }, { "ds", &s->ds }, { "es", &s->es },
		{ "fs", &s->fs }, { "gs", &s->gs }, { "tr", &s->tr }, { "ldt", &s->ldt },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct kvm_segment *g = rows[i].segment;

		fprintf(to, "%-3s %04x base %016llx limit %08x type %x dpl %u%s\n", rows[i].name,
			g->selector, g->base, g->limit, g->type, g->dpl,
			g->unusable || !g->present ? " not present" : "");
	}
}

static const char *activity(uint32_t mp_state)
{
	switch (mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		return "running";
	case KVM_MP_STATE_HALTED:
		return "halted";
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
		return "waiting for a start-up IPI";
	case KVM_MP_STATE_SIPI_RECEIVED:
		return "starting";
	default:
		return "in an unknown state";
	}
}

static void describe_activity(const struct vcpu *v, FILE *to)
{
	struct kvm_vcpu_events events = { 0 };
	struct kvm_mp_state mp = { 0 };
	struct kvm_regs regs = { 0 };

	if (ioctl(v->fd, KVM_GET_MP_STATE, &mp) < 0 || ioctl(v->fd, KVM_GET_REGS, &regs) < 0) {
		fprintf(to, "whether it was halted is not known\n");
		return;
	}
	fprintf(to, "%s, interrupts %s", activity(mp.mp_state),
		regs.rflags & VCPU_RFLAGS_IF ? "on" : "off");
	if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) == 0) {
		if (events.exception.injected)
			fprintf(to, ", exception %u is being delivered", events.exception.nr);
		if (events.interrupt.injected)
			fprintf(to, ", interrupt %u is being delivered", events.interrupt.nr);
		if (events.nmi.injected || events.nmi.pending)
			fprintf(to, ", an NMI waits");
		if (events.nmi.masked)
			fprintf(to, ", in an NMI");
	}
	fprintf(to, "\n");
}

static void describe_exit(const struct vcpu_exit *e, FILE *to)
{
	static const struct {
		uint32_t reason;
		const char *name;
	} names[] = {
		{ KVM_EXIT_INTR, "interrupted by the host" },
		{ KVM_EXIT_IOAPIC_EOI, "interrupt acknowledged" },
		{ KVM_EXIT_SHUTDOWN, "triple fault" },
		{ KVM_EXIT_SYSTEM_EVENT, "system event" },
		{ KVM_EXIT_INTERNAL_ERROR, "KVM internal error" },
		{ KVM_EXIT_FAIL_ENTRY, "the CPU refused to enter the guest" },
	};

	if (e->reason == KVM_EXIT_IO || e->reason == KVM_EXIT_MMIO) {
		fprintf(to, "  %s %s %#" PRIx64 " size %u value %#" PRIx64,
			e->reason == KVM_EXIT_IO ? "port" : "memory", e->write ? "write" : "read",
			e->at, e->size, e->value);
		if (e->count != 1)
			fprintf(to, ", the first of %" PRIu32, e->count);
		fprintf(to, "\n");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].reason == e->reason) {
			fprintf(to, "  %s\n", names[i].name);
			return;
		}
	fprintf(to, "  KVM exit %" PRIu32 "\n", e->reason);
}

void vcpu_describe(const struct vcpu *v, const struct ram *ram, FILE *to)
{
	uint64_t kept = min_u64(v->nr_exits, VCPU_EXITS);
	struct vcpu_state state;
	char text[2048];

	vcpu_dump(v, ram, text, sizeof(text));
	fputs(text, to);
	if (vcpu_get_state(v, &state, NULL) == 0)
		describe_segments(&state.sregs, to);
	describe_activity(v, to);
	fprintf(to, "%" PRIu64 " exits%s\n", v->nr_exits,
		kept ? ", of them the last, oldest first:" : "");
	for (uint64_t n = v->nr_exits - kept; n < v->nr_exits; n++)
		describe_exit(&v->exits[n % VCPU_EXITS], to);
}
