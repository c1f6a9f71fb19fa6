#!/bin/bash
# io.sh disk|net [RUNS]: virtio-blk or virtio-net of straddle and of QEMU, with the same guest, image and
# tap interface, in one run of the lab's lean AMD host (tests/lab/lab), RUNS times each in turn (default 3; a
# minute each). Prints medians and ratios; exits are for each read or each MB. Not a test.
set -euo pipefail
what=${1?disk or net} runs=${2:-3}
BUILD=${BUILD:-build}
. "$(dirname "$0")/vmm.sh"

case $what in
disk) names="randread-qd1 randread-qd32 seqread-1m" ;;
net) names="iperf-to-host iperf-from-host" ;;
*) die "it is disk or net, not $what" ;;
esac
prepare lean "lean debian" bench
add_host tests/bench/io_host.sh
add_program "$(command -v iperf3)"
echo "bench_$what" >"$extra/lab/what"
run_bench $((60 + runs * 200))
printf '%-16s %12s %12s %8s %12s %8s   %s\n' measurement straddle q35 ratio microvm ratio \
	"exits of each: straddle, q35, microvm"
for name in $names; do
	echo "$name" "$(median 4 io straddle "$name")" "$(median 4 io q35 "$name")" \
		"$(median 4 io microvm "$name")" "$(median 5 io straddle "$name")" \
		"$(median 5 io q35 "$name")" "$(median 5 io microvm "$name")"
done | awk '{ printf "%-16s %12d %12d %8.2f %12d %8.2f   %.2f %.2f %.2f\n", $1, $2, $3,
	$3 ? $2 / $3 : 0, $4, $4 ? $2 / $4 : 0, $5, $6, $7 }'
