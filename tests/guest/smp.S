/*
 * Starts every other CPU by INIT and SIPI to its APIC ID, before anything else is done to an APIC, and counts those
 * that arrive. The command line is the number of CPUs expected, which have the IDs from 0 on; exits with the number
 * seen, its own included.
 */
#include "guest.inc"

#define TRAMPOLINE 0x8000	/* SIPI vector 8 */
#define COUNT	   0x9000

main:
	call	number			/* r12d: CPUs expected */
	/* Real-mode code that arrivals run, at TRAMPOLINE. */
	lea	rsi, [rip + arrive]
	mov	edi, TRAMPOLINE
	mov	ecx, offset arrive_end - arrive
	call	copy
	mov	dword ptr [COUNT], 1

	mov	edi, LAPIC_ICR
	mov	ecx, r12d
5:	dec	ecx
	jle	4f
	mov	eax, ecx
	shl	eax, 24
	mov	dword ptr [rdi + 0x10], eax
	mov	dword ptr [rdi], 0x4500	/* INIT */
	mov	dword ptr [rdi], 0x4608	/* SIPI */
	jmp	5b
4:	pause
	mov	eax, [COUNT]
	cmp	eax, r12d
	jb	4b
	jmp	exit

	.code16
arrive:
	.byte	0xf0, 0x2e, 0xff, 0x06	/* lock inc word ptr cs:[...] */
	.word	COUNT - TRAMPOLINE
	cli
1:	hlt
	jmp	1b
arrive_end:
	.code64
