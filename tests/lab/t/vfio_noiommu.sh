# lab: host=noiommu kernels=lean limit=120 root=yes
# A host whose IOMMU is off: a device is refused, unless the user accepts by name what that means. The guest of
# the last test reads the device's registers but has no driver for it, because the device would do a driver's DMA
# in the host's memory.
. /lab/lib.sh

straddle bind $nvme >"$log" 2>&1
guest lean poweroff --vfio $nvme
same "refused: status" 1 "$status"
same "refused: says what it gives up, and how" 1 \
	"$(grep -c "read and write all of the host's memory.*noiommu=on" "$log")"
straddle check --vfio $nvme >"$log" 2>&1
same "check: the IOMMU" 1 "$(grep -c "^iommu *none" "$log")"
same "check: the device" 1 "$(grep -c "^device .* no: the device's group has no IOMMU" "$log")"
append=initcall_blacklist=nvme_init
guest lean pci --vfio $nvme,noiommu=on
same "noiommu=on: powers off" 0 "$status"
same "noiommu=on: the guest finds the device" 1 "$(said pci | grep -c 'id=0x1b36:0x0010')"
