# lab: host=lean kernels=lean,cloud limit=200
# A guest of 1.1 TiB starts on a lab host of 2 GiB. mem= keeps Linux from touching most of the memory, but its
# firmware tables describe all of it.
. /lab/lib.sh

append=mem=512M
for kernel in lean cloud; do
	guest $kernel facts --memory 1126G
	same "$kernel: powers off" 0 "$status"
	check_memory $kernel
	check_complaints $kernel
	same "$kernel: RAM ends at the hole" 1 \
		"$(said e820 | grep -c "end=$((0xFD00000000)) type=usable")"
	same "$kernel: and goes on at 1 TiB" 1 \
		"$(said e820 | grep -c "start=$((0x10000000000)) .* type=usable")"
done
