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

# Workers of the kernel's io_uring pool are left out: the last one stays and wakes up every five seconds
# (WORKER_IDLE_TIMEOUT in io_uring/io-wq.c).
# switches: prints NAME SWITCHES, how often each thread but the guest's CPUs went to sleep. exits: prints how
# often the guest exited to straddle.
switches()
{
	for task in /proc/"$pid"/task/*; do
		echo "$(cat "$task/comm")-${task##*/}" "$(awk '/^voluntary/ { print $2 }' "$task/status")"
	done | grep -v -e '^cpu' -e '^iou-wrk'
}
exits() { cat /sys/kernel/debug/kvm/io_exits /sys/kernel/debug/kvm/mmio_exits | xargs; }

# After its start a guest has work, such as reporting free pages, for a time that depends on the machine. A thread
# that polls does so for ever, so the test passes if one of several periods of ten seconds has no wake-up.
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
