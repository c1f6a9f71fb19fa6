# lab: host=numa kernels=lean limit=400 root=yes
# Nodes of the guest on nodes of the host, of which one has the CPU and one is memory alone: where pages are, what is
# refused, what the guest sees.
. /lab/lib.sh

# there NODE: KiB of the bound memory of straddle that are on a node of the host, for nodes 0 and 1.
there()
{
	awk -v node="$1" '$2 == "bind=static:" node {
		for (i = 3; i <= NF; i++) {
			if ($i ~ /^N[0-9]+=/) { split($i, n, "="); pages[n[1]] += n[2] }
			if ($i ~ /^kernelpagesize_kB=/) { sub(".*=", "", $i); size = $i }
		}
		for (p in pages) { kib[p] += pages[p] * size }
		split("", pages)
	} END { print kib["N0"] + 0, kib["N1"] + 0 }' "/proc/$(pidof straddle)/numa_maps"
}

# refused NAME TEXT OPTION...: `run` ends with status 1 and this sentence, and `check` says the same.
refused()
{
	name=$1 text=$2
	shift 2
	guest lean poweroff "$@"
	same "$name: status" 1 "$status"
	same "$name: says so" 1 "$(grep -c "^straddle: .*$text" "$log")"
	straddle check "$@" >/tmp/check 2>&1
	same "$name: check says so" 1 "$(grep -c "^ram *no: .*$text" /tmp/check)"
}

same "the lab host has two nodes" 0-1 "$(cat /sys/devices/system/node/online)"
same "whose distances are those that QEMU was told" "10 31" "$(cat /sys/devices/system/node/node0/distance)"

# The guest's nodes are the other way round.
interactive lean topology,complaints,ask --cpus 2 --prefault on --numa 96M,cpus=0,host=1 --numa 64M,cpus=1,host=0 \
	--numa 32M,host=1 --numa-distance 0,1,25 --numa-distance 2,0,40 --cpu-affinity 0@0
same "RAM of node 1 of the host is there alone" "0 $(((96 + 32) * 1024))" "$(there 1)"
same "RAM of node 0 of the host is there alone" "$((64 * 1024)) 0" "$(there 0)"
for thread in /proc/$(pidof straddle)/task/*; do
	[ "$(cat "$thread/comm")" = cpu0 ] && on=$(sed -n 's/Cpus_allowed_list:[[:space:]]*//p' "$thread/status")
done
same "--cpu-affinity: vCPU 0 is on CPU 0" 0 "$on"
tell poweroff
ended $straddle
same "three nodes: powers off" 0 "$status"
same "three nodes: node 0" "cpus=0 distances=10,25,40" "$(said "node 0")"
same "three nodes: node 1" "cpus=1 distances=25,10,20" "$(said "node 1")"
same "three nodes: node 2 is memory alone" "cpus= distances=40,20,10" "$(said "node 2")"
at_least "three nodes: node 2 has its memory" 24000 "$(said "node_kib 2")"
same "nodes are sockets, with a last-level cache each" "socket=0 cache=0" "$(said "cpu 0")"
same "the other one" "socket=1 cache=1" "$(said "cpu 1")"
same "three nodes: the kernel has no complaints" "" "$(said complaint)"

guest lean topology --cpus 4,threads=2 --numa 64M,cpus=0-1,host=0 --numa 64M,cpus=2-3
said "cpu" >/tmp/named
guest lean topology --cpus 4,threads=2 --numa 64M,host=0 --numa 64M
said "cpu" >/tmp/dealt
same "threads: powers off" 0 "$status"
same_lines "with and without cpus= the guest sees the same" /tmp/named /tmp/dealt
same "threads: the cache is as wide as the node" "0 socket=0-1 cache=0-1" "$(head -n 1 /tmp/dealt)"

guest lean topology --memory 128M --cpus 2 --numa host
same "--numa host: powers off" 0 "$status"
same "--numa host: CPUs are where the host has some" "cpus=0-1 distances=10,31" "$(said "node 0")"
same "--numa host: memory alone" "cpus= distances=31,10" "$(said "node 1")"

# Node 0 has enough for all of it, too.
pool() { echo "$2" >"/sys/devices/system/node/node$1/hugepages/hugepages-2048kB/nr_hugepages"; }
pages=$(cat /proc/sys/vm/nr_hugepages)
pool 0 60
pool 1 44
interactive lean ask --page-size 2M --numa 80M,host=1
same "huge pages are on their node at once" "0 81920" "$(there 1)"
tell poweroff
ended $straddle
refused "too few huge pages on a node" "needs 48 free huge pages of 2 MiB on node 1 of the host, which has 44" \
	--page-size 2M --numa 96M,host=1
echo "$pages" >/proc/sys/vm/nr_hugepages

refused "no such node" "on node 2 of the host, which has 2 nodes" --numa 128M,host=2
refused "more than a node has" "MiB of it on node 1 of the host, which has" --prefault on --numa 1022M,host=1
guest lean poweroff --memory 128M --cpus 2 --cpu-affinity 0-1@0-1
same "no such CPU: status" 1 "$status"
same "no such CPU: says so" 1 "$(grep -c "vCPU 0 cannot run on CPU 1 of the host, which is not there" "$log")"
guest lean poweroff --numa 128M,host=1 --cpu-affinity auto
same "auto without CPUs: status" 1 "$status"
same "auto without CPUs: says so" 1 "$(grep -c "node 1 of the host, where the RAM of vCPU 0's node is, has no CPUs" "$log")"
guest lean poweroff --numa 128M,host=0 --cpu-affinity auto
same "auto: powers off" 0 "$status"
