# lab: host=xsave kernels=lean,vmlinux limit=200
# The lean kernel, as bzImage and as ELF, boots to a userspace that finds the memory, the PCI windows and the
# CPUs that were planned, and has nothing to complain about. Debian's kernels: kernels.sh.
. /lab/lib.sh

for kernel in lean vmlinux; do
	guest $kernel facts --memory 512M
	same "$kernel: powers off" 0 "$status"
	same "$kernel: CPUs" 1 "$(said cpus)"
	check_memory $kernel
	check_iomem $kernel
	check_total $kernel
	check_complaints $kernel
done
