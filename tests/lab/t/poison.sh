# lab: host=debian7 kernels=lean,full limit=500 root=yes with=poison
# Memory that is not there: a file that was cut short, huge pages that a control group withholds, and a
# page that the host's hardware cannot read any more.
. /lab/lib.sh

# says NAME TEXT: checks that straddle ended with status 1 and this sentence.
says()
{
	same "$1: status" 1 "$status"
	same "$1: what it says" 1 "$(grep -c "straddle: .*$2" "$log")"
}

dd if=/dev/zero of=/tmp/image bs=1M count=4 2>/dev/null
interactive lean ask,ask --memory 256M --pmem /tmp/image
printf x | dd of=/tmp/image conv=notrunc 2>/dev/null
tell pmem
same "a file that another wrote to: the guest goes on" 2 "$(grep -c asking "$log")"
truncate -s 2M /tmp/image
ended $straddle
says "a file cut short" "--pmem /tmp/image was cut short to 2097152 bytes"
rm /tmp/image

mkdir -p /cg
mount -t cgroup2 cgroup /cg
echo +hugetlb >/cg/cgroup.subtree_control
mkdir /cg/small
echo 64M >/cg/small/hugetlb.2MB.rsvd.max
printf 'echo $$ >/cg/small/cgroup.procs\nexec "$@"\n' >/tmp/enter
was=$(cat /proc/sys/vm/nr_hugepages)
echo 160 >/proc/sys/vm/nr_hugepages
jail="sh /tmp/enter"
guest lean poweroff --memory 256M --page-size 2M
jail=
says "a limit of huge pages" "needs 128 free huge pages of 2 MiB.*hugetlb.2MB.rsvd.max"
guest lean poweroff --memory 256M --page-size 2M
same "huge pages without a limit" 0 "$status"
echo "$was" >/proc/sys/vm/nr_hugepages
rmdir /cg/small
umount /cg

# frame PID ADDRESS: prints the frame number of a page of guest RAM, from pagemap. Guest RAM is the mapping that
# has its size.
frame()
{
	while IFS='- ' read -r start end _; do
		[ $((0x$end - 0x$start)) = 536870912 ] && base=$((0x$start))
	done <"/proc/$1/maps"
	# shellcheck disable=SC2046 # two words
	set -- $(dd if="/proc/$1/pagemap" bs=8 count=1 skip=$(((base + $2) / 4096)) 2>/dev/null | od -An -tu4)
	echo $(($1 | ($2 & 0x7fffff) << 32))
}

attended full victim,facts --memory 512M
await "lab: victim"
frame "$(pidof straddle)" "$(sed -n 's/\r//g; s/.*lab: victim //p' "$log")" >/sys/kernel/debug/hwpoison/corrupt-pfn
echo >&4
ended $straddle
same "a bad page: the guest is told" 1 "$(grep -c "hardware cannot correct.*machine check" "$log")"
same "a bad page: ends the process that used it" 135 "$(sed -n "s/^victim's end //p" "$facts")"
same "a bad page: the guest goes on" "0 1" "$status $(said cpus)"
