# lab: host=lean kernels=lean,debian limit=1200
# fio reads what fio wrote: after a reset of the guest, in the next machine, and after straddle was ended during
# writes. fio is on the Debian disk, which no guest here writes to.
. /lab/lib.sh
image=/tmp/fio
limit=500 # where the machine is busy, a verified block takes 10 ms
for way in ring=packed ring=split,direct=on,queues=1; do
	rm -f $image
	truncate -s 64M $image
	disks="--disk /dev/vda,readonly=on --disk $image,$way"
	# shellcheck disable=SC2086 # a list of options
	interactive lean ask,ask,ask $across --cpus 2 $disks
	tell fio_write
	tell fio_verify
	tell reboot
	tell fio_verify
	tell poweroff
	ended $straddle
	same "$way: fio wrote, reads it, and again after a reset" "wrote 0 verified 0 verified 0" \
		"$(said fio | xargs)"
	same "$way: powers off" 0 "$status"
	# shellcheck disable=SC2086
	guest lean fio_verify $disks
	same "$way: in the next machine" 0 "$(said "fio verified")"

	rm -f $image
	truncate -s 64M $image
	# shellcheck disable=SC2086
	beside lean fio_write,fio_more $disks
	await "fio wrote"
	sleep 2
	kill -KILL "$(pidof straddle)"
	ended $straddle
	# shellcheck disable=SC2086
	guest lean fio_verify $disks
	same "$way: after SIGKILL what was flushed is there" 0 "$(said "fio verified")"
done
rm -f $image
