# lab: host=lean kernels=lean,cloud limit=800
# Every way in which a guest ends, and the exit status that says so.
. /lab/lib.sh

guest lean poweroff
same "power-off" 0 "$status"

guest lean reboot --no-reboot
same "reset with --no-reboot" 5 "$status"

for kernel in lean cloud; do
	guest $kernel panic
	same "$kernel: panic" 4 "$status"
done

# After a reset the guest does not know that it was reset, so its next action comes by the serial line.
interactive lean ask
tell reboot
tell poweroff
ended $straddle
same "reset: the guest boots again" 2 "$(said asking | wc -l)"
same "reset: power-off after it" 0 "$status"

# SIGTERM presses the power button: KEY_POWER, and the release or the report that follows.
for kernel in lean cloud; do
	beside $kernel button
	await "waiting at"
	kill -TERM $straddle
	ended $straddle
	same "$kernel: SIGTERM is the power button" "type=1 code=116" "$(said event)"
	same "$kernel: power-off after it" 0 "$status"
done

# No root and no init: the kernel panics before a module is loaded. With a reset, at once and later, and without
# one. The guest's last, incomplete line comes before the sentence.
for kernel in lean cloud; do
	for panic in -1 1 0; do
		append="rdinit=/none panic=$panic"
		guest $kernel nothing
		same "$kernel: no root, panic=$panic" 4 "$status"
		same "$kernel: no root, panic=$panic: its line is the last" \
			"straddle: the guest's kernel panicked: Kernel panic - not syncing: VFS" \
			"$(tail -n 1 "$log" | sed 's/.*straddle: /straddle: /' | cut -c1-70)"
	done
done
append="rdinit=/none panic=0"
quiet="console=hvc0 quiet"
guest lean nothing --console stdio --cpus 2
same "no root, on the virtio console" 4 "$status"
quiet="console=ttyS0 quiet panic=1"
append=

# A user prints a log with a panic: the guest goes on and does not count as panicked.
interactive lean ask
tell log
tell reboot
tell poweroff
ended $straddle
same "a panic in a log: the guest goes on" "3 0" "$(said asking | wc -l) $status"

# A triple fault is the way to reset that reboot=t asks for.
append="reboot=t"
guest lean reboot --no-reboot
same "reboot=t with --no-reboot" 5 "$status"
interactive lean ask
tell reboot
tell poweroff
ended $straddle
same "reboot=t: the guest boots again" "2 0" "$(said asking | wc -l) $status"
append=

# A guest that ignores the power button: --stop-timeout ends it, or --timeout.
interactive lean ask --stop-timeout 2
kill -TERM $straddle
ended $straddle
same "SIGTERM and --stop-timeout" $((128 + 15)) "$status"
same "SIGTERM and --stop-timeout: says so" 1 "$(grep -c 'within 2 s of SIGTERM' "$log")"
attended lean ask --timeout 5
ended $straddle
same "--timeout" 6 "$status"

# The second signal ends it, too.
interactive lean ask --stop-timeout 0
kill -TERM $straddle
sleep 1
kill -TERM $straddle
ended $straddle
same "second SIGTERM ends the guest" $((128 + 15)) "$status"
