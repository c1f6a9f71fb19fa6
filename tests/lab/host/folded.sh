# Sourced with the name of a backend: 1.1 TiB of guest RAM, all of it mapped for a device, on 512 MiB
# of the host's memory that repeat. Linux in the guest is told to touch two islands that are not the
# same host memory, one of them above 1 TiB, and does DMA there.
#
# Unmapping that much takes a minute in the lab, so the lab host is switched off while the memory is mapped, and
# these tests have a boot of their own.
backend=$1
. /lab/lib.sh

echo 256 >/proc/sys/vm/nr_hugepages
same "huge pages" 256 "$(cat /proc/sys/vm/nr_hugepages)"
take $nvme
limit=200
append="memmap=exactmap memmap=639K@0 memmap=255M@1M memmap=256M@0x10010000000"
options="--memory 1126G --low-memory 256M --page-size 2M --fold 512M"
# Ended while it maps (by SIGTERM, because shells make background jobs ignore Ctrl-C): the part that was mapped is
# unmapped.
pins=$(pinned)
# shellcheck disable=SC2086 # a list of options
(start lean poweroff $options --vfio $nvme --vfio-backend "$backend") </dev/null >"$log" &
straddle=$!
tries=200
while [ "$(pinned)" -le "$pins" ] && [ "$((tries -= 1))" -gt 0 ]; do
	usleep 50000
done
kill -TERM $straddle
ended $straddle
same "ended while mapping: status" 143 "$status"
at_least "ended while mapping: it had begun" 1 "$tries"
same "ended while mapping: before all was mapped" 0 "$(grep -c 'mapped 1126.0 of' "$log")"
same "ended while mapping: no page stays pinned" "$pins" "$(pinned)"

# shellcheck disable=SC2086 # a list of options
(start lean pci,dma,ask $options --vfio $nvme --vfio-backend "$backend") </dev/null >"$log" &
straddle=$!
await "asking for an action"
grep 'mapped .* GiB' "$log"
sed -n 's/\r//g; s/.*lab: //p' "$log" >"$facts"
same "RAM is mapped for devices" 1 "$(grep -c 'mapped 1126.0 of 1126.0 GiB' "$log")"
said nvme0n1 >/tmp/dma
same "data is right wherever it lies" 0 "$(grep -vc 'bad=0$' /tmp/dma)"
at_least "pages above 1 TiB were written from and read into" 4 "$(grep -c '=above gpa' /tmp/dma)"
at_least "pages below 4 GiB, too" 4 "$(grep -c '=low gpa' /tmp/dma)"
[ "$(wc -l </tmp/dma)" -gt 0 ] || not_ok "the guest" "did no DMA"
