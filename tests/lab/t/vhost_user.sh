# lab: host=lean kernels=lean limit=600 root=yes
# Devices that Debian's daemons serve over vhost-user: a qcow2 image by qemu-storage-daemon, a folder
# by virtiofsd; with rings and buffers on both sides of the hole. Daemons that die, and come back.
. /lab/lib.sh
mkdir -p /tmp/vu/share
socket=/tmp/vu/socket
cp /lab/disk.qcow2 /tmp/vu/

# storage: starts qemu-storage-daemon, $daemon, and waits for its socket.
storage()
{
	rm -f $socket
	qemu-storage-daemon --blockdev driver=file,node-name=file,filename=/tmp/vu/disk.qcow2 \
		--blockdev driver=qcow2,node-name=disk,file=file \
		--export type=vhost-user-blk,id=export,node-name=disk,writable=on,num-queues=2,addr.type=unix,addr.path=$socket &
	daemon=$!
	wait_for $socket
}

storage
for options in "" ",queues=2"; do
	# shellcheck disable=SC2086 # a list of options
	guest lean disks,dma,pci,complaints $across --cpus 2 --disk vhost-user=$socket$options
	same "qcow2$options: powers off" 0 "$status"
	same "qcow2$options: size" sectors=131072 "$(said disk | cut -d ' ' -f 2)"
	check_dma "qcow2$options" vda
	check_irq "qcow2$options: MSI-X" "PCI-MSIX.*virtio.*-req"
	check_complaints "qcow2$options"
done

# More memory regions than one message can hold.
files=
for i in 1 2 3 4 5 6 7; do
	truncate -s 2M /tmp/vu/pmem$i
	files="$files --pmem /tmp/vu/pmem$i"
done
# shellcheck disable=SC2086
guest lean dma,complaints $across $files --disk vhost-user=$socket
same "ten spans of memory: powers off" 0 "$status"
check_dma "ten spans of memory" vda
check_complaints "ten spans of memory"

guest lean again --disk vhost-user=$socket
same "guest reset: powers off" 0 "$status"
same "guest reset: what was written before is there" yes "$(said again)"

# The guest waits for a daemon that died, and goes on with the next one.
# shellcheck disable=SC2086
interactive lean dma,ask,ask $across --disk vhost-user=$socket
kill -KILL $daemon
await "disk0: the program that serves it is gone"
tell_only dma # waits in the ring
sleep 2
storage
await "disk0: the program that serves it is back"
await asking 2
tell poweroff
ended $straddle
same "daemon killed: powers off" 0 "$status"
same "daemon killed: is said" 1 "$(grep -c 'disk0: the program that serves it is gone' "$log")"
same "daemon killed: so is the next one" 1 "$(grep -c 'disk0: .* is back.$' "$log")"
check_dma "daemon killed" vda

# A daemon that does not answer is disconnected, and reconnected when it answers; here it is stopped while the
# guest resets.
# shellcheck disable=SC2086
interactive lean ask,ask $across --disk vhost-user=$socket
kill -STOP $daemon
tell_only reboot
await "disk0: the program that serves it is gone"
sleep 5
kill -CONT $daemon
await "disk0: the program that serves it is back.$"
asked=2
await asking $asked
tell dma
tell poweroff
ended $straddle
same "daemon stopped: powers off" 0 "$status"
check_dma "daemon stopped" vda
kill -KILL $daemon
wait $daemon 2>/dev/null

# refused WHAT STATUS SENTENCE OPTION...
refused()
{
	name=$1 wanted=$2 sentence=$3
	shift 3
	straddle run --kernel "$K/lean/vmlinuz" "$@" >"$log" 2>&1
	same "$name: status" "$wanted" $?
	same "$name: one sentence" "1 1" "$(wc -l <"$log") $(grep -c "$sentence" "$log")"
}
refused "a socket nobody serves" 1 "nobody serves this socket" --disk vhost-user=$socket
refused "a socket that is none" 1 "start its program first" --disk vhost-user=/tmp/vu/none
# shared: starts virtiofsd, for one connection.
shared()
{
	rm -f $socket
	virtiofsd --socket-path=$socket -o source=/tmp/vu/share -o sandbox=chroot 2>/dev/null &
	daemon=$!
	wait_for $socket
}
shared
refused "a folder as a disk" 2 "does not tell what device it serves" --disk vhost-user=$socket
dd if=/dev/urandom of=/tmp/vu/share/file bs=64k count=16 2>/dev/null
shared
# shellcheck disable=SC2086
guest lean fs,complaints $across --fs socket=$socket,tag=share
same "virtiofs: powers off" 0 "$status"
same "virtiofs: the guest reads what the host wrote" "$(sha256sum </tmp/vu/share/file | cut -c1-64)" \
	"$(said fs | sed -n 's/^read //p')"
same "virtiofs: the host reads what the guest wrote" "$(sha256sum </tmp/vu/share/new | cut -c1-64)" \
	"$(said fs | sed -n 's/^wrote //p')"
check_complaints "virtiofs"

# A driver that starts again, here after a reset of the guest, works with the next daemon.
shared
interactive lean ask,ask --fs socket=$socket,tag=share
kill -KILL $daemon
await "fs0: the program that serves it is gone"
tell reboot
shared
await "fs0: the program that serves it is back."
tell fs
tell poweroff
ended $straddle
same "virtiofsd killed: is said" 1 "$(grep -c 'fs0: .* is gone' "$log")"
same "virtiofsd killed: powers off" 0 "$status"
same "virtiofsd killed: the next one serves" "$(sha256sum </tmp/vu/share/file | cut -c1-64)" \
	"$(said fs | sed -n 's/^read //p')"
rm -rf /tmp/vu
