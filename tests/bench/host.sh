# lab: root=yes
# The part of lab.sh that runs inside the lab host (busybox sh, by tests/lab/host/init): boots the
# same guest under each VMM in turn and sends one line for each boot to descriptor 3:
#
#	boot VMM SECONDS EXITS IO MMIO HALT KIB
#
#	life NAME SECONDS
#	bytes WAY MIB_PER_SECOND
#
# SECONDS from exec to the guest's userspace, KVM's exits in that time (all, port I/O, MMIO, HLT),
# and private memory of the VMM beyond guest RAM at its end. "life" is from exec to the process'
# end, of a guest that resets itself as soon as it has userspace, and of straddle test with a command that does nothing.
# "bytes" are those of the channel of straddle test.
stats=/sys/kernel/debug/kvm
append="console=ttyS0 quiet panic=-1"
kernel=/k/cloud/vmlinuz
initrd=/lab/bench.cpio
log=/tmp/log
mkfifo /tmp/serial

uptime() { cut -d ' ' -f 1 /proc/uptime; }

# boot VMM COMMAND...: serial port on standard output.
boot()
{
	vmm=$1 end=
	shift
	start=$(uptime)
	"$@" </dev/null >/tmp/serial 2>$log &
	pid=$!
	# The kernel's counters are of running VMs only.
	# shellcheck disable=SC3045 # busybox has it
	while read -r -t 60 line; do
		case $line in
		*userspace*)
			end=$(uptime)
			exits=$(cat $stats/exits $stats/io_exits $stats/mmio_exits $stats/halt_exits | xargs)
			break
			;;
		esac
	done </tmp/serial
	# Guest RAM is the one mapping as large as that.
	kib=$(awk '/^Size:/ { guest = $2 >= 262144 } /^Private_/ && !guest { kib += $2 }
		END { print kib + 0 }' /proc/$pid/smaps 2>/dev/null)
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	if [ "$end" ]; then
		line="boot $vmm $(echo "$start $end" | awk '{ print $2 - $1 }') $exits $kib"
	else
		line="boot $vmm failed: $(tail -n 1 $log)"
	fi
	echo "$line"
	echo "$line" >&3
}

# qemu MACHINE,...: the fewest devices that boot this guest.
qemu()
{
	name=$1 machine=$2
	shift 2
	boot "$name" /usr/bin/qemu-system-x86_64 -M "$machine,accel=kvm" -cpu host -m 256 -nodefaults \
		-no-user-config -no-reboot -display none -serial stdio \
		-kernel $kernel -initrd $initrd -append "$append" "$@"
}

# life NAME STATUS COMMAND...: by the clock of the host, whose resolution is 10 ms.
life()
{
	name=$1 wanted=$2
	shift 2
	start=$(uptime)
	timeout -s KILL 120 "$@" </dev/null >/dev/null 2>$log
	status=$?
	line="life $name $(echo "$start $(uptime)" | awk '{ print $2 - $1 }')"
	[ $status = "$wanted" ] || line="life $name failed: $status $(tail -n 1 $log)"
	echo "$line" | tee /dev/fd/3
}

# channel WAY KIB KERNEL: how fast a command's output comes through.
channel()
{
	start=$(uptime)
	got=$(straddle test --kernel $3 --memory 256M --append quiet --idle-limit 0 --limit 0 \
		-- @bytes $(($2 << 10)) 2>$log | wc -c)
	line="bytes $1 $(echo "$start $(uptime) $2" | awk '{ print $3 / 1024 / ($2 - $1) }')"
	[ "$got" = $(($2 << 10)) ] || line="bytes $1 failed: $got $(tail -n 1 $log)"
	echo "$line" | tee /dev/fd/3
}

run=0
while [ $run -lt "$(cat /lab/runs)" ]; do
	boot straddle straddle run --kernel $kernel --initrd $initrd --append "$append" --memory 256M
	qemu microvm microvm
	qemu microvm-least microvm,x-option-roms=off,pit=off,pic=off,rtc=off -bios qboot.rom
	qemu q35 q35,vmport=off,smbus=off,sata=off
	life run 5 straddle run --kernel $kernel --initrd $initrd --append "$append -- reset" --memory 256M --no-reboot
	life test 0 straddle test --kernel $kernel --append quiet --memory 256M -- @status 0
	life microvm 0 /usr/bin/qemu-system-x86_64 -M microvm,accel=kvm -cpu host -m 256 -nodefaults -no-user-config \
		-no-reboot -display none -serial stdio -kernel $kernel -initrd $initrd -append "$append -- reset"
	channel serial 32 $kernel # its driver of vsock is a module, which is not there
	channel vsock 32768 /k/lean/vmlinuz
	run=$((run + 1))
done
