/*
 * Writes a byte to the serial port with its third instruction, then powers off (devices/pm.h:
 * SLP_EN, SLP_TYP 5). What is left to measure is the VMM: tests/bench/floor.c runs the same first
 * write without one.
 */
	.intel_syntax noprefix
	.globl start
start:
	mov	dx, 0x3f8
	mov	al, 10
	out	dx, al
	mov	dx, 0x600
	mov	al, 0x34
	out	dx, al
1:	jmp	1b
