/*
 * die spin|halt|fault|mmio: ends this kernel in a way that no system call asks for.
 *
 * It has the kernel start another one (kexec_file_load), which is the code below in the shape of a
 * bzImage (Documentation/arch/x86/boot.rst): it is entered in 64-bit mode with interrupts off.
 * Memory has its own addresses there, but only RAM is mapped.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SETUP 1024 /* the boot sector and one of setup */
#define ENTRY 512  /* of the rest: the 64-bit entry */
#define SIZE  (64 << 10)

extern const uint8_t code[], code_what[], code_end[];

__asm__(".intel_syntax noprefix\n"
	".section .rodata\n"
	"code:\n"
	"	mov al, [rip + code_what]\n"
	"	cmp al, 'h'\n"
	"	je 2f\n"
	"	cmp al, 'f'\n"
	"	je 3f\n"
	"	cmp al, 'm'\n"
	"	je 4f\n"
	"1:	pause\n"
	"	jmp 1b\n"
	"2:	hlt\n"
	"	jmp 2b\n"
	"3:	lidt [rip + code_nothing]\n" /* Linux 6.12 leaves one for exceptions here */
	"	ud2\n"
	/* Maps 512 GiB in pages of 1 GiB, and jumps to where no memory is. */
	"4:	lea rdi, [rip + code - 512 + 4096]\n"
	"	lea rsi, [rdi + 4096]\n"
	"	lea rax, [rsi + 3]\n"
	"	mov [rdi], rax\n"
	"	mov eax, 0x83\n"
	"	xor ecx, ecx\n"
	"5:	mov [rsi + rcx * 8], rax\n"
	"	add rax, 0x40000000\n"
	"	inc ecx\n"
	"	cmp ecx, 512\n"
	"	jne 5b\n"
	"	mov cr3, rdi\n"
	"	mov eax, 0xd0000000\n"
	"	jmp rax\n"
	"code_nothing: .skip 10\n"
	"code_what: .byte 's'\n"
	"code_end:\n"
	".text\n"
	".att_syntax\n");

static void set(uint8_t *image, unsigned at, uint64_t value, unsigned bytes)
{
	memcpy(image + at, &value, bytes);
}

static int make_image(char what)
{
	static uint8_t image[SETUP + ENTRY + 512];
	int fd = open("/die-kernel", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	set(image, 0x1f1, SETUP / 512 - 1, 1); /* setup_sects */
	set(image, 0x1fe, 0xaa55, 2);
	set(image, 0x200, 0x6aeb, 2); /* the header's length */
	memcpy(image + 0x202, "HdrS", 4);
	set(image, 0x206, 0x20f, 2);	  /* version */
	set(image, 0x211, 1, 1);	  /* loaded high */
	set(image, 0x22c, 0x7fffffff, 4); /* the initrd's last address */
	set(image, 0x230, 2 << 20, 4);	  /* alignment */
	set(image, 0x234, 1, 1);	  /* relocatable */
	set(image, 0x236, 3, 2);	  /* has a 64-bit entry, may lie above 4 GiB */
	set(image, 0x238, 2047, 4);	  /* length of the command line */
	set(image, 0x258, 16 << 20, 8);	  /* where it likes to lie */
	set(image, 0x260, SIZE, 4);	  /* memory that it needs */
	memcpy(image + SETUP + ENTRY, code, (size_t)(code_end - code));
	image[SETUP + ENTRY + (code_what - code)] = (uint8_t)what;
	if (write(fd, image, sizeof(image)) != sizeof(image))
		perror("die");
	close(fd); /* the kernel reads no file that is open for writing */
	return open("/die-kernel", O_RDONLY);
}

int main(int argc, char *argv[])
{
	int kernel, initrd;

	if (argc != 2)
		return 2;
	kernel = make_image(argv[1][0]);
	initrd = open("/proc/self/exe", O_RDONLY); /* it must not be empty */
	if (syscall(SYS_kexec_file_load, kernel, initrd, 1ul, "", 0ul) || reboot(RB_KEXEC))
		perror("die");
	return 1;
}
