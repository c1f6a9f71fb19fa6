# lab: host=lean kernels=lean,vmlinux,cloud,full,cloud612 limit=200
# Stock Debian kernels and the lean one, as bzImage and as ELF, boot to a userspace that finds the
# memory, the PCI windows and the CPUs that were planned, and has nothing to complain about.
. /lab/lib.sh

for kernel in lean vmlinux cloud full cloud612; do
	guest $kernel facts --memory 512M
	same "$kernel: powers off" 0 "$status"
	same "$kernel: CPUs" 1 "$(said cpus)"
	check_memory $kernel
	check_iomem $kernel
	check_total $kernel
	check_complaints $kernel
done
