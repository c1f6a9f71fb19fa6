# Sourced by the benches that compare VMMs in the lab: puts QEMU and a script into the lab host, boots it, and
# prints medians of the numbers that arrive by its second serial port. $runs and $BUILD must be set.
set -- list
# shellcheck source=tests/lab/lab
# Sourced for its functions, $lab, $busybox and $qemu; it changes to the root of the repository.
. "$(dirname "$0")/../lab/lab" >/dev/null
smp=2 # a guest and the thread that serves it run side by side; a guest that the emulator loses is left out
out=$BUILD/bench
extra=$out/extra
mkdir -p "$out"

# add_program FILE...: adds programs with their libraries.
add_program()
{
	local file
	install -D -t "$extra/usr/bin" "$@"
	ldd "$@" | grep -v ':$' | grep -o '/[^ ]*' | sort -u | while read -r file; do
		install -D "$file" "$extra$file"
	done
}

# add_host SCRIPT: QEMU with the ROMs that its machines load, and the script for the lab host.
add_host()
{
	rm -rf "$extra" && mkdir -p "$extra"/{lab/t,usr/share/qemu,usr/share/seabios}
	add_program "$(command -v qemu-system-x86_64)"
	cp -L /usr/share/qemu/{linuxboot_dma,kvmvapic,qboot,bios-microvm,pvh}.* "$extra/usr/share/qemu/"
	cp /usr/share/seabios/bios{-256k,-microvm}.bin "$extra/usr/share/seabios/"
	cp "$1" "$extra/lab/t/bench.sh"
	echo "$runs" >"$extra/lab/runs"
}

# run_bench SECONDS
run_bench()
{
	archive "$out/extra.cpio" "$extra"
	cat "$out/extra.cpio" >>"$out/host-lean/initrd"
	rm -rf "$extra" "$out/extra.cpio"
	: >"$out/host-lean/results"
	# shellcheck disable=SC2154 # prepare sets qemu
	timeout --foreground -k 5 "$1" "${qemu[@]}" \
		-chardev "stdio,id=console,signal=off" </dev/null 2> >(complaints) | sed -u 's/\r//g'
	sed -i 's/\r//g' "$out/host-lean/results"
	echo
}

# median FIELD WORD...: the median of a field in the lines that begin with these words and have not failed.
median()
{
	local field=$1
	shift
	grep "^$* " "$out/host-lean/results" | grep -v failed: | awk -v field="$field" '{ print $field }' |
		sort -g | awk '{ v[NR] = $1 } END { print NR ? (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 : 0 }'
}
