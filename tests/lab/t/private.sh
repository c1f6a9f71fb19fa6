# lab: host=lean kernels=lean limit=600 root=yes
# Private disks: several guests write to one image at once, each reads its own writes, also after its reset, and of none
# of them anything is left; a host without room; a block device.
. /lab/lib.sh

mkdir -p /tmp/images /tmp/scratch
mount -t tmpfs none /tmp/images
mount -t tmpfs none /tmp/scratch
export TMPDIR=/tmp/scratch
image=/tmp/images/golden
text_image $image
chmod a-w $image
sum=$(sha256sum <$image)

# unchanged NAME: the image is as it was, and there is no temporary file, nor its space.
used() { df -k $TMPDIR | awk 'END { print $3 }'; }
unchanged()
{
	tries=25 # the kernel may close a ring's files a moment after the process's end
	until [ "$(used)" = 0 ] || [ "$((tries -= 1))" = 0 ]; do
		sleep 0.2
	done
	same "$1: the image has not changed" "$sum" "$(sha256sum <$image)"
	same "$1: no file, and no space, is left of it" " 0" "$(ls -A $TMPDIR) $(used)"
}

# Data on both sides of the hole, and a guest reset.
for way in direct=off direct=on ring=split; do
	# shellcheck disable=SC2086 # a list of options
	guest lean again $across --cpus 2 --disk $image,private=on,queues=2,$way
	same "$way: powers off" 0 "$status"
	same "$way: what was written before a guest reset is there" yes "$(said again)"
	check_dma "$way" vda
	unchanged "$way"
done

# Sectors, of which a cluster has eight.
guest lean sectors,disks,complaints --disk $image,private=on,discard=on
same "sectors: those that were written, and their neighbours" "private 1, image 2, private 3, image 4" \
	"$(said sectors)"
at_least "sectors: the guest may discard" 1 "$(said disk | sed 's/.*discard=//')"
check_complaints "sectors"
guest lean discard --disk $image,private=on,discard=on
same "discard, zeroes: done, and zeroes are read" "yes yes 0" "$(said discarded) $(said zeroed) $(said zeroes)"
unchanged "discard"

# Two guests at once; the first is killed while it writes.
beside lean durable --disk $image,private=on,queues=2 --cpus 2
await "lab: flushed [0-9a-f]\{64\}" # the whole line: it comes in pieces
first=$straddle
at_least "two at once: the first one's writes take space" 4096 "$(used)"
same "two at once: its file has no name" "" "$(ls -A $TMPDIR)"
log=/tmp/second.log
guest lean disks --disk $image,private=on --disk $image,readonly=on --disk path=$image,private=on
same "two at once: the second one powers off" 0 "$status"
same "two at once: it reads the image, in each of three disks" 3 "$(said first | grep -c 'disk, sector 000000')"
straddle run --kernel "$K/lean/vmlinuz" --disk $image >/tmp/out 2>&1
same "a writer beside them: status, and the way out" "1 1" "$? $(grep -c 'private=on in both' /tmp/out)"
log=/tmp/guest.log
same "two at once: the first one runs" yes "$(kill -0 "$first" && echo yes)"
kill -KILL "$first"
ended "$first"
unchanged "killed"

# A host without room for the temporary file.
umount /tmp/scratch
mount -t tmpfs -o size=2M none /tmp/scratch
guest lean full --disk $image,private=on,on-full=error
same "no room, on-full=error: the guest's writes fail" yes "$(said full)"
same "no room, on-full=error: powers off" 0 "$status"
beside lean full --disk $image,private=on
await "no room for $image in $TMPDIR"
mount -o remount,size=32M /tmp/scratch
ended $straddle
same "no room: the guest's writes wait for it" no "$(said full)"
unchanged "no room"

# A block device is only read, and keeps what the guest discards.
loop=$(losetup -f)
cp $image /tmp/images/below
chmod u+w /tmp/images/below
losetup "$loop" /tmp/images/below
blocks=$(stat -c %b /tmp/images/below)
guest lean discard,sectors --disk "$loop,private=on,discard=on"
same "a device: discard, zeroes: done" "yes yes 0" "$(said discarded) $(said zeroed) $(said zeroes)"
same "a device: sectors" "private 1, image 2, private 3, image 4" "$(said sectors)"
same "a device: has not changed" "$blocks $sum" "$(stat -c %b /tmp/images/below) $(sha256sum <"$loop")"
losetup -d "$loop"
umount /tmp/images /tmp/scratch
