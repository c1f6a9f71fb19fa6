# lab: host=lean kernels=lean,cloud limit=300
# A small guest across the real hole: 512 MiB low, 256 MiB just below the hole, 256 MiB from 1 TiB.
# Its kernel sees that, and a program fills all three and finds every word again.
. /lab/lib.sh

options="--memory 1G --low-memory 512M --high-memory-start 0xFCF0000000"
for kernel in lean cloud; do
	# shellcheck disable=SC2086 # a list of options
	guest $kernel facts,fill $options
	same "$kernel: powers off" 0 "$status"
	check_memory $kernel
	check_iomem $kernel
	check_total $kernel
	check_complaints $kernel
	same "$kernel: plan: 256 MiB below the hole" 1 \
		"$(planned e820 | grep -c "^start=$((0xFCF0000000)) end=$((0xFD00000000)) type=usable")"
	same "$kernel: plan: 256 MiB from 1 TiB" 1 \
		"$(planned e820 | grep -c "^start=$((0x10000000000)) end=$((0x10010000000)) type=usable")"
	fill=$(said fill)
	at_least "$kernel: fills memory below the hole" 128 "$(echo "$fill" | sed 's/.*below_mib=\([0-9]*\).*/\1/')"
	at_least "$kernel: fills memory above the hole" 128 "$(echo "$fill" | sed 's/.*above_mib=\([0-9]*\).*/\1/')"
	same "$kernel: and finds it again" bad=0 "${fill##* }"
done
