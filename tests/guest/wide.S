/*
 * CPUs with APIC IDs of more than eight bits. The command line is the number of CPUs expected, which have the IDs from
 * 0 on. Starts every other CPU by INIT and SIPI to its ID, the first one having x2APIC mode from the start, as have
 * all; checks that KVM's features announce destinations of 15 bits, and that an interrupt of the I/O APIC, of the
 * serial line, reaches the last CPU and is acknowledged by it. Exits with 0, or the number of the check that failed.
 */
#include "guest.inc"

#define TRAMPOLINE 0x8000	/* SIPI vector 8 */
#define COUNT	   0x9000	/* arrivals; 4 above it interrupts, and 8 above it the last ID */
#define NEAR(at)   ((at) - TRAMPOLINE)
#define IOAPIC	   0xfec00000
#define APIC_BASE  0x1b
#define X2_ID	   0x802
#define X2_EOI	   0x80b
#define X2_SPIV	   0x80f
#define X2_ICR	   0x830
#define VECTOR	   0x40
#define GSI_SERIAL 4

main:
	call	number			/* r12d: CPUs expected */
	mov	r13d, 1			/* x2APIC mode, enabled, bootstrap processor */
	mov	ecx, APIC_BASE
	rdmsr
	and	eax, 0xd00
	cmp	eax, 0xd00
	jne	fail

	mov	r13d, 2			/* KVM_FEATURE_MSI_EXT_DEST_ID */
	mov	eax, 0x40000001
	push	rbx
	cpuid
	pop	rbx
	test	eax, 1 << 15
	jz	fail

	/* Real-mode code that arrivals run, at TRAMPOLINE; the last of them goes on with an interrupt table. */
	lea	rsi, [rip + arrive]
	mov	edi, TRAMPOLINE
	mov	ecx, offset arrive_end - arrive
	call	copy
	mov	dword ptr [COUNT], 1
	mov	dword ptr [COUNT + 4], 0
	lea	eax, [r12d - 1]
	mov	[COUNT + 8], eax	/* the last ID */
	/* The real-mode interrupt table is at 0. */
	mov	edi, VECTOR * 4
	mov	dword ptr [rdi], TRAMPOLINE << 12 | (interrupt - arrive)

	mov	r14d, r12d
5:	dec	r14d
	jle	4f
	mov	ecx, X2_ICR
	mov	edx, r14d
	mov	eax, 0x4500		/* INIT */
	wrmsr
	mov	eax, 0x4608		/* SIPI */
	wrmsr
	jmp	5b
4:	pause
	mov	eax, [COUNT]
	cmp	eax, r12d
	jb	4b

	/* The serial line's pin to the last CPU: bits 0 to 7 of the ID in bits 56 to 63, the rest from 49 on. */
	mov	r13d, 3
	mov	edi, IOAPIC
	mov	dword ptr [rdi], 1
	mov	eax, [rdi + 0x10]
	cmp	eax, 0x170020
	jne	fail
	lea	eax, [r12d - 1]
	mov	ecx, eax
	shl	eax, 24
	shr	ecx, 8
	shl	ecx, 17
	or	eax, ecx
	mov	dword ptr [rdi], 0x11 + 2 * GSI_SERIAL
	mov	[rdi + 0x10], eax
	mov	dword ptr [rdi], 0x10 + 2 * GSI_SERIAL
	mov	dword ptr [rdi + 0x10], 0x8000 | VECTOR	/* level, not masked */
	mov	r14d, 1
6:	mov	r13d, 4			/* the interrupt of an empty transmitter arrives, */
	mov	dx, SERIAL + 1
	mov	al, 2
	out	dx, al
	mov	ecx, 50000000
7:	pause
	dec	ecx
	jz	fail
	cmp	[COUNT + 4], r14d
	jb	7b
	mov	r13d, 5			/* once, */
	ja	fail
	mov	r13d, 6			/* and its acknowledgement, too */
	mov	ecx, 10000000
8:	dec	ecx
	jz	fail
	mov	eax, [rdi + 0x10]
	test	eax, 0x4000		/* remote IRR */
	jnz	8b
	inc	r14d
	cmp	r14d, 3
	jbe	6b
	xor	eax, eax
	jmp	exit
fail:	mov	eax, r13d
	jmp	exit

	.code16
arrive:
	cli
	xor	ax, ax
	mov	ss, ax
	mov	sp, 0x7000
	mov	ecx, X2_ID
	rdmsr
	cmp	eax, dword ptr cs:[NEAR(COUNT + 8)]
	jne	1f
	mov	ecx, X2_SPIV		/* enabled: bit 8 */
	mov	eax, 0x1ff
	xor	edx, edx
	wrmsr
	lock inc dword ptr cs:[NEAR(COUNT)]
2:	sti
	hlt
	jmp	2b
1:	lock inc dword ptr cs:[NEAR(COUNT)]
3:	hlt
	jmp	3b

interrupt:
	mov	dx, SERIAL + 1		/* no more of these */
	xor	al, al
	out	dx, al
	lock inc dword ptr cs:[NEAR(COUNT + 4)]
	mov	ecx, X2_EOI
	xor	eax, eax
	xor	edx, edx
	wrmsr
	iret
arrive_end:
	.code64
