# lab: host=lean kernels=lean,cloud limit=200
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

# A guest that was reset knows nothing of it: it is told by its serial line what to do next.
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

# A guest that does not listen: the second signal ends it.
interactive lean ask
kill -TERM $straddle
sleep 1
kill -TERM $straddle
ended $straddle
same "second SIGTERM ends the guest" $((128 + 15)) "$status"
