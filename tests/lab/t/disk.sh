# lab: host=lean kernels=lean limit=600 root=yes
# Virtio disks and random numbers: rings and buffers on both sides of the hole, both kinds of rings,
# data, discard, read-only, serial numbers, queues, a guest reset.
. /lab/lib.sh

mkdir -p /tmp/images
mount -t tmpfs none /tmp/images
image=/tmp/images/disk
text_image $image

for way in "ring=packed" "ring=split" "ring=packed,direct=on" "ring=split,queues=1"; do
	# shellcheck disable=SC2086 # a list of options
	guest lean pci,disks,dma,complaints $across --cpus 2 --disk $image,$way,serial=LAB-1
	same "$way: powers off" 0 "$status"
	queues=${way#*queues=}
	[ "$queues" != "$way" ] || queues=2 # as many as CPUs
	same "$way: size, serial number, queues" \
		"vda sectors=65536 ro=0 serial=LAB-1 queues=$queues discard=0" "$(said disk)"
	same "$way: reads what is there" "vda straddle lab disk, sector 000000" \
		"$(said first | sed 's/ *$//')"
	check_dma "$way" vda
	check_irq "$way: MSI-X" "PCI-MSIX.*virtio.*-req"
	check_complaints "$way"
done

# Discarded space is freed on the host; space that the guest has zeroed reads as zeroes.
before=$(stat -c %b $image)
guest lean disks,discard --disk $image,discard=on
at_least "discard: the guest may" 1 "$(said disk | sed 's/.*discard=//')"
same "discard, zeroes: done" "yes yes" "$(said discarded) $(said zeroed)"
at_least "discard: a MiB is the host's again" 2000 "$((before - $(stat -c %b $image)))"
same "zeroes" 0 "$(said zeroes)"
same "what was not discarded is there" "straddle lab disk, sector 000000" \
	"$(head -c 32 $image)"

# The guest resets itself between requests to its disk.
# shellcheck disable=SC2086
guest lean again $across --cpus 2 --disk $image,queues=2
same "reset: powers off" 0 "$status"
same "reset: what was written before it is there" yes "$(said again)"
check_dma "reset" vda

# Read-only: the driver sees it, and a write fails.
sum=$(sha256sum <$image)
guest lean disks,denied --disk $image,readonly=on --disk path=$image,readonly=on
same "readonly: two of them" 2 "$(said disk | grep -c 'ro=1')"
same "readonly: a write is refused" yes "$(said denied)"
same "readonly: nothing has changed" "$sum" "$(sha256sum <$image)"

# small: an image on a file system of 2 MiB.
small()
{
	mkdir -p /tmp/small
	mount -t tmpfs -o size=2M none /tmp/small
	truncate -s 16M /tmp/small/disk
}

# A host without room: the guest's write waits until there is room.
small
beside lean full --disk /tmp/small/disk
await "no room for /tmp/small/disk"
mount -o remount,size=32M /tmp/small
ended $straddle
same "no room on the host: the guest's writes wait for it" no "$(said full)"
same "no room on the host: powers off" 0 "$status"
same "no room on the host: it is said once, and that there is some" "1 1" \
	"$(grep -c 'no room for' $log) $(grep -c 'there is room for' $log)"
umount /tmp/small
# Or the write fails at once. Or the guest is ended, or it resets the disk, while a write waits.
small
guest lean full --disk /tmp/small/disk,on-full=error
same "no room on the host, on-full=error: the guest's writes fail" yes "$(said full)"
same "no room on the host, on-full=error: powers off" 0 "$status"
beside lean full --disk /tmp/small/disk
await "no room for /tmp/small/disk"
kill -TERM $straddle # the power button: its guest does not hear it
sleep 1
kill -TERM $straddle
ended $straddle
same "no room on the host: SIGTERM ends it" 143 "$status"
beside lean full_reset --disk /tmp/small/disk --no-reboot
ended $straddle
same "no room on the host: a reset ends it" 5 "$status"
umount /tmp/small

# A block device: refused while it is mounted; discarded blocks vanish from the file behind it.
truncate -s 32M /tmp/images/below
loop=$(losetup -f)
losetup "$loop" /tmp/images/below
mke2fs "$loop" >/dev/null 2>&1
mkdir -p /tmp/mounted
mount -t ext4 "$loop" /tmp/mounted
guest lean disks --disk "$loop"
same "a mounted device: refused" "1 1" "$status $(grep -c 'it is mounted' $log)"
guest lean disks --disk "$loop,readonly=on"
same "a mounted device, readonly=on: powers off" 0 "$status"
# Storage that does not answer: straddle names it and ends. (A process in a write to a frozen file system cannot
# be killed, so the kernel keeps it until the file system is thawed.)
truncate -s 16M /tmp/mounted/disk
beside lean durable --disk /tmp/mounted/disk
await "lab: flushed [0-9a-f]\{64\}" # the whole line: it comes in pieces
fsfreeze --freeze /tmp/mounted
sleep 2
kill -TERM $straddle
sleep 1
kill -TERM $straddle
await "have not ended for 10 s.*--disk /tmp/mounted/disk"
same "frozen storage: the end does not wait for it" 1 "$(grep -c 'have not ended for 10 s' $log)"
fsfreeze --unfreeze /tmp/mounted
ended $straddle
same "frozen storage: the signal's status" 143 "$status"
umount /tmp/mounted
dd if=$image of="$loop" bs=1M conv=fsync 2>/dev/null
before=$(stat -c %b /tmp/images/below)
guest lean disks,discard --disk "$loop,discard=on"
same "a device: discard, zeroes: done" "yes yes 0" "$(said discarded) $(said zeroed) $(said zeroes)"
at_least "a device: a MiB is gone below" 2000 "$((before - $(stat -c %b /tmp/images/below)))"
losetup -d "$loop"
rm /tmp/images/below

# A failing drive: the guest gets its errors, for the affected sectors only.
worn=/dev/$(ls "/sys/bus/pci/devices/$nvme2/nvme/"nvme*/ | grep -o 'nvme[0-9]*n1')
for way in direct=off direct=on; do
	guest lean worn --disk "$worn,$way"
	same "a failing drive, $way: what it cannot read or write, and all else" \
		"119992 read=0 write=0; 120000 read=1 write=0; 120008 read=0 write=1;" "$(said sector | xargs)"
	same "a failing drive, $way: powers off" 0 "$status"
done

# Flushed data survive the end of this process.
beside lean durable --disk $image,queues=2 --cpus 2
await "lab: flushed [0-9a-f]\{64\}" # the whole line: it comes in pieces
kill -KILL $straddle
ended $straddle
same "killed: what was flushed is there" "$(said flushed)" \
	"$(head -c 4194304 $image | sha256sum | cut -c1-64)"
at_least "killed: it was" 64 "$(said flushed | wc -c)"

guest lean rng,pci --rng
same "rng: the kernel has it" virtio_rng.0 "$(said rng | cut -d ' ' -f 1)"
same "rng: as much as was asked for" 4096 "$(said rng | cut -d ' ' -f 2)"
first=$(said rng | cut -d ' ' -f 3)
guest lean rng --rng
same "rng: other numbers each time" no "$([ "$first" = "$(said rng | cut -d ' ' -f 3)" ] && echo yes || echo no)"
umount /tmp/images
