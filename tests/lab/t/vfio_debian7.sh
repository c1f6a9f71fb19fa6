# lab: host=debian7 kernels=lean,cloud7 limit=400 root=yes
# The kernel of Debian 13's backports as host, which has no iommufd, and as guest.
. /lab/lib.sh

take $nvme $nic
# shellcheck disable=SC2086 # a list of options
guest lean pci,dma,net $across --vfio $nvme --vfio $nic
same "type1: powers off" 0 "$status"
check_dma "type1"
check_irq "type1: MSI-X" "PCI-MSI.*nvme"
same "type1: what the network echoes is what was sent" "eth0 same" "$(said net)"
# shellcheck disable=SC2086
guest cloud7 pci,dma $across --vfio $nvme
same "its own kernel as guest: powers off" 0 "$status"
check_dma "its own kernel as guest"
give $nvme $nic
