# lab: host=lean kernels=lean limit=150
. /lab/lib.sh
# passt: the guest has the host's address, and reaches what the host reaches.
eth=$(ls /sys/bus/pci/devices/$nic/net)
ifconfig "$eth" 10.0.2.15 netmask 255.255.255.0 up
route add default gw 10.0.2.2
# It makes a user namespace and pivots its root away: neither goes from the first root of a kernel,
# nor from a chroot, so another root is put over the first.
mkdir -p /jail
mount -t tmpfs none /jail
cp -a /bin /etc /jail/
cp -a /lib /lib64 /jail/ 2>/dev/null
for dir in dev proc sys k tmp; do
	mkdir -p /jail/$dir
	mount --rbind /$dir /jail/$dir
done
cat >/moved.sh <<'EOF'
cd /jail
mount --move /jail /
exec chroot . "$@"
EOF
jail="unshare -m sh /moved.sh"

ifconfig lo up
echo 16777216 >/proc/sys/net/core/wmem_max
echo 16777216 >/proc/sys/net/core/rmem_max
nc -ll -p 7 -e cat &
sleep 4
limit=20
append=straddle.peer=10.0.2.2
for i in 1 2 3 4 5 6 7 8; do
guest lean net $across --net user
echo "run $i status $status: $(grep lab: $log | head -1)"
done
