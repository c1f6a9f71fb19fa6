# lab: host=lean kernels=lean limit=300
# An NVMe drive, through both backends, to a guest with RAM on both sides of the hole.
. /lab/lib.sh

across="--memory 1G --low-memory 512M --high-memory-start 0xFCF0000000"
echo vfio-pci >/sys/bus/pci/devices/$nvme/driver_override
echo $nvme >/sys/bus/pci/devices/$nvme/driver/unbind
echo $nvme >/sys/bus/pci/drivers_probe
ls -l /sys/bus/pci/devices/$nvme/driver /dev/vfio /dev/vfio/devices
straddle plan --vfio $nvme $across
for backend in type1 iommufd; do
	# shellcheck disable=SC2086
	guest lean pci,dma $across --vfio $nvme --vfio-backend $backend
	same "$backend: powers off" 0 "$status"
	cat $log
	check_dma "$backend"
done
