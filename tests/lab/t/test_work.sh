# lab: host=lean kernels=lean limit=600
# straddle test: a guest that works its devices in silence is not idle; one that hangs, or waits, is.
. /lab/lib.sh

case=/tmp/case error=/tmp/error image=/tmp/image
dd if=/dev/zero of=$image bs=1M count=4 2>/dev/null

# run_case COMMAND...: in a guest with devices that an idle kernel uses as well, and an idle limit that is shorter than
# what the guest does. Sets $status.
run_case()
{
	rm -rf $case
	timeout -s KILL $limit straddle test --kernel "$K/lean/vmlinuz" --initrd "$K/lean/initrd" --output $case \
		--append quiet --idle-limit 5 --rng --balloon 0 "$@" >/tmp/out 2>$error
	status=$?
	cp $case/console.log "$log" 2>/dev/null || cp $error "$log"
	shown=
	printf '    | %s\n' "$status $(tail -n 2 $error | tr '\n' ' ')"
}

# The command works until the guest's clock says that four limits have passed.
works='end=$(($(cut -d. -f1 /proc/uptime) + 20)); while [ "$(cut -d. -f1 /proc/uptime)" -lt $end ]; do'

for ring in packed split; do
	run_case --disk $image,ring=$ring -- /bin/busybox sh -c \
		"$works dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null; sleep 1; done"
	same "reads a disk in silence, $ring ring" 0 "$status"
done
run_case --disk $image -- /bin/busybox sh -c "$works sleep 1; done"
same "waits, with a disk" 101 "$status"
run_case --disk $image -- @hang
same "hangs, with a disk" 101 "$status"
same "hangs: the sentence" 1 "$(grep -c 'no byte on any channel and no I/O for 5 s' $error)"
