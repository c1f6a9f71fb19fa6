# lab: root=yes
# The part of io.sh that runs inside the lab host (busybox sh, by tests/lab/host/init): the same guest
# with the same disk and tap interface under each VMM in turn. One line for each measurement goes to
# descriptor 3:
#
#	io VMM NAME RATE EXITS
#
# RATE is reads or MiB a second, or Mbit/s; EXITS are KVM's, for each read (network: for each MB).
stats=/sys/kernel/debug/kvm
case $(cat /lab/what) in
bench_net) cpus=1 ;; # leaves one for vhost and iperf3
*) cpus=2 ;;
esac
append="console=ttyS0 quiet panic=-1 straddle.do=$(cat /lab/what),poweroff"
kernel=/k/lean/vmlinuz
initrd=/k/lean/initrd
image=/tmp/image
mkfifo /tmp/serial
head -c 50331648 /dev/urandom >$image
tunctl -t tap0 >/dev/null
ifconfig tap0 10.0.2.100 netmask 255.255.255.0 up
ifconfig lo up
/usr/bin/iperf3 -s -D >/dev/null

bench() # VMM COMMAND...: serial port on standard output
{
	vmm=$1
	shift
	"$@" </dev/null >/tmp/serial 2>/tmp/log &
	# shellcheck disable=SC3045 # busybox has it
	while read -r -t 120 line; do
		# shellcheck disable=SC2086 # words
		set -- ${line#*lab: }
		case ${1-} in
		start) before=$(cat $stats/exits) ;;
		end)
			exits=$(($(cat $stats/exits) - before))
			[ $exits -gt 0 ] || continue # the emulator lost the guest's clock
			line=$(echo "$vmm $2 ${3-0} ${4%;} $exits" | awk '{
				n = $2 ~ /iperf/ ? $3 * 4 / 8 : $2 ~ /1m/ ? $4 / 1024 : $4 / 4
				print "io", $1, $2, $3, n ? $5 / n : 0 }')
			echo "$line"
			echo "$line" >&3
			;;
		esac
	done </tmp/serial
	cat /tmp/log; echo "bench: $vmm ended"
	wait
}

qemu() # NAME MACHINE BLOCK-DEVICE NETWORK-DEVICE
{
	bench "$1" /usr/bin/qemu-system-x86_64 -M "$2,accel=kvm" -cpu host -m 512 -smp $cpus -nodefaults \
		-no-user-config -no-reboot -display none -serial stdio -kernel $kernel -initrd $initrd \
		-append "$append" -object iothread,id=t0 \
		-blockdev driver=host_device,node-name=d0,filename=/dev/vda,read-only=on \
		-blockdev driver=file,node-name=d1,filename=$image,aio=io_uring \
		-device "$3,drive=d0" -device "$3,drive=d1,iothread=t0" \
		-netdev tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=on -device "$4,netdev=n0"
}

# Each VMM is first in one run of three, because the first run is slower: the emulator has not translated its code
# yet.
run=0
while [ $run -lt "$(cat /lab/runs)" ]; do
	for turn in 0 1 2; do
		case $(((run + turn) % 3)) in
		0) bench straddle straddle run --kernel $kernel --initrd $initrd --append "$append" --memory 512M \
			--cpus $cpus --disk /dev/vda,readonly=on --disk $image --net tap=tap0 ;;
		1) qemu q35 q35,vmport=off,smbus=off,sata=off virtio-blk-pci virtio-net-pci,romfile= ;;
		2) qemu microvm microvm virtio-blk-device virtio-net-device ;;
		esac
	done
	run=$((run + 1))
done
