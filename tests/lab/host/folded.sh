# Sourced with the name of a backend: a guest of 1.1 TiB that does DMA on both sides of 1 TiB (see fold in lib.sh).
#
# Unmapping that much takes a minute in the lab, so the lab host is switched off while the memory is mapped, and
# these tests have a boot of their own.
. /lab/lib.sh

fold "$1"
limit=200
# Ended while it maps (by SIGTERM, because shells make background jobs ignore Ctrl-C): the part that was mapped is
# unmapped.
# shellcheck disable=SC2086 # a list of options
(start lean poweroff $options) </dev/null >"$log" &
straddle=$!
await_pins
kill -TERM $straddle
ended $straddle
same "ended while mapping: status" 143 "$status"
at_least "ended while mapping: it had begun" 1 "$tries"
same "ended while mapping: before all was mapped" 0 "$(grep -c 'mapped 1126.0 of' "$log")"
same "ended while mapping: no page stays pinned" "$pins" "$(pinned)"

# shellcheck disable=SC2086 # a list of options
(start lean pci,dma,ask $options) </dev/null >"$log" &
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
