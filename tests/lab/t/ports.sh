# lab: host=lean kernels=lean limit=500 root=yes
# More root ports than slots: 40 of them as functions of few slots, drives behind some; and functions of one card.
. /lab/lib.sh

take $nvme $nvme2

# --vfio devices come first, so the drives are behind the first two ports, which share slot 1; then comes the virtio
# device, in slot 2, then all other ports.
# shellcheck disable=SC2086 # a list of options
guest lean pci,dma,complaints $across --vfio $nvme --vfio $nvme2 --spare-ports 38 --rng
same "40 ports: powers off" 0 "$status"
same "40 ports: the guest has them all" 40 "$(said pci | grep -c 'id=0x1b36:0x000c')"
same "40 ports: eight to a slot" 8 "$(said pci | grep -c '^0000:00:06\.[0-7] id=0x1b36:0x000c')"
same "40 ports: and no more slots" 0 "$(said pci | grep -c '^0000:00:0[7-9]\.. id=0x1b36:0x000c')"
same "40 ports: the drives are behind the first two" 2 "$(said pci | grep -c '^0000:0[12]:00.0 id=0x1b36:0x0010')"
same "40 ports: the virtio device has a slot of its own" 1 "$(said pci | grep -c '^0000:00:02.0 id=0x1af4')"
same "40 ports: on one node without --numa" "" "$(said node | grep -v -e ' -1$' -e ' 0$')"
check_dma "40 ports, first drive" nvme0n1
check_dma "40 ports, second drive" nvme1n1
check_irq "40 ports: MSI-X" "PCI-MSIX.*nvme"
check_complaints "40 ports"

append=pci=nomsi
# shellcheck disable=SC2086
guest lean pci,dma $across --vfio $nvme --vfio $nvme2 --spare-ports 38
append=
check_dma "40 ports, INTx: first drive" nvme0n1
check_dma "40 ports, INTx: second drive" nvme1n1
check_irq "40 ports, INTx: delivers" "IO-APIC.*nvme"

# The port that is function 1 of its slot is emptied alone.
# shellcheck disable=SC2086
interactive lean pci,ask,ask,ask $across --vfio $nvme --vfio $nvme2 --spare-ports 38
give $nvme2
await "the guest released the device"
tell pci
tell dma
tell poweroff
ended $straddle
same "40 ports: the guest released a device" 1 "$(grep -c 'released the device; the host can have it' "$log")"
same "40 ports: the other drive stays and works" 0 "$(said nvme0n1 | grep -vc 'bad=0$')"
take $nvme2
give $nvme $nvme2
