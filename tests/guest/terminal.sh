#!/bin/bash
# The terminal, signals and files around a running guest (monitor.S), on this host's /dev/kvm.
set -u
. "$(dirname "$0")/lib.sh"
monitor=$guests/monitor.elf
need_kvm

await() { eventually grep -aq "$1" "$2" 2>/dev/null; } # TEXT FILE

# --- the terminal: `script` gives the guest one ---

# in_terminal STEP...: runs the guest in a terminal; a step is "WAIT-FOR-TEXT=SEND". Shows what came.
in_terminal()
{
	local step
	rm -f keys log
	mkfifo keys
	: >log
	timeout -s KILL 100 script -qfec "stty -g >before; $straddle run --memory 4M \
		--debug-exit 0xf4 --kernel ${kernel:-$monitor}; echo status=\$?; stty -g >after" log \
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
kernel=$guests/mute.elf in_terminal
check "a crash in a terminal: status 3" grep -aq status=3 log
check "the terminal is as before, after a crash" same_terminal
in_terminal 'ready=d'
check "a debug exit in a terminal: status 85" grep -aq status=85 log
check "the terminal is as before, after a debug exit" same_terminal

# --- standard input and output ---

timeout -s KILL 100 "$straddle" run --kernel "$monitor" --memory 4M --debug-exit 0xf4 \
	--serial "file:$work/line" <&- &
await ready line
kill -TERM $! && sleep 0.2
pkill -KILL -P $!
wait $! 2>/dev/null
check "with standard input closed, the guest gets no input" [ "$(cat line)" = ready ]
out=$(printf 'reee\nxxxx\np' | timeout -s KILL 100 "$straddle" run --kernel "$monitor" --memory 4M \
	2>/dev/null)
check "input that a reset left unread goes to the rebooted guest" [ "$out" = $'ready\nready\ne' ]
printf 'fp' | timeout -s KILL 100 "$straddle" run --kernel "$monitor" --memory 4M 2>err | true
check "a closed pipe behind standard output: status 1" [ "${PIPESTATUS[1]}" = 1 ]
check "a closed pipe behind standard output: why" grep -q 'standard output: Broken pipe' err
printf 'p' | timeout -s KILL 100 "$straddle" run --kernel "$monitor" --memory 4M \
	--serial file:/dev/full </dev/null 2>err
check "a full disk behind --serial: status 1" [ $? = 1 ]
check "a full disk behind --serial: why" grep -q '/dev/full: No space left' err
echo keep >kept
"$straddle" run --kernel "$monitor" --memory 4M --cpus 4096 --serial file:kept 2>err
check "more CPUs than KVM allows: status 2" [ $? = 2 ]
check "more CPUs than KVM allows: how many it does" grep -q 'at most [0-9]' err
check "a guest that does not start leaves --serial's file alone" [ "$(cat kept)" = keep ]

# --- a socket's readers come and go ---

timeout -s KILL 100 "$straddle" run --kernel "$monitor" --memory 4M --debug-exit 0xf4 \
	--serial "unix:$work/sock" &
run=$!
eventually [ -S sock ]
head -c 2000 /dev/zero | tr '\0' z | timeout 60 socat -u - UNIX-CONNECT:sock
out=$( (sleep 0.3; printf 'fffd') | timeout 60 socat -t 30 - UNIX-CONNECT:sock)
wait $run
check "a second reader is served after the first left" [ $? = 85 ]
check "and gets all that is said" [ "$(tr -dc . <<<"$out" | wc -c)" = 12288 ]
timeout -s KILL 100 "$straddle" run --kernel "$monitor" --memory 4M --serial "unix:$work/sock" &
run=$!
eventually [ -S sock ]
(printf 'ffffffffffffffffffffffffffffffffp'; sleep 1) | timeout 60 socat -u - UNIX-CONNECT:sock
wait $run
check "a guest is not held up by a reader that left" [ $? = 0 ]

# --- signals ---

rm -f sock
(trap "" HUP; exec "$straddle" run --kernel "$monitor" --memory 4M \
	--debug-exit 0xf4 --serial "unix:$work/sock") &
eventually [ -S sock ]
kill -HUP $!
sleep 0.2
printf d | timeout 60 socat -t 30 - UNIX-CONNECT:sock >/dev/null
wait $!
check "a signal that the parent ignores is ignored" [ $? = 85 ]
