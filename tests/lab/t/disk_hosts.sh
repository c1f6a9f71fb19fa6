# lab: host=lean kernels=lean limit=300 root=yes with=losetup
# Disks on other hosts: drives with sectors of 4096 bytes; no io_uring, as in many containers.
. /lab/lib.sh

text_image /tmp/below
loop=$(/usr/bin/losetup --find --show --sector-size 4096 /tmp/below)
# check_disk NAME OPTION...: one boot.
check_disk()
{
	name=$1
	shift
	# shellcheck disable=SC2086 # a list of options
	guest lean disks,dma,complaints $across --cpus 2 --disk "$@"
	same "$name: powers off" 0 "$status"
	check_dma "$name" vda
	check_complaints "$name"
}
for way in direct=off direct=on; do
	check_disk "4096, $way" "$loop,$way"
	same "4096, $way: the guest is told" "vda logical=4096" "$(said block)"
	same "4096, $way: size" sectors=65536 "$(said disk | cut -d ' ' -f 2)"
done
losetup -d "$loop"

# io_uring is forbidden to all users, also root.
echo 2 >/proc/sys/kernel/io_uring_disabled
for way in direct=off direct=on; do
	check_disk "no io_uring, $way" "/tmp/below,$way"
	same "no io_uring, $way: is said once" 1 "$(grep -c io_uring "$log")"
done
echo 0 >/proc/sys/kernel/io_uring_disabled
