/*
 * What the tiny guests share. They enter by the Linux 64-bit boot protocol (rsi: zero page, low
 * 4 GiB mapped to themselves) and use plain integer instructions only, so that they also run where
 * KVM emulates everything. Include at the top; code follows at `main`, which must not return.
 */
	.intel_syntax noprefix

#define SERIAL	   0x3f8
#define DEBUG_EXIT 0xf4	/* straddle run --debug-exit 0xf4 */

#define ZP_RSDP	     0x70
#define ZP_E820_N    0x1e8
#define ZP_CMDLINE   0x228
#define ZP_E820	     0x2d0
#define E820_SIZE    20

	.text
	.globl start
start:
	lea	rsp, [rip + stack_end]
	mov	rbx, rsi		/* rbx: zero page, throughout */
	jmp	main

/* al: the character */
putc:
	push	rdx
	push	rax
1:	mov	dx, SERIAL + 5
	in	al, dx
	test	al, 0x20		/* THRE */
	jz	1b
	pop	rax
	mov	dx, SERIAL
	out	dx, al
	pop	rdx
	ret

/* al: the character that comes in */
getc:
	push	rdx
1:	mov	dx, SERIAL + 5
	in	al, dx
	test	al, 1			/* data ready */
	jz	1b
	mov	dx, SERIAL
	in	al, dx
	pop	rdx
	ret

/* rdi: text, ended by 0 */
puts:
	push	rax
1:	mov	al, [rdi]
	test	al, al
	jz	2f
	call	putc
	inc	rdi
	jmp	1b
2:	pop	rax
	ret

/* rax: number, printed as 16 hexadecimal digits */
puthex:
	push	rcx
	push	rax
	mov	ecx, 16
1:	rol	rax, 4
	push	rax
	and	al, 0xf
	add	al, '0'
	cmp	al, '9'
	jbe	2f
	add	al, 'a' - '9' - 1
2:	call	putc
	pop	rax
	dec	ecx
	jnz	1b
	pop	rax
	pop	rcx
	ret

/* al: the value; the status of straddle is (al << 1) | 1 */
exit:
	mov	dx, DEBUG_EXIT
	out	dx, al
1:	jmp	1b

	.macro	say text
	lea	rdi, [rip + 9f]
	call	puts
	.section .data
9:	.asciz	"\text"
	.text
	.endm

	.bss
	.balign	4096
	.skip	8192
stack_end:
	.text
