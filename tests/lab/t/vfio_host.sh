# lab: host=lean kernels=lean limit=180 root=yes
# straddle bind, unbind and check on a host with real devices.
. /lab/lib.sh

# in_use NAME WORD: binding is refused in one line that has the word; the driver stays.
in_use()
{
	straddle bind "$3" >/tmp/out 2>&1
	same "$1: status" 1 $?
	same "$1: says why" 1 "$(grep -c "$2" /tmp/out)"
	same "$1: one line" 1 "$(wc -l </tmp/out)"
	same "$1: its driver stays" "$4" "$(basename "$(readlink "/sys/bus/pci/devices/$3/driver")")"
}

eth=$(ls /sys/bus/pci/devices/$nic/net)
ifconfig "$eth" up
in_use "interface up" "$eth is up" $nic e1000e
ifconfig "$eth" down
mkdir -p /mnt
tries=100 # the driver may just have got it back
until [ -b /dev/sda ] || [ "$((tries -= 1))" = 0 ]; do
	usleep 100000
done
mke2fs /dev/sda >/dev/null 2>&1 # no later test looks at what this disk says
mount -t ext4 /dev/sda /mnt || mount -t ext2 /dev/sda /mnt
in_use "disk mounted" "sda is mounted" $ahci ahci
umount /mnt
# Mounted in another namespace, which only the kernel sees.
mkfifo /tmp/mounted
unshare -m sh -c '{ mount -t ext4 /dev/sda /mnt || mount -t ext2 /dev/sda /mnt; } && echo yes >/tmp/mounted && exec sleep 1000' &
holder=$!
read -r _ </tmp/mounted
same "disk mounted elsewhere: not seen from here" 0 "$(grep -c sda /proc/self/mountinfo)"
in_use "disk mounted elsewhere" "sda is claimed" $ahci ahci
kill $holder
wait $holder 2>/dev/null
exec 5</dev/sda
in_use "disk open in a program" "sh (process $$) has /dev/sda open" $ahci ahci
exec 5<&-

# The second device cannot be bound, so the first gets its driver back.
override=/sys/bus/pci/devices/$nic/driver_override
mount --bind /proc/version "$override"
straddle bind $nvme $nic >/tmp/out 2>&1
same "bind two, one fails: status" 1 $?
same "bind two, one fails: the first is bound" 1 "$(grep -c "^$nvme: nvme -> vfio-pci" /tmp/out)"
same "bind two, one fails: and back" 1 "$(grep -c "^$nvme: vfio-pci -> nvme" /tmp/out)"
umount "$override"
same "bind two, one fails: no override stays" "(null)" \
	"$(cat /sys/bus/pci/devices/$nvme/driver_override)"

# The host's own driver_override is restored.
echo nvme >/sys/bus/pci/devices/$nvme2/driver_override
straddle bind $nvme2 && straddle unbind $nvme2
same "driver_override of the host's own" nvme "$(cat /sys/bus/pci/devices/$nvme2/driver_override)"
echo >/sys/bus/pci/devices/$nvme2/driver_override

same "bind" "$nvme: nvme -> vfio-pci" "$(straddle bind ${nvme#0000:})"
same "bind again" "$nvme: vfio-pci -> vfio-pci" "$(straddle bind /sys/bus/pci/devices/$nvme)"
straddle check --vfio $nvme --memory 1G >"$log" 2>&1
same "check: the device is ready" 1 "$(grep -c "^guest *yes" "$log")"
same "check: the IOMMU" 1 "$(grep -c "^iommu *AMD-Vi" "$log")"
same "check: the bound device" 1 "$(grep -c "^bound *$nvme: IOMMU group [0-9]*, driver vfio-pci" "$log")"
same "check: what the group reserves" 1 \
	"$(grep -c "^forbid *0xfd00000000-0x10000000000 *IOMMU group" "$log")"
same "check: interrupts are remapped" 1 "$(grep -c "^irqs *remapped by the IOMMU" "$log")"
same "check: resets" 1 "$(grep -c "^device *$nvme: .*, resets: " "$log")"
straddle check --vfio $nvme --memory 8G >"$log" 2>&1
same "check: more RAM than there is: says so" 1 "$(grep -c "^ram *no: devices pin all 8192 MiB" "$log")"
guest lean poweroff --vfio $nvme --memory 8G
same "more RAM than there is: status" 1 "$status"
same "more RAM than there is: says so" 1 "$(grep -c "devices pin all 8192 MiB" "$log")"
straddle check --vfio $nvme --memory 1G --json | awk -f /lab/json.awk >/tmp/json
same "check --json: the device is ready" 1 "$(grep -c '^guest ok=true$' /tmp/json)"
same "check --json: the bound device" 1 "$(grep -c "^bound name=$nvme group=[0-9]* driver=vfio-pci" /tmp/json)"
straddle check --vfio $nvme2 >"$log" 2>&1
same "check: a device that is not bound: status" 1 $?
same "check: a device that is not bound: says how" 1 "$(grep -c "straddle bind $nvme2" "$log")"
straddle check --vfio $nvme --memory 300T >"$log" 2>&1
same "check: a guest that does not fit: status" 1 $?
same "check: a guest that does not fit: says why" 1 "$(grep -c "^guest *no: " "$log")"
same "unbind" "$nvme: vfio-pci -> nvme" "$(straddle unbind $nvme)"
straddle unbind $nvme >/tmp/out 2>&1
same "unbind of what is not bound" 1 $?
