# lab: host=lean kernels=lean limit=400 root=yes
# Files as memory of the guest: above a hole, through a guest reset and the end of this process; private
# ones; as buffers of a disk; what is refused.
. /lab/lib.sh
mkdir -p /tmp/pmem
mount -t tmpfs -o size=300M none /tmp/pmem
truncate -s 64M /tmp/pmem/a
truncate -s 32M /tmp/pmem/b
truncate -s 16M /tmp/pmem/disk
start_of() { head -c 1048576 "$1" | sha256sum | cut -c1-16; }
empty=$(start_of /tmp/pmem/b)
files="--pmem /tmp/pmem/a --pmem file=/tmp/pmem/b,private=on"

# Data written and flushed are there after the guest's reset, and after the end of straddle.
# shellcheck disable=SC2086 # lists of options
interactive lean ask,ask,ask $across $files
tell pmem_write
tell_only reboot
await asking 3
tell pmem
kill -KILL $straddle
ended $straddle
sum=$(said written)
same "both are there, whole, after a guest reset" "pmem0 sectors=131072 sum=$sum pmem1 sectors=65536 sum=$sum" \
	"$(said pmem | xargs)"
same "killed: what was flushed is in the file" "$sum" "$(start_of /tmp/pmem/a)"
same "private: nothing is in the file" "$empty" "$(start_of /tmp/pmem/b)"
# shellcheck disable=SC2086
straddle plan $across $files --json | awk -f /lab/json.awk >"$plan"
planned regions | grep kind=pmem | while read -r start end _; do
	printf '%x-%x : namespace\n' "${start#*=}" $((${end#*=} - 1))
done >/tmp/want
said place | sed 's/namespace.*/namespace/' | grep namespace >/tmp/got
same_lines "they are where they were planned" /tmp/want /tmp/got

# Two machines cannot have the same file, but for private ones.
# shellcheck disable=SC2086
beside lean ask $files
await asking
straddle run --kernel "$K/lean/vmlinuz" --pmem /tmp/pmem/a >/tmp/out 2>&1
same "a file that another machine has: status" 1 $?
same "a file that another machine has: says so" 1 "$(grep -c 'use private=on in both' /tmp/out)"
kill -KILL $straddle
ended $straddle

# The memory of a file system without a page cache is a disk's buffer.
# shellcheck disable=SC2086
guest lean dax,complaints $across --pmem /tmp/pmem/a --disk /tmp/pmem/disk
same "dax: mounted" 1 "$(said mounted)"
same "dax: a disk reads from it and writes to it" same "$(said dax)"
same "dax: powers off" 0 "$status"
check_complaints "dax"

# A full file system of the host is reported at the start.
truncate -s 400M /tmp/pmem/large
straddle run --kernel "$K/lean/vmlinuz" --pmem /tmp/pmem/large >/tmp/out 2>&1
same "no room for all of it: status" 1 $?
same "no room for all of it: says so" 1 "$(grep -c 'no room for all its 400 MiB' /tmp/out)"
umount /tmp/pmem
