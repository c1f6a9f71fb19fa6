/*
 * Faults three times over (no interrupt table) before it has said a word.
 */
#include "guest.inc"

main:
	lidt	[rip + no_idt]
	ud2

	.section .data
	.balign	8
no_idt:
	.word	0
	.quad	0
