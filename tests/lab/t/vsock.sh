# lab: host=lean kernels=lean limit=480 root=yes
# Sockets between guest and host without the kernel's help: Unix sockets of the host, both ways, with
# rings and buffers on both sides of the hole; ports that nobody serves; a guest that boots again.
. /lab/lib.sh
socket=/tmp/vsock
vsock unix-listen ${socket}_1000 &
server=$!
wait_for ${socket}_1000

# Connections end when the guest resets; the socket stays.
# shellcheck disable=SC2086
interactive lean ask,ask,ask,complaints $across --cpus 2 --vsock cid=7,socket=$socket
same "a port of the guest that nobody serves" refused "$(vsock unix-check $socket 4444 4096)"
tell vsock_refused
tell vsock_hold
await "vsock holds"
vsock unix-hold $socket 2000 >/tmp/hold &
holder=$!
tries=100
until grep -q connected /tmp/hold || [ "$((tries -= 1))" = 0 ]; do
	sleep 0.1
done
straddle run --kernel "$K/lean/vmlinuz" --vsock cid=8,socket=$socket >/tmp/out 2>&1
same "a socket that is taken: status" 1 $?
same "a socket that is taken: says so" 1 "$(grep -c 'something is there already' /tmp/out)"
tell reboot
wait $holder
same "guest reset: what was connected is closed" "connected closed" "$(xargs </tmp/hold)"

# 1 MiB each way, twice, so that leftovers of the first transfer would show.
for n in 1 2; do
	tell_only vsock
	await "vsock listens" $n
	same "the guest's echo comes to the host, $n" same "$(vsock unix-check $socket 2000 1048576 2>&1)"
	await asking $asked
done
tell_only vsock_refused
ended $straddle
same "powers off" 0 "$status"
same "the host's echo comes to the guest" "to same to same" \
	"$(said vsock | grep '^to' | xargs)"
same "a port of the host that nobody serves" 2 "$(said vsock | grep -c '^refused .*reset by peer')"
same "the socket is gone at the end" "" "$(ls $socket 2>/dev/null)"
check_complaints "sockets"
kill $server

# Without the kernel's help, and without a socket.
mv /dev/vhost-vsock /dev/vhost-vsock.away
straddle run --kernel "$K/lean/vmlinuz" --vsock cid=7 >/tmp/out 2>&1
same "no vhost-vsock: status" 1 $?
same "no vhost-vsock: says the way out" 1 "$(grep -c 'use socket=PATH' /tmp/out)"
mv /dev/vhost-vsock.away /dev/vhost-vsock
