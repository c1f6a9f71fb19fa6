# lab: host=lean kernels=lean limit=240 root=yes
# A passed-through drive works without VM exits: KVM's counters while the guest does 2,000 reads, less
# what the same guest causes without them. What remains is of interrupts (no AVIC in the lab).
. /lab/lib.sh

stats=/sys/kernel/debug/kvm
reads=2000

# sample NAME: sets $exits, $mmio, ... to the counts since the last sample.
counters() { cat $stats/exits $stats/mmio_exits $stats/io_exits $stats/irq_exits $stats/halt_exits; }
sample()
{
	counters >/tmp/now
	paste /tmp/before /tmp/now | awk '{ print $2 - $1 }' | xargs >"/tmp/$1"
	mv /tmp/now /tmp/before
}
take $nvme
# shellcheck disable=SC2086 # a list of options
interactive lean ask,ask,ask,ask $across --vfio $nvme
tell read # once, so that nothing happens for the first time below
counters >/tmp/before
tell nothing
sample idle
tell read
sample busy
tell poweroff
ended $straddle
same "powers off" 0 "$status"
same "the guest read" 2 "$(said read | grep -c "$reads")"
paste /tmp/idle /tmp/busy | awk -v n=$reads '{
	split("all mmio port irq halt", name, " ")
	for (i = 1; i <= 5; i++)
		printf "exits of %d reads: %s %d, without them %d\n", n, name[i], $(i + 5), $i
}'
for kind in 2:MMIO 3:port; do
	field=${kind%:*}
	more=$(($(cut -d ' ' -f "$field" /tmp/busy) - $(cut -d ' ' -f "$field" /tmp/idle)))
	# Fewer than one exit in fifty reads, because the console causes some, whose number varies.
	at_least "no ${kind#*:} exit for a read ($more for $reads)" $((more * 50)) $reads
done
give $nvme
