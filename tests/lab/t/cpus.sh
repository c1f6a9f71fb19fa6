# lab: host=lean kernels=lean,cloud limit=900 root=yes with=tiny,virtio
# CPUs with APIC ids of more than eight bits: as many as asked for come up, and interrupts reach the last of
# them, of KVM's message routes as of the I/O APIC, which is straddle's own then.
. /lab/lib.sh

straddle run --kernel /tiny/wide.elf --memory 16M --cpus 300 --append 300 --debug-exit 0xf4 </dev/null >"$log" 2>&1
same "300 CPUs come up, and the serial line interrupts the last one" 1 $?

guest lean facts --memory 256M --cpus 6,dies=3
same "dies: all CPUs come up" 6 "$(said cpus)"
check_complaints "dies"

# Numbers of cores and threads that leave gaps, so that few CPUs have ids that far apart.
cpus="--cpus 125,sockets=5,cores=5,threads=5"
mkdir -p /tmp/images
mount -t tmpfs none /tmp/images
truncate -s 4M /tmp/images/disk
take $nvme
append=maxcpus=1
# shellcheck disable=SC2086 # lists of options
guest cloud last,complaints $across $cpus --vfio $nvme --disk /tmp/images/disk --initrd /lab/virtio.cpio
same "messages: powers off" 0 "$status"
same "messages: the last CPU comes up" "124 292" "$(said last)"
for device in nvme disk serial; do
	at_least "messages: interrupts of $device reach it" 1 "$(said on_last | sed -n "s/^$device //p")"
done
check_complaints "messages"

append="maxcpus=1 pci=nomsi"
# shellcheck disable=SC2086
guest cloud last $across $cpus --vfio $nvme
same "INTx: powers off" 0 "$status"
for device in nvme serial; do
	at_least "INTx: interrupts of $device reach the last CPU" 1 "$(said on_last | sed -n "s/^$device //p")"
done
append=
give $nvme
umount /tmp/images
