# lab: host=lean kernels=lean limit=180 root=yes
# Devices passed through by a user without rights, whose soft limit of locked memory is small: two
# guests at once, whose memory iommufd counts together; and a hard limit that is too small.
. /lab/lib.sh

cat >/tmp/as_user <<'END'
exec su -p -s /bin/sh -c 'exec "$@"' -- user sh "$@"
END
jail="sh /tmp/as_user"
take $nvme $nvme2
chown user /dev/kvm /dev/iommu /dev/vfio/vfio /dev/vfio/[0-9]* /dev/vfio/devices/*
for backend in type1 iommufd; do
	ulimit -H -l unlimited
	ulimit -S -l 64
	rm -f /tmp/hold && mkfifo /tmp/hold
	log=/tmp/first.log
	(start lean ask --memory 256M --vfio $nvme --vfio-backend $backend) </tmp/hold >$log &
	first=$!
	exec 6>/tmp/hold
	await asking
	log=/tmp/guest.log
	guest lean poweroff --memory 256M --vfio $nvme2 --vfio-backend $backend
	same "$backend: a second guest of the same user" 0 "$status"
	echo poweroff >&6
	wait $first
	same "$backend: the first one" 0 $?
	exec 6>&-
	ulimit -H -l 64
	guest lean poweroff --memory 256M --vfio $nvme2 --vfio-backend $backend
	same "$backend: a hard limit that is too small: status" 1 "$status"
	same "$backend: the sentence has the numbers" 1 \
		"$(grep -c 'devices need 262144 KiB and this user may lock 64 KiB' "$log")"
done
ulimit -H -l unlimited
ulimit -S -l unlimited
chown root /dev/iommu /dev/vfio/vfio
jail=
give $nvme $nvme2
