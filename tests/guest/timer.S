/*
 * Counts down channel 2 of the PIT and looks at port 0x61 for its output, as kernels do that have no
 * better clock to measure the others by. Exit value 5: it went from low to high.
 */
#include "guest.inc"

main:
	in	al, 0x61
	and	al, 0xfc
	or	al, 1			/* gate on, speaker off */
	out	0x61, al
	mov	ecx, 1000
again:	mov	al, 0xb0		/* channel 2, both bytes, mode 0: high at the end of the count */
	out	0x43, al
	mov	al, 0xff		/* 55 ms */
	out	0x42, al
	out	0x42, al
	in	al, 0x61
	test	al, 0x20
	jz	counts
	loop	again			/* this host was busy with other things for 55 ms */
	mov	al, 6			/* or nothing counts there */
	jmp	exit
counts:	in	al, 0x61
	test	al, 0x20
	jz	counts
	mov	al, 5
	jmp	exit
