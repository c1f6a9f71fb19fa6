# lab: host=lean kernels=lean,vmlinux,cloud limit=400
# Another kernel takes over a guest: by kexec, after each of the two boot protocols, one of which does not pass on
# the address of the ACPI tables; and as a crash kernel. It finds the memory, the CPUs and devices that were used
# before.
. /lab/lib.sh

# disk FROM TO: copies a file, filled up to whole sectors.
disk() { dd if="$1" of="$2" bs=512 conv=sync 2>/dev/null; }

disk "$K/lean/vmlinuz" /tmp/kernel
disk "$K/lean/initrd" /tmp/initrd
for kernel in lean vmlinux; do
	guest $kernel kexec --memory 512M --cpus 2 --disk /tmp/kernel,readonly=on --disk /tmp/initrd,readonly=on
	same "kexec from $kernel: powers off" 0 "$status"
	same "kexec from $kernel: CPUs" 2 "$(said cpus)"
	same "kexec from $kernel: disks" 2 "$(said disk | grep -c serial)"
	check_memory "kexec from $kernel"
	check_iomem "kexec from $kernel"
	check_total "kexec from $kernel"
	check_complaints "kexec from $kernel"
done

# Debian's kernels have disk drivers in modules, so the second kernel is in a second archive and not on a disk.
mkdir -p /tmp/more/tmp
cp "$K/cloud/vmlinuz" /tmp/more/tmp/kernel
cp "$K/cloud/initrd" /tmp/more/tmp/initrd
(cd /tmp/more && find . | cpio -o -H newc 2>/dev/null) >/tmp/more.cpio
append=crashkernel=192M
guest cloud kdump --memory 768M --cpus 2 --initrd /tmp/more.cpio
same "kdump: the crash kernel's end is the guest's" 0 "$status"
same "kdump: it sees an ELF file" ELF "$(said dump | cut -d ' ' -f 1)"
at_least "kdump: it ran in what was reserved" 1 "$(said dump | awk '{ print $2 < 192 * 1024 }')"
