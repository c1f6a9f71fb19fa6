/*
 * avx: twice as many programs as CPUs, each with values of its own in whole AVX registers, which
 * must outlive all switches: to other programs, other CPUs of the guest on the same CPU of the
 * host, and the host's programs. Prints "N bad", or "absent" where CPU or kernel has no AVX2.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REGISTERS = 16, BYTES = 32, ROUNDS = 200 };

#define EACH ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"

/* Loads all registers, yields, lets some time pass and stores them; in one block, as both the
 * compiler and the library use them, too. */
static void hold(const uint8_t *from, uint8_t *to)
{
	long call = SYS_sched_yield, spins = 20000;

	asm volatile(EACH "vmovdqu 32 * \\n(%[from]), %%ymm\\n\n\t.endr\n\t"
			  "syscall\n\t"
			  "1: dec %[spins]\n\t"
			  "jnz 1b\n\t" EACH "vmovdqu %%ymm\\n, 32 * \\n(%[to])\n\t.endr\n\t"
			  "vzeroupper"
		     : "+a"(call), [spins] "+r"(spins)
		     : [from] "r"(from), [to] "r"(to)
		     : "rcx", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
		       "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
		       "xmm15");
}

static int program(unsigned n)
{
	uint8_t from[REGISTERS * BYTES], to[sizeof(from)];
	int bad = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < sizeof(from); i++)
			from[i] = (uint8_t)(n * 37 + round * 11 + i);
		memset(to, 0, sizeof(to));
		hold(from, to);
		bad |= memcmp(from, to, sizeof(from));
	}
	return bad != 0;
}

int main(void)
{
	unsigned programs = 2 * (unsigned)sysconf(_SC_NPROCESSORS_ONLN), bad = 0;
	int status;

	if (!__builtin_cpu_supports("avx2")) {
		puts("absent");
		return 0;
	}
	for (unsigned n = 0; n < programs; n++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(program(n));
		bad += pid < 0;
	}
	while (wait(&status) > 0)
		bad += status != 0;
	printf("%u bad\n", bad);
	return 0;
}
