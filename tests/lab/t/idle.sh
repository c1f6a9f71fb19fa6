# lab: host=lean kernels=lean limit=100 root=yes
# An idle guest with a device of each kind but --rng, from which Linux draws by itself: no thread of straddle but the guest's CPUs wakes up in
# ten seconds, and those do not leave the kernel.
. /lab/lib.sh
truncate -s 16M /tmp/image /tmp/pmem
tunctl -t tap0 >/dev/null
beside lean ask --memory 512M --cpus 2 --disk /tmp/image,queues=2 --net tap=tap0,vhost=off --console pty \
	--balloon 0 --vsock cid=7,socket=/tmp/vsock --pmem /tmp/pmem --control /tmp/control
await asking
sleep 5 # free pages are reported at first

# How often each thread went to sleep: NAME SWITCHES
switches()
{
	for task in /proc/"$pid"/task/*; do
		echo "$(cat "$task/comm")-${task##*/}" "$(awk '/^voluntary/ { print $2 }' "$task/status")"
	done
}
pid=$(pidof straddle)
switches >/tmp/before
io=$(cat /sys/kernel/debug/kvm/io_exits /sys/kernel/debug/kvm/mmio_exits | xargs)
sleep 10
switches >/tmp/after
same "no wake-up" "" "$(paste /tmp/before /tmp/after | awk '$1 !~ /^cpu/ && $2 != $4 { print $1, $4 - $2 }' | xargs)"
same "no exit to straddle" "$io" "$(cat /sys/kernel/debug/kvm/io_exits /sys/kernel/debug/kvm/mmio_exits | xargs)"
at_least "threads were looked at" 6 "$(grep -vc '^cpu' /tmp/after)"
ask /tmp/control quit >/dev/null
ended $straddle
rm -f /tmp/image /tmp/pmem
