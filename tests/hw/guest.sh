#!/bin/sh
# guest.sh DEVICES DMAREAD: in a guest of tests/hw/run, as root: waits for as many passed-through devices, and prints what
# it sees of them, lines of a key and a value. Reads from drives, and writes to nothing.
devices=$1 dmaread=$2

# Functions behind root ports are the passed-through ones.
passed()
{
	for dev in /sys/bus/pci/devices/*; do
		case $(readlink -f "$dev") in */pci*/*:*/*:*) [ "$(cut -c 3-6 "$dev/class")" = 0604 ] || echo "${dev##*/}" ;; esac
	done
}

tries=6000
until [ "$(passed | wc -l)" -ge "$devices" ] || [ $((tries -= 1)) = 0 ]; do sleep 0.1; done
echo "devices_s $(cut -d ' ' -f 1 /proc/uptime)"
for dev in $(passed); do
	modprobe -q "$(cat "/sys/bus/pci/devices/$dev/modalias")" 2>/dev/null
done
tries=50
until ls /dev/nvme*n1 >/dev/null 2>&1 || [ $((tries -= 1)) = 0 ]; do sleep 0.1; done
for dev in $(passed); do
	driver=none
	[ ! -e "/sys/bus/pci/devices/$dev/driver" ] || driver=$(basename "$(readlink "/sys/bus/pci/devices/$dev/driver")")
	echo "device $(cat "/sys/bus/pci/devices/$dev/vendor"):$(cat "/sys/bus/pci/devices/$dev/device")" \
		"driver $driver node $(cat "/sys/bus/pci/devices/$dev/numa_node")"
done
awk '/System RAM/ { print "ram", $1 }' /proc/iomem
last=$(($(grep -c '^processor' /proc/cpuinfo) - 1))
interrupts() { awk -v column=$((last + 2)) '/nvme/ { n += $column } END { print n + 0 }' /proc/interrupts; }
there="taskset -c $last"
$there true 2>/dev/null || there="taskset $(printf '%x' $((1 << (last % 62))))" # busybox
bad=0
for disk in /dev/nvme*n1; do
	[ -b "$disk" ] || continue
	"$dmaread" "$disk" || bad=1
	before=$(interrupts)
	$there dd if="$disk" of=/dev/null bs=4k count=200 iflag=direct 2>/dev/null
	echo "interrupts_of_last_cpu $(($(interrupts) - before)) of CPU $last"
done
exit $bad
