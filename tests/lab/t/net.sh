# lab: host=lean kernels=lean limit=600 root=yes
# Virtio network adapters: frames through a tap interface of the host, served by this process and by
# vhost-net, and through passt; both ways, from and to both sides of the hole; what is refused.
. /lab/lib.sh

tunctl -t tap0 >/dev/null
ifconfig tap0 10.0.2.100 netmask 255.255.255.0 up
nc -ll -p 7 -e cat &
server=$!

# Rings are packed where this process serves them; vhost has no such rings.
for vhost in off on; do
	# shellcheck disable=SC2086 # a list of options
	guest lean net,pci,offloads,complaints $across --cpus 2 \
		--net tap=tap0,mac=52:54:00:12:34:56,vhost=$vhost
	same "vhost=$vhost: powers off" 0 "$status"
	same "vhost=$vhost: what the host echoes is what was sent" "eth0 same" "$(said net)"
	same "vhost=$vhost: the adapter's address" 52:54:00:12:34:56 "$(said mac)"
	packed=$([ $vhost = on ] && echo 0 || echo 1)
	same "vhost=$vhost: offloads are taken" \
		"csum=1 guest_tso4=1 host_tso4=1 mrg_rxbuf=1 packed=$packed" "$(said offload)"
	check_irq "vhost=$vhost: MSI-X" "PCI-MSIX.*virtio.*-input"
	check_complaints "vhost=$vhost"
done

# Without mac= the address is the same each time.
guest lean offloads --net tap=tap0
first=$(said mac)
guest lean offloads --net tap=tap0
same "no mac=: the same address each time" "$first" "$(said mac)"
at_least "no mac=: an address" 17 "${#first}"

guest lean poweroff --net tap=lo
same "an interface that is no tap: status" 2 "$status"
same "an interface that is no tap: says so" 1 "$(grep -c 'no tap' "$log")"
chmod 666 /dev/net/tun
su nobody -c "straddle run --kernel $K/lean/vmlinuz --net tap=tap0" >/tmp/out 2>&1
same "an interface of somebody else: status" 1 $?
same "an interface of somebody else: says how to get one" 1 \
	"$(grep -c 'the tap interface does not exist, or belongs to another user; as root: ip tuntap add tap0 mode tap user 65534' /tmp/out)"
ifconfig tap0 down

# Several pairs of queues, each used by a CPU; an interface that is removed while in use, and is missing after the
# guest's reset.
for vhost in off on; do
	interactive lean ask,ask,ask --cpus 2 --net "tap=many,queues=2,vhost=$vhost"
	ifconfig many 10.0.2.100 netmask 255.255.255.0 up
	tell pairs
	ip link delete many
	await "is gone"
	tell link
	tell_only reboot
	await asking $asked
	tell link
	tell_only poweroff
	ended $straddle
	same "queues=2, vhost=$vhost: powers off" 0 "$status"
	same "queues=2, vhost=$vhost: the guest uses both" 2 "$(said pairs)"
	same "queues=2, vhost=$vhost: data is right by each" "0 same 1 same" "$(said cpu | xargs)"
	for pair in 0 1; do
		at_least "queues=2, vhost=$vhost: pair $pair has work" 10 "$(said pair | sed -n "s/^$pair //p")"
	done
	same "queues=2, vhost=$vhost: the user hears in each life that the interface is gone" 2 \
		"$(grep -c 'net0: its tap interface or socket is gone' "$log")"
	same "queues=2, vhost=$vhost: so does the guest" "0 0" "$(said carrier | xargs)"
done
kill $server

# passt: the guest has the host's address, and by the gateway's it reaches the host's loopback.
user_net_up
append=straddle.peer=10.0.2.2
# shellcheck disable=SC2086
guest lean net,complaints $across --net user
same "passt: powers off" 0 "$status"
same "passt: what the host echoes is what was sent" "eth0 same" "$(said net)"
check_complaints "passt"
same "passt: none is left" 0 "$(pidof passt | wc -w)"
append=
user_net_down

# Sockets between guest and host, both ways, with rings and buffers on both sides of the hole. Two guests cannot
# have the same address at once.
vsock listen 1000 &
# shellcheck disable=SC2086
beside lean vsock,complaints $across --vsock cid=7
await "vsock listens"
straddle run --kernel "$K/lean/vmlinuz" --vsock cid=7 >/tmp/out 2>&1
same "vsock: a cid that is taken: status" 1 $?
same "vsock: a cid that is taken: says so" 1 "$(grep -c 'another guest has cid 7' /tmp/out)"
same "vsock: the host's echo comes to the guest" 1 "$(grep -c 'lab: vsock to same' "$log")"
same "vsock: the guest's echo comes to the host" same "$(vsock check 7 2000 1048576 2>&1)"
ended $straddle
same "vsock: powers off" 0 "$status"
check_complaints "vsock"
same "the adapter of the host is as it was found" 0x1002 "$(cat /sys/class/net/"$eth"/flags)"
