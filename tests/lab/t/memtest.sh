# lab: host=lean kernels=memtest limit=240
# memtest86+, which is no Linux but boots as one, finds the ACPI tables, the memory and the console by itself, starts
# the second CPU by its APIC ID and tests memory with both.
. /lab/lib.sh

: >"$log"
timeout -s KILL $limit straddle run --kernel "$K/memtest/vmlinuz" --append console=ttyS0,115200 --memory 96M \
	--cpus 2 </dev/null >"$log" 2>&1 &
straddle=$!
await "All Cores"
same "the console shows it" 1 "$(grep -c 'Memtest86+ v' "$log")"
same "memory" 1 "$(grep -c 'Memory  :   96MB' "$log")"
same "both CPUs run" 1 "$(grep -c '2 Cores 2 Threads    SMP: 2T (PAR)' "$log")"
same "no errors" 0 "$(grep -c 'Errors: [1-9]' "$log")"
kill -HUP $straddle
wait $straddle
same "ends with the signal" 129 $?
