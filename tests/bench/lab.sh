#!/bin/bash
# lab.sh [RUNS]: boots Debian's stock 6.1 cloud kernel with straddle and with QEMU, in one run of the
# lab's lean AMD host (tests/lab/lab), RUNS times each in turn (default 5; a minute each). Prints
# medians: seconds from exec to guest userspace, VM exits on the way, VMM memory. Not a test.
set -euo pipefail
runs=${1:-5}
BUILD=${BUILD:-build}
set -- list
# shellcheck source=tests/lab/lab
# For its functions, $lab, $busybox and $qemu; it goes to the root of the repository.
. "$(dirname "$0")/../lab/lab" >/dev/null
out=$BUILD/bench
extra=$out/extra
qemu_bin=$(command -v qemu-system-x86_64)

# QEMU with libraries and the ROMs that the machines below load, and the script for the lab host.
host_files()
{
	local file
	rm -rf "$extra" && mkdir -p "$extra"/{lab/t,usr/bin,usr/share/qemu,usr/share/seabios}
	cp "$qemu_bin" "$extra/usr/bin/"
	ldd "$qemu_bin" | grep -o '/[^ ]*' | while read -r file; do
		install -D "$file" "$extra$file"
	done
	cp -L /usr/share/qemu/{linuxboot_dma,kvmvapic,qboot,bios-microvm,pvh}.* "$extra/usr/share/qemu/"
	cp /usr/share/seabios/bios{-256k,-microvm}.bin "$extra/usr/share/seabios/"
	cp tests/bench/host.sh "$extra/lab/t/bench.sh"
	echo "$runs" >"$extra/lab/runs"
	mkdir -p "$out/guest-init"
	"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static \
		-o "$out/guest-init/init" tests/bench/guest/init.c
	archive "$extra/lab/bench.cpio" "$out/guest-init"
}

mkdir -p "$out"
prepare lean cloud bench
host_files
archive "$out/extra.cpio" "$extra"
cat "$out/extra.cpio" >>"$out/host-lean/initrd"
rm -rf "$extra" "$out/extra.cpio"
: >"$out/host-lean/results"
# shellcheck disable=SC2154 # prepare sets qemu
timeout --foreground -k 5 $((60 + runs * 120)) "${qemu[@]}" \
	-chardev "stdio,id=console,signal=off" </dev/null 2> >(complaints) | sed -u 's/\r//g'
sed -i 's/\r//g' "$out/host-lean/results"

# median VMM FIELD
median()
{
	awk -v vmm="$1" -v field="$2" '$1 == "boot" && $2 == vmm && $3 != "failed:" { print $field }' \
		"$out/host-lean/results" | sort -g |
		awk '{ v[NR] = $1 } END { print NR ? (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 : 0 }'
}

echo
printf '%-14s %4s %8s %7s %8s %7s %7s %7s %7s %9s\n' \
	VMM n seconds ratio exits ratio io mmio hlt KiB
for vmm in straddle microvm microvm-least q35; do
	echo "$vmm" "$(grep -c "^boot $vmm [0-9]" "$out/host-lean/results" || true)" \
		"$(median $vmm 3)" "$(median straddle 3)" "$(median $vmm 4)" "$(median straddle 4)" \
		"$(median $vmm 5)" "$(median $vmm 6)" "$(median $vmm 7)" "$(median $vmm 8)"
done | awk '$2 { printf "%-14s %4d %8.2f %7.2f %8d %7.2f %7d %7d %7d %9d\n",
	$1, $2, $3, $3 / $4, $5, $5 / $6, $7, $8, $9, $10 }'
