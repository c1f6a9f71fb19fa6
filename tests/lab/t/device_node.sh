# lab: host=lean kernels=lean limit=300 root=yes
# A device of a NUMA node: a host bridge of its own, whose node the kernel gives to all that is behind it.
. /lab/lib.sh

take $nvme $nvme2
nodes="$across --numa 512M --numa 512M --cpus 2 --vfio $nvme,node=1"

# shellcheck disable=SC2086 # a list of options
guest lean pci,dma,complaints,nodes $nodes --vfio $nvme2 --rng
same "powers off" 0 "$status"
planned pci.devices >/tmp/devices
same "the plan has the drive at node 1" 1 "$(grep -c "name=$nvme .*node=1" /tmp/devices)"
same "the drive is on node 1" 1 "$(said node | grep -c '^0000:03:00.0 1$')"
same "so is its port" 1 "$(said node | grep -c '^0000:02:01.0 1$')"
same "the other drive is on node 0" 1 "$(said node | grep -c '^0000:01:00.0 0$')"
same "and so are its port and the virtio device" 2 "$(said node | grep -c '^0000:00:0[12].0 0$')"
check_dma "first drive" nvme0n1
check_dma "second drive" nvme1n1
check_complaints "two host bridges"
# The guest's kernel left the BARs where the plan put them.
# shellcheck disable=SC2086
straddle plan $nodes --vfio $nvme2 --rng |
	sed -n '/^'$nvme'/,/^$/s/^ *0x\([0-9a-f]*\)  *0x\([0-9a-f]*\) .* BAR .*/\1 \2/p' |
	while read -r start end; do
		echo "start=$((0x$start)) end=$((0x$end))"
	done >/tmp/want
said bar | sed -n 's/^0000:03:00.0 [0-9]* //p' >/tmp/got
same_lines "BARs are where they were planned" /tmp/want /tmp/got

append=pci=nomsi
# shellcheck disable=SC2086
guest lean pci,dma $nodes
append=
check_dma "INTx through the second host bridge"
check_irq "INTx through the second host bridge: delivers" "IO-APIC.*nvme"
give $nvme $nvme2
