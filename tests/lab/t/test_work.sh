# lab: host=lean kernels=lean limit=600
# straddle test: a guest that works its devices in silence is not idle; one that hangs, or waits, is.
. /lab/lib.sh
. /lab/case.sh

image=/tmp/image
dd if=/dev/zero of=$image bs=1M count=4 2>/dev/null

# in_guest COMMAND...: in a guest with devices that an idle kernel uses as well, and an idle limit that is shorter than
# what the guest does.
in_guest()
{
	run_case lean --initrd "$K/lean/initrd" --idle-limit 5 --rng --balloon 0 "$@"
}

# The command works until the guest's clock says that four limits have passed.
works='end=$(($(cut -d. -f1 /proc/uptime) + 20)); while [ "$(cut -d. -f1 /proc/uptime)" -lt $end ]; do'

for ring in packed split; do
	in_guest --disk $image,ring=$ring -- /bin/busybox sh -c \
		"$works dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null; sleep 1; done"
	same "reads a disk in silence, $ring ring" 0 "$status"
done
in_guest --disk $image -- /bin/busybox sh -c "$works sleep 1; done"
same "waits, with a disk" 101 "$status"
in_guest --disk $image -- @hang
same "hangs, with a disk" 101 "$status"
same "hangs: the sentence" 1 "$(grep -c 'no byte on any channel and no I/O for 5 s' $error)"
