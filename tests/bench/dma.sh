#!/bin/bash
# dma.sh [ROUNDS]: in the lab's lean host, maps 64 GiB for an NVMe drive with our code and with a bare
# loop of the same ioctls, ROUNDS times each in turn (default 10). Prints medians and the ratio.
set -euo pipefail
rounds=${1:-10}
BUILD=${BUILD:-build}
set -- list
# shellcheck source=tests/lab/lab
# Sourced for its functions, $lab and $qemu; it changes to the root of the repository.
. "$(dirname "$0")/../lab/lab" >/dev/null
out=$BUILD/bench
extra=$out/extra

mkdir -p "$out"
prepare lean lean bench
rm -rf "$extra" && mkdir -p "$extra"/{lab/t,bin}
cp "$BUILD/tests/bench/dma" "$extra/bin/"
cat >"$extra/lab/t/bench.sh" <<-END
	# lab: root=yes
	. /lab/lib.sh
	echo 256 >/proc/sys/vm/nr_hugepages
	take \$nvme
	for backend in type1 iommufd; do
		dma \$backend \$nvme 64 $rounds | while read -r line; do result "\$line"; done
	done
END
archive "$out/extra.cpio" "$extra"
cat "$out/extra.cpio" >>"$out/host-lean/initrd"
rm -rf "$extra" "$out/extra.cpio"
: >"$out/host-lean/results"
# shellcheck disable=SC2154 # prepare sets qemu
timeout --foreground -k 5 $((60 + rounds * 60)) "${qemu[@]}" \
	-chardev "stdio,id=console,signal=off" </dev/null 2> >(complaints) | sed -u 's/\r//g'
sed -i 's/\r//g' "$out/host-lean/results"

median()
{
	awk -v backend="$1" -v who="$2" '$1 == "dma" && $2 == backend && $3 == who { print $4 }' \
		"$out/host-lean/results" | sort -g |
		awk '{ v[NR] = $1 } END { print NR ? (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 : 0 }'
}
echo
for backend in type1 iommufd; do
	echo "$backend $(median $backend bare) $(median $backend ours)"
done | awk '{ printf "map 64 GiB, %-8s bare %.3f s, ours %.3f s, ratio %.3f\n", $1, $2, $3, $2 ? $3 / $2 : 0 }'
