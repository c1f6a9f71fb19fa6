/* The program init/ as it is, for the guest's initramfs: see init.h. */
	.section .rodata
	.balign 16
	.globl init_elf
	.type init_elf, @object
init_elf:
	.incbin "init.elf"
init_elf_end:
	.size init_elf, . - init_elf
	.balign 8
	.globl init_elf_size
	.type init_elf_size, @object
	.size init_elf_size, 8
init_elf_size:
	.quad init_elf_end - init_elf
	.section .note.GNU-stack, "", @progbits
