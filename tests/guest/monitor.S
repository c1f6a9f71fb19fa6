/*
 * Says "ready" and obeys single letters from the serial line:
 *	e  echo what follows, up to a newline	c  print CMOS 34 35 5b 5c 5d, and the century and year
 *	p  power off	r  reset (0xcf9)	k  reset (i8042)	x  panic (pvpanic)
 *	t  triple fault	d  debug exit 42	w  wait for the power button, then power off
 *	f  fill: print 4096 characters		b  an instruction that KVM's emulator lacks
 *	s  sleep for ever, interrupts on	h  the same, interrupts off: dead
 *	i  INIT for the boot CPU		m  jump to where no memory is
 *	j  have the other CPUs, which start in real mode, jump to where a BIOS is entered
 */
#include "guest.inc"

#define PM	   0x600
#define TRAMPOLINE 0x8000	/* SIPI vector 8 */

main:
	say	"ready\n"
loop:
	call	getc
	cmp	al, 'e'
	je	echo
	cmp	al, 'c'
	je	cmos
	cmp	al, 'p'
	je	poweroff
	cmp	al, 'r'
	je	reset
	cmp	al, 'k'
	je	keyboard_reset
	cmp	al, 'x'
	je	panic
	cmp	al, 't'
	je	triple_fault
	cmp	al, 'd'
	je	debug
	cmp	al, 'w'
	je	wait_button
	cmp	al, 'f'
	je	fill
	cmp	al, 'b'
	je	beyond
	cmp	al, 's'
	je	sleep
	cmp	al, 'h'
	je	die
	cmp	al, 'j'
	je	jump
	cmp	al, 'i'
	je	init
	cmp	al, 'm'
	je	nowhere
	jmp	loop

echo:
	call	getc
	call	putc
	cmp	al, '\n'
	jne	echo
	jmp	loop

cmos:
	lea	rsi, [rip + registers]
1:	mov	al, [rsi]
	test	al, al
	jz	2f
	mov	dx, 0x70
	out	dx, al
	xor	eax, eax
	mov	dx, 0x71
	in	al, dx
	call	puthex
	mov	al, '\n'
	call	putc
	inc	rsi
	jmp	1b
2:	jmp	loop

poweroff:
	mov	dx, PM
	mov	al, 0x34		/* SLP_EN, SLP_TYP 5 */
	out	dx, al
1:	jmp	1b

reset:
	mov	dx, 0xcf9
	mov	al, 6
	out	dx, al
1:	jmp	1b

keyboard_reset:
	mov	dx, 0x64
	mov	al, 0xfe
	out	dx, al
1:	jmp	1b

panic:
	mov	dx, 0x505
	mov	al, 1
	out	dx, al
1:	jmp	1b

triple_fault:
	lidt	[rip + no_idt]
	ud2

debug:
	mov	al, 42
	jmp	exit

wait_button:
	say	"waiting\n"
1:	mov	dx, PM + 4
	in	eax, dx
	test	eax, 1
	jz	1b
	say	"button\n"
	jmp	poweroff

fill:
	mov	ecx, 4096
1:	mov	al, '.'
	call	putc
	dec	ecx
	jnz	1b
	mov	al, '\n'
	call	putc
	jmp	loop

nowhere:
	mov	eax, 0xd0000000
	jmp	rax

beyond:
	fld1				/* runs on a CPU, not in the emulator */
	say	"executed\n"
	jmp	loop

sleep:
	say	"asleep\n"
	sti				/* nothing interrupts: all sources are as reset left them */
1:	hlt
	jmp	1b

die:
	say	"dead\n"
	cli
1:	hlt
	jmp	1b

jump:
	mov	rax, [rip + far_jump]
	mov	[TRAMPOLINE], rax
	mov	edi, LAPIC_ICR
	mov	dword ptr [rdi], 0xc4500 /* INIT, all but self */
	mov	dword ptr [rdi], 0xc4608 /* SIPI, all but self */
1:	pause
	jmp	1b

init:
	mov	edi, LAPIC_ICR
	mov	dword ptr [rdi + 0x10], 0
	mov	dword ptr [rdi], 0x4500	/* INIT, to APIC ID 0 */
1:	pause
	jmp	1b

	.section .data
far_jump:
	.byte	0xea			/* jmp F000:FFF0 */
	.word	0xfff0, 0xf000
	.byte	0, 0, 0
registers:
	.byte	0x34, 0x35, 0x5b, 0x5c, 0x5d, 0x32, 9, 0
	.balign	8
no_idt:
	.word	0
	.quad	0
