/*
 * Follows the root pointer of the zero page to the ACPI tables, checks every checksum, and prints
 * the signatures. Exits with the number of tables that the XSDT lists, or with 127.
 */
#include "guest.inc"

main:
	mov	rsi, [rbx + ZP_RSDP]
	mov	ecx, 20			/* the ACPI 1.0 part of the RSDP */
	call	check
	mov	ecx, [rsi + 20]		/* and the whole of it */
	call	check
	mov	rsi, [rsi + 24]		/* XSDT */
	mov	ecx, [rsi + 4]
	call	check
	lea	r12, [rsi + 36]
	lea	r13, [rsi + rcx]
	xor	r14d, r14d
1:	cmp	r12, r13
	jae	2f
	mov	rsi, [r12]
	call	print
	mov	ecx, [rsi + 4]
	call	check
	add	r12, 8
	inc	r14d
	jmp	1b
2:	mov	al, r14b
	jmp	exit

/* rsi, ecx: bytes that must add up to 0; both are kept */
check:
	push	rcx
	push	rsi
	xor	eax, eax
1:	add	al, [rsi]
	inc	rsi
	dec	ecx
	jnz	1b
	pop	rsi
	pop	rcx
	test	al, al
	jz	2f
	say	"bad checksum\n"
	mov	al, 127
	jmp	exit
2:	ret

/* rsi: table; its signature */
print:
	xor	ecx, ecx
1:	mov	al, [rsi + rcx]
	call	putc
	inc	ecx
	cmp	ecx, 4
	jb	1b
	mov	al, '\n'
	jmp	putc
