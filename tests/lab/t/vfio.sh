# lab: host=lean kernels=lean limit=800 root=yes
# Devices passed through to guests with RAM on both sides of the hole: NVMe drives with either layout
# of the MSI-X table, a network adapter, both; through both backends; each kind of interrupt.
. /lab/lib.sh

take $nvme $nvme2 $nic $old_nic $ahci
for backend in type1 iommufd; do
	# shellcheck disable=SC2086 # a list of options
	guest lean pci,dma,complaints $across --vfio $nvme --vfio-backend $backend
	same "$backend: powers off" 0 "$status"
	check_dma "$backend"
	check_irq "$backend: MSI-X" "PCI-MSIX.*nvme"
	check_complaints "$backend"
	# The guest's kernel left the BARs where the plan put them.
	straddle plan --vfio $nvme $across | sed -n 's/^ *0x\([0-9a-f]*\)  *0x\([0-9a-f]*\) .* BAR .*/\1 \2/p' |
		while read -r start end; do
			echo "start=$((0x$start)) end=$((0x$end))"
		done >/tmp/want
	said bar | sed -n 's/^0000:01:00.0 [0-9]* //p' >/tmp/got
	same_lines "$backend: BARs are where they were planned" /tmp/want /tmp/got
done

# shellcheck disable=SC2086
guest lean pci,dma $across --vfio $nvme2
same "table in BAR 0: powers off" 0 "$status"
check_dma "table in BAR 0"
check_irq "table in BAR 0: MSI-X" "PCI-MSIX.*nvme"

append=pci=nomsi
# shellcheck disable=SC2086
guest lean pci,dma $across --vfio $nvme
check_dma "INTx"
check_irq "INTx: delivers" "IO-APIC.*nvme"
append=

# shellcheck disable=SC2086
guest lean pci,dma $across --vfio $nvme,port=off
check_dma "port=off"
same "port=off: on bus 0" 1 "$(said pci | grep -c '^0000:00:01.0 id=0x1b36:0x0010')"

# shellcheck disable=SC2086
guest lean net,dma,pci $across --vfio $nic --vfio $nvme --vfio $nvme2
same "three devices: powers off" 0 "$status"
check_dma "three devices, first disk" nvme0n1
check_dma "three devices, second disk" nvme1n1
same "three devices: what the network echoes is what was sent" "eth0 same" "$(said net)"
check_irq "three devices: MSI-X of the adapter" "PCI-MSIX.*eth0"

# A guest that moves a BAR: told to align it to 16 MiB, Linux finds the port's window too small, and
# makes another.
append="pci=realloc,resource_alignment=24@0000:01:00.0"
# shellcheck disable=SC2086
guest lean pci,dma $across --vfio $nvme
append=
said bar | sed -n 's/^0000:01:00.0 [0-9]* //p' >/tmp/got
at_least "BARs moved by the guest: there are some" 1 "$(wc -l </tmp/got)"
same "BARs moved by the guest: none is where it was planned" 0 "$(grep -cxFf /tmp/want /tmp/got)"
check_dma "BARs moved by the guest"
check_irq "BARs moved by the guest: MSI-X" "PCI-MSIX.*nvme"

# Devices that have one kind of interrupt only.
# shellcheck disable=SC2086
guest lean net,dma,pci $across --vfio $old_nic --vfio $ahci
same "INTx and MSI devices: powers off" 0 "$status"
same "INTx device: what the network echoes is what was sent" "eth0 same" "$(said net)"
check_irq "INTx device: delivers" "IO-APIC.*eth0"
check_dma "MSI device" sda
check_irq "MSI device: delivers" "PCI-MSI-.*ahci"
give $nvme $nvme2 $nic $old_nic $ahci
