# lab: host=lean kernels=lean limit=320 root=yes
# An idle guest with a device of each kind but --rng, from which Linux draws by itself: no thread of straddle
# but the guest's CPUs wakes up, and those do not leave the kernel.
. /lab/lib.sh
limit=150
truncate -s 16M /tmp/image /tmp/pmem
tunctl -t tap0 >/dev/null
beside lean ask --memory 512M --cpus 2 --disk /tmp/image,queues=2 --net tap=tap0,vhost=off --console pty \
	--balloon 0 --vsock cid=7,socket=/tmp/vsock --pmem /tmp/pmem --control /tmp/control
await asking

# The kernel's pool of io_uring workers is not ours: its last one stays, and looks up every five seconds
# (WORKER_IDLE_TIMEOUT in io_uring/io-wq.c).
# How often each thread but the guest's CPUs went to sleep: NAME SWITCHES. How often the guest came to straddle.
switches()
{
	for task in /proc/"$pid"/task/*; do
		echo "$(cat "$task/comm")-${task##*/}" "$(awk '/^voluntary/ { print $2 }' "$task/status")"
	done | grep -v -e '^cpu' -e '^iou-wrk'
}
exits() { cat /sys/kernel/debug/kvm/io_exits /sys/kernel/debug/kvm/mmio_exits | xargs; }

# A guest has things to do after its start, such as reporting free pages, and how long that takes is the
# machine's. What polls does so for ever: in some ten seconds of several nothing may happen.
pid=$(pidof straddle)
tries=9
while :; do
	switches >/tmp/before
	before=$(exits)
	sleep 10
	switches >/tmp/after
	after=$(exits)
	woken=$(paste /tmp/before /tmp/after | awk '$2 != $4 { print $1, $4 - $2 }' | xargs)
	[ "$woken" ] || [ "$before" != "$after" ] || break
	[ "$((tries -= 1))" -gt 0 ] || break
	echo "not yet: $woken, exits $before, $after"
done
same "no wake-up" "" "$woken"
same "no exit to straddle" "$before" "$after"
at_least "threads were looked at" 6 "$(wc -l </tmp/after)"
ask /tmp/control quit >/dev/null
ended $straddle
rm -f /tmp/image /tmp/pmem
