#!/bin/bash
# Tests of straddle without a guest, and so without a KVM: files that it reads and writes, refusals.
set -u
. "$(dirname "$0")/lib.sh"
exit_elf=$guests/exit.elf

# --- files ---

printf '# a guest\nmemory = 1.5G\n\ncpus=2\nreserve = 4G-5G\n' >guest.conf
check "configuration file" [ "$("$straddle" plan --config guest.conf --json |
	jq -c '[.ram_size, (.forbidden | any(.start == 4294967296))]')" = '[1610612736,true]' ]
check "the command line wins over the file" \
	[ "$("$straddle" plan --config guest.conf --memory 2G --json | jq .ram_size)" = 2147483648 ]
printf 'memory = 1G\nmemroy = 2G\n' >bad.conf
out=$("$straddle" plan --config bad.conf 2>&1)
check "a bad key in a file: status 2" [ $? = 2 ]
check "a bad key in a file: line and suggestion" grep -q 'bad.conf:2: .*did you mean memory' <<<"$out"

"$straddle" plan --host vendor=amd --memory 1100G --dtb a.dtb
"$straddle" plan --plan a.dtb --host vendor=amd --dtb b.dtb
check "a plan file survives being read and written" cmp -s a.dtb b.dtb
check "dtc reads a plan file" dtc -q -I dtb -O dts -o a.dts a.dtb
"$straddle" plan --plan a.dtb --host vendor=intel,phys-bits=39 2>err
check "a plan that this host cannot honour: status 2" [ $? = 2 ]
check "a plan that this host cannot honour: why" grep -q 'needs 41 address bits' err
"$straddle" plan --host vendor=intel --memory 1100G --dtb intel.dtb
"$straddle" plan --plan intel.dtb --host vendor=amd 2>err
check "a plan over the hole is refused on AMD" grep -q 'HyperTransport' err
"$straddle" plan --json >/dev/full 2>err
check "a full disk behind --json: status 1" [ $? = 1 ]
check "check as JSON says what it says in lines" \
	[ "$("$straddle" check --json | jq -r .cpu.vendor)" = "$("$straddle" check | sed -n 's/^cpu *\([a-z]*\),.*/\1/p')" ]
"$straddle" check --json >/dev/full 2>err
check "a full disk behind check --json: status 1" [ $? = 1 ]
"$straddle" test --kernel /bin/true --output evidence -- @facts 2>err
check "a case that never started: status 113" [ $? = 113 ]
check "a case that never started: what the host can do is among the evidence" \
	[ "$("$straddle" check --json | jq -c 'del(.memory)')" = "$(jq -c 'del(.memory)' evidence/check.json)" ]

# --- signals that are errors of a write ---

mkfifo pipe
exec 6<>pipe 7>pipe 6<&-
"$straddle" run --kernel nowhere --serial none 2>&7
check "a closed pipe behind standard error: status of the sentence" [ $? = 2 ]
exec 7>&-
(ulimit -f 1024; exec "$straddle" run --kernel "$exit_elf" --memory 64M --page-size 2M 2>err)
check "RAM beyond a limit of file sizes: status 1" [ $? = 1 ]

# --- RAM that the host does not have ---

for command in run check; do
	kernel=
	[ $command = check ] || kernel="--kernel $exit_elf"
	# shellcheck disable=SC2086 # two words, or nothing
	timeout -s KILL 60 "$straddle" $command $kernel --memory 64T --prefault on >out 2>err
	check "$command: RAM that the host does not have: status 1" [ $? = 1 ]
	check "$command: RAM that the host does not have: one line says so" \
		[ "$(cat out err | grep -c 'prefault touches all 67108864 MiB of guest RAM, and')" = 1 ]
done
check "RAM that is made as the guest uses it may be more than the host has" \
	grep -q '^ram *yes, made as the guest uses it' <<<"$("$straddle" check --memory 8T)"
check "what cannot be had at once is tried with --overcommit" \
	grep -q '^ram *yes$' <<<"$("$straddle" check --memory 8T --prefault on --overcommit)"

# --- disks that cannot be ---

# refused NAME STATUS TEXT OPTION...: one sentence, before anything else happens.
refused()
{
	local name=$1 status=$2 text=$3
	shift 3
	timeout -s KILL 60 "$straddle" run --kernel "$exit_elf" --disk "$@" >out 2>err
	check "disk: $name: status $status" [ $? = "$status" ]
	check "disk: $name: one line says why" [ "$(grep -c "$text" err)/$(wc -l <err)" = 1/1 ]
	check "disk: $name: the guest was not started" [ ! -s out ]
}
truncate -s 1M image
truncate -s 1000 odd
: >empty
refused "missing" 1 "nowhere.*No such file" nowhere
refused "a directory" 2 "is a directory" .
refused "empty" 2 "is empty; give it a size" empty
refused "no whole sectors" 2 "1000 bytes, which is no multiple of 512" odd
printf 'QFI\373\0\0\0\3%0992d' 0 >qcow2
printf 'KDMV%01020d' 0 >vmdk
refused "qcow2" 2 "has the format qcow2, .*format=raw" qcow2
refused "vmdk" 2 "has the format vmdk, .*format=raw" vmdk,readonly=on
refused "no whole sectors of qcow2" 2 "1000 bytes, which is no multiple of 512" qcow2,format=raw
refused "no file" 2 "neither a file nor a block device" /dev/null
refused "twice" 1 "in use by another" image --disk image
check "disk: nothing is left of the size" [ "$(stat -c %s image)" = 1048576 ]
if [ "$(id -u)" != 0 ]; then
	chmod 400 image
	refused "not to be written" 1 "for writing (or is readonly=on or private=on meant?)" image
	chmod 600 image
fi
mkfifo fifo
(timeout 10 cat fifo >copy.dtb) &
"$straddle" plan --host vendor=amd --memory 1100G --dtb fifo
wait $!
check "--dtb into a FIFO writes into it" cmp -s a.dtb copy.dtb
check "--dtb does not replace a FIFO" [ -p fifo ]
"$straddle" plan --memory 1G --dtb /nonexistent/x.dtb 2>err
check "--dtb into no folder: status 1" [ $? = 1 ]
