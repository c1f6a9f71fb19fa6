# lab: host=lean kernels=cloud510,cloud,cloud612,cloud7,full,full7 limit=1400
# Debian's kernels, from 5.10 to 7.x, are reset, find what was planned with four CPUs and two NUMA nodes, panic,
# and power off.
. /lab/lib.sh

limit=200
options="--memory 768M --cpus 4 --numa 384M --numa 384M"
for kernel in cloud510 cloud cloud612 cloud7 full full7; do
	# shellcheck disable=SC2086 # a list of options
	interactive $kernel ask,srat,nodes,panic $options
	tell reboot
	tell_only facts
	ended $straddle
	same "$kernel: a reset, then a panic" "2 4" "$(said asking | wc -l) $status"
	# shellcheck disable=SC2086
	straddle plan --json $options | awk -f /lab/json.awk >"$plan"
	same "$kernel: CPUs" 4 "$(said cpus)"
	check_memory $kernel
	check_iomem $kernel
	check_total $kernel
	same "$kernel: nodes" 0-1 "$(said nodes)"
	guest $kernel complaints --memory 256M
	same "$kernel: powers off" 0 "$status"
	check_complaints $kernel
done
