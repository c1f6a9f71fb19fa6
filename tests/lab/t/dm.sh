# lab: host=debian kernels=lean limit=500 root=yes with=dm
# Disks on device-mapper targets, as LVM and disk encryption make them, with Debian 12's kernel as the host:
# striped, thin and encrypted volumes. Its io_uring answers for ever that they would block.
. /lab/lib.sh
export PATH=/bin:/usr/bin DM_DISABLE_UDEV=1

drive=/dev/$(ls "/sys/bus/pci/devices/$nvme/nvme/"nvme*/ | grep -o 'nvme[0-9]*n1')
key=$(head -c 64 /dev/urandom | hexdump -v -e '1/1 "%02x"')
dmsetup create striped --table "0 16384 striped 2 16 $drive 0 $drive 16384"
dmsetup create meta --table "0 8192 linear $drive 32768"
dmsetup create data --table "0 32768 linear $drive 40960"
dd if=/dev/zero of=/dev/mapper/meta bs=4k count=1 2>/dev/null
dmsetup create pool --table "0 32768 thin-pool /dev/mapper/meta /dev/mapper/data 128 0"
dmsetup message pool 0 "create_thin 0"
dmsetup create thin --table "0 16384 thin /dev/mapper/pool 0"
dmsetup create crypt --table "0 16384 crypt aes-xts-plain64 $key 0 $drive 81920 1 allow_discards"

limit=120
for target in striped thin crypt; do
	for way in direct=off direct=on; do
		# shellcheck disable=SC2086 # a list of options
		guest lean dma,disks,complaints $across --disk /dev/mapper/$target,$way
		same "$target, $way: powers off" 0 "$status"
		same "$target, $way: size" sectors=16384 "$(said disk | cut -d ' ' -f 2)"
		check_dma "$target, $way" vda
		check_complaints "$target, $way"
	done
	dd if=/dev/urandom of=/dev/mapper/$target bs=1M count=4 conv=fsync 2>/dev/null
	# In use: sectors that the pool has given to it.
	before=$(dmsetup status $target | cut -d ' ' -f 4)
	guest lean disks,discard --disk /dev/mapper/$target,discard=on
	same "$target: discard, zeroes: done" "yes yes 0" "$(said discarded) $(said zeroed) $(said zeroes)"
	[ $target != thin ] || at_least "thin: a discarded MiB is the pool's again" 2048 \
		$((before - $(dmsetup status thin | cut -d ' ' -f 4)))
done
for target in crypt thin pool data meta striped; do
	dmsetup remove $target
done
