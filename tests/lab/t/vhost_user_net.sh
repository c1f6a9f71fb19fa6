# lab: host=lean kernels=lean limit=300 with=dpdk root=yes
# A network adapter that another program serves: DPDK's testpmd, which moves frames between the guest and
# a tap interface. Both ways, from and to both sides of the hole; it dies and comes back.
. /lab/lib.sh
export LD_LIBRARY_PATH=/dpdk
socket=/tmp/net.sock
mkdir -p /var/run

# start_switch, stop_switch: the switch polls on the only CPU, so it runs only when needed.
start_switch()
{
	/dpdk/dpdk-testpmd --lcores '(0,1)@0' --no-huge -m 192 --no-pci --no-telemetry \
		-d librte_net_vhost.so.23 -d librte_net_tap.so.23 -d librte_mempool_ring.so.23 \
		--vdev net_vhost0,iface=$socket,queues=1 --vdev net_tap0,iface=dtap0,mac=fixed -- \
		--forward-mode=io --auto-start --total-num-mbufs=2048 --no-lsc-interrupt \
		--stats-period 3600 </dev/null >/tmp/switch.log 2>&1 &
	switch=$!
	wait_for $socket
	tries=100
	until ifconfig dtap0 10.0.2.100 netmask 255.255.255.0 up 2>/dev/null || [ "$((tries -= 1))" = 0 ]; do
		sleep 0.1
	done
}
stop_switch()
{
	kill -KILL $switch
	wait $switch 2>/dev/null
	rm -f $socket
}

start_switch
nc -ll -p 7 -e cat &
server=$!
# shellcheck disable=SC2086 # a list of options
interactive lean ask,offloads,pci,ask,ask,complaints $across --cpus 2 --net vhost-user=$socket,mac=52:54:00:12:34:56
tell net
stop_switch
await "is gone"
tell link
start_switch
await "is back"
tell_only net
ended $straddle
same "powers off" 0 "$status"
same "what the host echoes is what was sent, before and after the switch died" "eth0 same eth0 same" \
	"$(said net | xargs)"
same "there is no link while nobody serves it" 0 "$(said carrier)"
same "the adapter's address" 52:54:00:12:34:56 "$(said mac)"
check_irq "MSI-X" "PCI-MSIX.*virtio.*-input"
check_complaints "switch"
kill $server
stop_switch
same "none is left" 0 "$(pidof dpdk-testpmd | wc -w)"
