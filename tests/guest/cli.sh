#!/bin/bash
# The terminal, signals and files around a running guest (monitor.S), on this host's /dev/kvm.
set -u
cd "$(dirname "$0")/../.." || exit 1
straddle=$PWD/${STRADDLE:-$BUILD/straddle}
monitor=$PWD/$BUILD/tests/guest/monitor.elf
exit_elf=$PWD/$BUILD/tests/guest/exit.elf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

check() # NAME CONDITION...
{
	local name=$1
	shift
	if "$@"; then echo "ok $name"; else echo "not ok $name"; fi
}

await() # TEXT FILE: 10 seconds at most
{
	local i
	for ((i = 0; i < 500; i++)); do
		grep -aq "$1" "$2" 2>/dev/null && return 0
		sleep 0.02
	done
	return 1
}

# --- without KVM ---

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

# --- signals that are errors of a write ---

mkfifo pipe
exec 6<>pipe 7>pipe 6<&-
"$straddle" run --kernel nowhere --serial none 2>&7
check "a closed pipe behind standard error: status of the sentence" [ $? = 2 ]
exec 7>&-
(ulimit -f 1024; exec "$straddle" run --kernel "$exit_elf" --memory 64M --page-size 2M 2>err)
check "RAM beyond a limit of file sizes: status 1" [ $? = 1 ]

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
refused "no file" 2 "neither a file nor a block device" /dev/null
refused "twice" 1 "in use by another" image --disk image
check "disk: nothing is left of the size" [ "$(stat -c %s image)" = 1048576 ]
if [ "$(id -u)" != 0 ]; then
	chmod 400 image
	refused "not to be written" 1 "for writing (or is readonly=on meant?)" image
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

if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
	echo "ok guests on /dev/kvm # SKIP no usable /dev/kvm on this host"
	exit 0
fi

# --- the terminal: `script` gives the guest one ---

# in_terminal STEP...: runs the guest in a terminal; a step is "WAIT-FOR-TEXT=SEND". Shows what came.
in_terminal()
{
	local step
	rm -f keys log
	mkfifo keys
	: >log
	timeout -s KILL 20 script -qfec "stty -g >before; $straddle run --memory 4M \
		--debug-exit 0xf4 --kernel $monitor; echo status=\$?; stty -g >after" log \
		<keys >/dev/null 2>&1 &
	exec 8>keys
	for step; do
		await "${step%%=*}" log || break
		printf '%b' "${step#*=}" >&8
	done
	wait $!
	exec 8>&-
}
same_terminal() { [ -s before ] && cmp -s before after; }

in_terminal 'ready=\001x'
check "Ctrl-A X quits: status 0" grep -aq status=0 log
check "the terminal is as before" same_terminal
in_terminal 'ready=w' 'waiting=abcdefgh' 'waiting=\001x'
check "Ctrl-A X quits a guest that does not read" grep -aq status=0 log
in_terminal 'ready=\001h' 'Ctrl-A A=\001x'
check "Ctrl-A H lists the keys" grep -aq 'Ctrl-A A  send Ctrl-A' log
in_terminal 'ready=t'
check "the terminal is as before, after a crash" same_terminal
in_terminal 'ready=d'
check "a debug exit in a terminal: status 85" grep -aq status=85 log
check "the terminal is as before, after a debug exit" same_terminal

# --- standard input and output ---

timeout -s KILL 10 "$straddle" run --kernel "$monitor" --memory 4M --debug-exit 0xf4 \
	--serial "file:$work/line" <&- &
await ready line
kill -TERM $! && sleep 0.2
pkill -KILL -P $!
wait $! 2>/dev/null
check "with standard input closed, the guest gets no input" [ "$(cat line)" = ready ]
out=$(printf 'reee\nxxxx\np' | timeout -s KILL 10 "$straddle" run --kernel "$monitor" --memory 4M \
	2>/dev/null)
check "input that a reset left unread goes to the rebooted guest" [ "$out" = $'ready\nready\ne' ]
printf 'fp' | timeout -s KILL 10 "$straddle" run --kernel "$monitor" --memory 4M 2>err | true
check "a closed pipe behind standard output: status 1" [ "${PIPESTATUS[1]}" = 1 ]
check "a closed pipe behind standard output: why" grep -q 'standard output: Broken pipe' err
printf 'p' | timeout -s KILL 10 "$straddle" run --kernel "$monitor" --memory 4M \
	--serial file:/dev/full </dev/null 2>err
check "a full disk behind --serial: status 1" [ $? = 1 ]
check "a full disk behind --serial: why" grep -q '/dev/full: No space left' err
echo keep >kept
"$straddle" run --kernel "$monitor" --memory 4M --cpus 4096 --serial file:kept 2>err
check "more CPUs than KVM allows: status 2" [ $? = 2 ]
check "more CPUs than KVM allows: how many it does" grep -q 'at most [0-9]' err
check "a guest that does not start leaves --serial's file alone" [ "$(cat kept)" = keep ]

# --- a socket's readers come and go ---

timeout -s KILL 20 "$straddle" run --kernel "$monitor" --memory 4M --debug-exit 0xf4 \
	--serial "unix:$work/sock" &
run=$!
for ((i = 0; i < 500; i++)); do [ -S sock ] && break; sleep 0.02; done
head -c 2000 /dev/zero | tr '\0' z | timeout 5 socat -u - UNIX-CONNECT:sock
out=$( (sleep 0.3; printf 'fffd') | timeout 10 socat -t 3 - UNIX-CONNECT:sock)
wait $run
check "a second reader is served after the first left" [ $? = 85 ]
check "and gets all that is said" [ "$(tr -dc . <<<"$out" | wc -c)" = 12288 ]
timeout -s KILL 20 "$straddle" run --kernel "$monitor" --memory 4M --serial "unix:$work/sock" &
run=$!
for ((i = 0; i < 500; i++)); do [ -S sock ] && break; sleep 0.02; done
(printf 'ffffffffffffffffffffffffffffffffp'; sleep 1) | timeout 2 socat -u - UNIX-CONNECT:sock
wait $run
check "a guest is not held up by a reader that left" [ $? = 0 ]

# --- signals ---

rm -f sock
(trap "" HUP; exec "$straddle" run --kernel "$monitor" --memory 4M \
	--debug-exit 0xf4 --serial "unix:$work/sock") &
for ((i = 0; i < 500; i++)); do [ -S sock ] && break; sleep 0.02; done
kill -HUP $!
sleep 0.2
printf d | timeout 5 socat -t 2 - UNIX-CONNECT:sock >/dev/null
wait $!
check "a signal that the parent ignores is ignored" [ $? = 85 ]
