# lab: host=lean kernels=lean with=hw root=yes limit=900
# tests/hw/run, which people run on hosts of their own: a whole report of this host's two NVMe drives, with DMA on both
# sides of the hole; the drives are given back, also when it is ended in the middle.
. /lab/lib.sh
STRADDLE=$(command -v straddle)
export STRADDLE DMAREAD=/hw/dmaread SMALL=512M
log=/tmp/hw.log
hw() { sh /hw/run --kernel "$K/lean/vmlinuz" --memory 900M --output /tmp/hw "$@" >"$log" 2>&1; }
driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver")"; }
value() { sed -n "s/^$1 //p" /tmp/hw/facts.txt | head -n 1; }
echo 1 >/proc/sys/kernel/printk

hw
same "no device: status" 1 $?
same "no device: what to do" 1 "$(grep -c 'name the devices' "$log")"
hw $nvme $nvme2
same "status" 0 $?
same "it ended well" well "$(value ended)"
for name in hole large background; do
	same "$name: status" 0 "$(value $name.status)"
	same "$name: both drives" 2 "$(grep -c "^$name.device 0x.* driver nvme" /tmp/hw/facts.txt)"
	same "$name: what DMA brought" "" "$(grep "^$name.dma" /tmp/hw/facts.txt | grep -v 'bad=0$')"
	at_least "$name: interrupts" 100 "$(value $name.interrupts_of_last_cpu | cut -d ' ' -f 1)"
done
same "hole: DMA below 4 GiB and below 1 TiB" 4 "$(grep -c '^hole.dma to=[lb]' /tmp/hw/facts.txt)"
same "hole: DMA above 1 TiB" 2 "$(grep -c '^hole.dma to=above gpa=0x1[0-9a-f]* ' /tmp/hw/facts.txt)"
same "the addresses that are stepped over" 1 "$(grep -c '^map.kept_free 0xfd00000000-0x10000000000' /tmp/hw/facts.txt)"
same "JSON" 1 "$(awk -f /lab/json.awk </tmp/hw/report.json | grep -c 'ended=well')"
same "no serial number, no name of the host" "" "$(grep -i "LAB1\|LAB2\|$(hostname)" /tmp/hw/facts.txt)"
same "the drives are back" "nvme nvme" "$(driver $nvme) $(driver $nvme2)"

# In the middle: a guest has the drive.
sh /hw/run --kernel "$K/lean/vmlinuz" --memory 900M --output /tmp/hw $nvme >"$log" 2>&1 &
run=$!
tries=300
until grep -q '^straddle' /proc/[0-9]*/comm 2>/dev/null && [ "$(driver $nvme)" = vfio-pci ] || [ $((tries -= 1)) = 0 ]; do
	usleep 200000
done
sleep 2
kill -TERM $run
wait $run
same "SIGTERM: status" 143 $?
same "SIGTERM: the drive is back" nvme "$(driver $nvme)"
same "SIGTERM: no guest is left" "" "$(pidof straddle)"
