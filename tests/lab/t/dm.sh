# lab: host=debian kernels=lean limit=1000 root=yes with=dm
# Disks on device-mapper targets, as LVM and disk encryption make them, with Debian 12's kernel as the host:
# striped, thin and encrypted volumes. On this kernel io_uring answers EAGAIN to each request of them, for ever.
. /lab/lib.sh
export PATH=/bin:/usr/bin DM_DISABLE_UDEV=1

# The second drive, because other tests of this host need the first one unchanged. Its bad sectors lie behind all
# volumes.
drive=/dev/$(ls "/sys/bus/pci/devices/$nvme2/nvme/"nvme*/ | grep -o 'nvme[0-9]*n1')
size=65536 # sectors

make_striped() { dmsetup create striped --table "0 $size striped 2 16 $drive 0 $drive $((size / 2))"; }
make_thin()
{
	dmsetup create meta --table "0 8192 linear $drive 0"
	dmsetup create data --table "0 98304 linear $drive 8192"
	dd if=/dev/zero of=/dev/mapper/meta bs=4k count=1 2>/dev/null
	dmsetup create pool --table "0 98304 thin-pool /dev/mapper/meta /dev/mapper/data 128 0"
	dmsetup message pool 0 "create_thin 0"
	dmsetup create thin --table "0 $size thin /dev/mapper/pool 0"
}
make_crypt()
{
	key=$(head -c 64 /dev/urandom | hexdump -v -e '1/1 "%02x"')
	dmsetup create crypt --table "0 $size crypt aes-xts-plain64 $key 0 $drive 0 1 allow_discards"
}

limit=200
text_image /tmp/text
for target in striped thin crypt; do
	make_$target
	dd if=/tmp/text of=/dev/mapper/$target bs=1M conv=fsync 2>/dev/null
	for way in direct=off direct=on; do
		# shellcheck disable=SC2086 # a list of options
		guest lean dma,disks,complaints $across --disk /dev/mapper/$target,$way
		same "$target, $way: powers off" 0 "$status"
		same "$target, $way: size" sectors=$size "$(said disk | cut -d ' ' -f 2)"
		check_dma "$target, $way" vda
		check_complaints "$target, $way"
	done
	# The number of sectors that the pool has allocated.
	before=$(dmsetup status $target | cut -d ' ' -f 4)
	guest lean disks,discard --disk /dev/mapper/$target,discard=on
	same "$target: discard, zeroes: done" "yes yes 0" "$(said discarded) $(said zeroed) $(said zeroes)"
	[ $target != thin ] || at_least "thin: a discarded MiB is the pool's again" 2048 \
		$((before - $(dmsetup status thin | cut -d ' ' -f 4)))
	dmsetup remove $target
	[ $target != thin ] || for part in pool data meta; do
		dmsetup remove $part
	done
done
