# lab: host=lean kernels=lean limit=800 root=yes
# The life of a passed-through device: guest reset, a device that the guest removes and finds again, a host that
# wants it back, many starts, and what is refused. The kernel must have no pins or mappings left.
. /lab/lib.sh

pins=$(pinned)
take $nvme $nvme2

# shellcheck disable=SC2086 # a list of options
interactive lean dma,ask $across --vfio $nvme
tell reboot # the guest starts with dma,ask again
tell poweroff
ended $straddle
same "guest reset: powers off" 0 "$status"
same "guest reset: the guest boots again" 2 "$(said asking | wc -l)"
same "guest reset: data is right before and after" 0 "$(said nvme0n1 | grep -vc 'bad=0$')"
at_least "guest reset: data of both boots" 12 "$(said nvme0n1 | wc -l)"

# Removed and found again inside the guest.
# shellcheck disable=SC2086
guest lean rescan,dma $across --vfio $nvme
check_dma "removed and rescanned by the guest"

# The host wants the device back while the guest runs.
for backend in type1 iommufd; do
	name="$backend: unbind while in use"
	# shellcheck disable=SC2086
	interactive lean pci,ask,ask,ask $across --vfio $nvme --vfio $nvme2 --vfio-backend $backend
	same "$name: two drives at first" 2 "$(grep -c 'pci 0000:0[12]:00.0' "$log")"
	give $nvme
	await "the guest released the device"
	tell pci
	tell dma
	tell poweroff
	ended $straddle
	same "$name: the guest released the device" 1 "$(grep -c 'released the device; the host can have it' "$log")"
	same "$name: the other one stays" 3 "$(said pci | grep -c 'id=0x1b36:0x0010')"
	same "$name: and works" 0 "$(said nvme1n1 | grep -vc 'bad=0$')"
	same "$name: powers off" 0 "$status"
	same "$name: the host's driver has the drive" nvme \
		"$(basename "$(readlink /sys/bus/pci/devices/$nvme/driver)")"
	take $nvme
done

for i in 1 2 3 4 5; do
	for backend in type1 iommufd; do
		# shellcheck disable=SC2086
		guest lean poweroff $across --vfio $nvme --vfio $nvme2 --vfio-backend $backend
		[ "$status" = 0 ] || not_ok "start and stop $i, $backend" "status $status"
	done
done
same "ten starts and stops: no page stays pinned" "$pins" "$(pinned)"

# RAM over the hole is refused.
group=$(basename "$(readlink /sys/bus/pci/devices/$nvme/iommu_group)")
for backend in type1 iommufd; do
	# shellcheck disable=SC2086
	guest lean poweroff $across --iova-policy off --vfio $nvme --vfio-backend $backend
	same "$backend: RAM over the hole: status" 1 "$status"
	cp "$log" /tmp/sentence
	for word in 0xfd00000000 0x10000000000 "group $group)" "--iova-policy auto"; do
		same "$backend: RAM over the hole: the sentence has '$word'" 1 \
			"$(grep -c -e "$word" /tmp/sentence)"
	done
	same "$backend: RAM over the hole: it is one line" 1 "$(wc -l </tmp/sentence)"
	same "$backend: RAM over the hole: no page stays pinned" "$pins" "$(pinned)"
done

give $nvme $nvme2
same "given back: the host's driver has the drive" nvme \
	"$(basename "$(readlink /sys/bus/pci/devices/$nvme/driver)")"
guest lean poweroff --vfio $nvme
same "not bound to vfio-pci: status" 1 "$status"
same "not bound to vfio-pci: the sentence says how" 1 "$(grep -c "straddle bind $nvme" "$log")"
guest lean poweroff --vfio 0000:00:1e.7
same "no such device: status" 1 "$status"
same "no such device: the sentence" 1 "$(grep -c 'there is no such device' "$log")"
