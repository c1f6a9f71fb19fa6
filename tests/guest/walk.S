/*
 * Walks the E820 table it was given: prints every usable range, writes a mark that depends on the
 * address into its first and last page, and, when all are written, reads them back. Exits with the
 * number of ranges, or with 127 if a mark is wrong. Pages that alias each other are caught, because
 * the reading comes last.
 */
#include "guest.inc"

#define WINDOW	 0x8000000000	/* virtual; entry 1 of the top-level table */
#define PAGE	 0x1000
#define LARGE	 0x200000
#define MARK	 0x5354524144444c45

main:
	/* One 2 MiB window, moved over physical memory by its single page directory entry. */
	mov	rax, cr3
	lea	rcx, [rip + pdpt]
	or	rcx, 3
	mov	[rax + 8], rcx
	lea	rcx, [rip + pd]
	or	rcx, 3
	mov	[rip + pdpt], rcx

	xor	r15d, r15d		/* 0: write, 1: verify */
pass:
	xor	r14d, r14d		/* usable ranges */
	movzx	r13d, byte ptr [rbx + ZP_E820_N]
	lea	r12, [rbx + ZP_E820]
entry:
	test	r13d, r13d
	jz	end_pass
	cmp	dword ptr [r12 + 16], 1
	jne	next
	inc	r14d
	test	r15d, r15d
	jnz	1f
	call	print
1:	mov	rsi, [r12]
	call	touch
	mov	rsi, [r12]
	add	rsi, [r12 + 8]
	dec	rsi
	and	rsi, -PAGE
	call	touch
next:
	add	r12, E820_SIZE
	dec	r13d
	jmp	entry
end_pass:
	inc	r15d
	cmp	r15d, 2
	jb	pass
	mov	al, r14b
	jmp	exit

print:
	mov	rax, [r12]
	call	puthex
	mov	al, ' '
	call	putc
	mov	rax, [r12]
	add	rax, [r12 + 8]
	call	puthex
	mov	al, '\n'
	jmp	putc

/* rsi: physical address; writes or verifies its mark */
touch:
	mov	rcx, rsi
	and	rcx, -LARGE
	or	rcx, 0x83		/* present, writable, 2 MiB */
	mov	[rip + pd], rcx
	mov	rdi, WINDOW
	invlpg	[rdi]
	mov	rcx, rsi
	and	rcx, LARGE - 1
	add	rdi, rcx
	mov	rcx, MARK
	xor	rcx, rsi
	test	r15d, r15d
	jnz	1f
	mov	[rdi], rcx
	ret
1:	cmp	[rdi], rcx
	je	2f
	mov	al, 127
	jmp	exit
2:	ret

	.bss
	.balign	4096
pdpt:	.skip	4096
pd:	.skip	4096
