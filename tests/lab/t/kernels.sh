# lab: host=lean kernels=cloud510,cloud,cloud612,cloud7,full,full7 limit=1400
# Debian's kernels, from 5.10 to 7.x, find what was planned with four CPUs and two NUMA nodes,
# panic, and power off.
. /lab/lib.sh

limit=200
options="--memory 768M --cpus 4 --numa 384M --numa 384M"
for kernel in cloud510 cloud cloud612 cloud7 full full7; do
	# shellcheck disable=SC2086 # a list of options
	guest $kernel facts,srat,nodes,panic $options
	same "$kernel: CPUs" 4 "$(said cpus)"
	same "$kernel: panics" 4 "$status"
	check_memory $kernel
	check_iomem $kernel
	check_total $kernel
	same "$kernel: nodes" 0-1 "$(said nodes)"
	guest $kernel complaints --memory 256M
	same "$kernel: powers off" 0 "$status"
	check_complaints $kernel
done
