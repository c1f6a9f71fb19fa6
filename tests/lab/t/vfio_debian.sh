# lab: host=debian kernels=cloud limit=300 root=yes
# Debian's own kernel as host and as guest: type1, and no way to add MSI-X vectors later.
. /lab/lib.sh

take $nvme
# shellcheck disable=SC2086 # a list of options
guest cloud pci,dma $across --vfio $nvme
same "powers off" 0 "$status"
check_dma "type1"
check_irq "MSI-X" "PCI-MSI.*nvme"
give $nvme
