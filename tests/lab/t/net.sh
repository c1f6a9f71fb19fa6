# lab: host=lean kernels=lean limit=200
# Virtio network adapters: frames go through a tap interface of the host, both ways, from and to both
# sides of the hole; offloads; what is refused.
. /lab/lib.sh

tunctl -t tap0 >/dev/null
ifconfig tap0 10.0.2.100 netmask 255.255.255.0 up
nc -ll -p 7 -e cat &
server=$!

# shellcheck disable=SC2086 # a list of options
guest lean net,pci,offloads,complaints $across --cpus 2 --net tap=tap0,mac=52:54:00:12:34:56
same "tap: powers off" 0 "$status"
same "tap: what the host echoes is what was sent" "eth0 same" "$(said net)"
same "tap: the adapter's address" 52:54:00:12:34:56 "$(said mac)"
same "tap: offloads are taken" "csum=1 guest_tso4=1 host_tso4=1 mrg_rxbuf=1 packed=1" "$(said offload)"
check_irq "tap: MSI-X" "PCI-MSIX.*virtio.*-input"
check_complaints "tap"

# The same address each time where none is given.
guest lean offloads --net tap=tap0
first=$(said mac)
guest lean offloads --net tap=tap0
same "no mac=: the same address each time" "$first" "$(said mac)"
at_least "no mac=: an address" 17 "${#first}"

guest lean poweroff --net tap=lo
same "an interface that is no tap: status" 2 "$status"
same "an interface that is no tap: says so" 1 "$(grep -c 'no tap' "$log")"
kill $server
