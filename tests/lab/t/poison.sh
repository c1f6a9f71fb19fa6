# lab: host=lean kernels=lean limit=400 root=yes
# Memory that is not there: a file that was cut short, huge pages that a control group withholds, and a
# page that the host's hardware cannot read any more.
. /lab/lib.sh

# says NAME TEXT: straddle ended with its status for such things and a sentence.
says()
{
	same "$1: status" 1 "$status"
	same "$1: what it says" 1 "$(grep -c "straddle: .*$2" "$log")"
}

dd if=/dev/zero of=/tmp/image bs=1M count=4 2>/dev/null
interactive lean ask --memory 256M --pmem /tmp/image
truncate -s 2M /tmp/image
tell_only pmem
ended $straddle
says "a file cut short" "--pmem /tmp/image was cut short to 2097152 bytes"
rm /tmp/image

if grep -qw hugetlb /proc/cgroups; then
	mkdir -p /cg
	mount -t cgroup2 cgroup /cg
	echo +hugetlb >/cg/cgroup.subtree_control
	mkdir /cg/small
	echo 64M >/cg/small/hugetlb.2MB.max
	printf 'echo $$ >/cg/small/cgroup.procs\nexec "$@"\n' >/tmp/enter
	was=$(cat /proc/sys/vm/nr_hugepages)
	echo 160 >/proc/sys/vm/nr_hugepages
	jail="sh /tmp/enter"
	guest lean fill --memory 256M --page-size 2M
	jail=
	echo "$was" >/proc/sys/vm/nr_hugepages
	says "a limit of huge pages" "the host has no .*huge page"
	rmdir /cg/small
	umount /cg
else
	skip "a limit of huge pages" "this kernel has no such limit"
fi

inject=/sys/kernel/debug/hwpoison/corrupt-pfn
if [ ! -e $inject ]; then
	skip "a bad page" "this kernel cannot make one"
	exit 0
fi

# frame PID ADDRESS: the guest's RAM is the mapping of its size; its page's frame, from pagemap.
frame()
{
	while IFS='- ' read -r start end _; do
		[ $((0x$end - 0x$start)) = 536870912 ] && base=$((0x$start))
	done <"/proc/$1/maps"
	# shellcheck disable=SC2046 # two words
	set -- $(dd if="/proc/$1/pagemap" bs=8 count=1 skip=$(((base + $2) / 4096)) 2>/dev/null | od -An -tu4)
	echo $(($1 | ($2 & 0x7fffff) << 32))
}

attended lean victim,facts --memory 512M
await "lab: victim"
frame "$(pidof straddle)" "$(sed -n 's/\r//g; s/.*lab: victim //p' "$log")" >$inject
echo >&4
ended $straddle
same "a bad page: the guest is told" 1 "$(grep -c "hardware cannot correct.*machine check" "$log")"
same "a bad page: ends the process that used it" 135 "$(sed -n "s/^victim's end //p" "$facts")"
same "a bad page: the guest goes on" "0 1" "$status $(said cpus)"
