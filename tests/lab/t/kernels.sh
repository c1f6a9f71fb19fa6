# lab: host=xsave kernels=cloud510,cloud,cloud612,cloud7,full,full7 limit=1400
# Debian's kernels, from 5.10 to 7.x, are reset, find what was planned with four CPUs and two NUMA nodes, panic,
# and power off.
. /lab/lib.sh

limit=200
for kernel in cloud510 cloud cloud612 cloud7 full full7; do
	check_kernel $kernel --memory 768M --cpus 4 --numa 384M --numa 384M
	same "$kernel: nodes" 0-1 "$(said nodes)"
	check_power_off $kernel
done
