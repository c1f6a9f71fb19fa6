#!/bin/bash
# lab.sh [RUNS]: boots Debian's stock 6.1 cloud kernel with straddle and with QEMU, in one run of the
# lab's lean AMD host (tests/lab/lab), RUNS times each in turn (default 5; a minute each). Prints
# medians: seconds from exec to guest userspace, VM exits on the way, VMM memory; and what straddle test costs beside
# straddle run. Not a test.
set -euo pipefail
runs=${1:-5}
BUILD=${BUILD:-build}
. "$(dirname "$0")/vmm.sh"

prepare lean 'cloud lean' bench
add_host tests/bench/host.sh
mkdir -p "$out/guest-init"
"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static \
	-o "$out/guest-init/init" tests/bench/guest/init.c
archive "$extra/lab/bench.cpio" "$out/guest-init"
run_bench $((60 + runs * 240))

printf '%-14s %4s %8s %7s %8s %7s %7s %7s %7s %9s\n' \
	VMM n seconds ratio exits ratio io mmio hlt KiB
for vmm in straddle microvm microvm-least q35; do
	echo "$vmm" "$(grep -c "^boot $vmm [0-9]" "$out/host-lean/results" || true)" \
		"$(median 3 boot $vmm)" "$(median 3 boot straddle)" "$(median 4 boot $vmm)" "$(median 4 boot straddle)" \
		"$(median 5 boot $vmm)" "$(median 6 boot $vmm)" "$(median 7 boot $vmm)" "$(median 8 boot $vmm)"
done | awk '$2 { printf "%-14s %4d %8.2f %7.2f %8d %7.2f %7d %7d %7d %9d\n",
	$1, $2, $3, $3 / $4, $5, $5 / $6, $7, $8, $9, $10 }'

printf '\n%-14s %4s %8s %7s\n' life n seconds ratio
for name in run test microvm; do
	echo "$name" "$(grep -c "^life $name [0-9]" "$out/host-lean/results" || true)" "$(median 3 life $name)" \
		"$(median 3 life run)"
done | awk '$2 { printf "%-14s %4d %8.2f %7.2f\n", $1, $2, $3, $3 / $4 }'
printf '\n%-14s %8s\n' channel MiB/s
for way in serial vsock; do
	echo "$way" "$(median 3 bytes $way)"
done | awk '{ printf "%-14s %8.2f\n", $1, $2 }'
