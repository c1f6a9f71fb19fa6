# lab: host=lean kernels=lean with=modules limit=900
# straddle test --keep: a guest that failed is stopped and can be looked at; what is known of it is written before; the
# status is the usual one; nothing is left of it.
. /lab/lib.sh
. /lab/case.sh

control=$case/control

# keep OPTION... -- COMMAND...: a case in the background, until its guest waits.
keep()
{
	rm -f $error # the last case's words are not this one's
	timeout -s KILL $limit straddle test --kernel "$K/lean/vmlinuz" --output $case --append quiet --keep "$@" \
		>$out 2>$error &
	child=$!
	shown=
	tries=$((limit * 5))
	until grep -qs -- '--keep: ' $error || [ "$((tries -= 1))" = 0 ]; do
		sleep 0.2
	done
	straddle=$(pidof straddle)
	cp $case/console.log "$log" 2>/dev/null || cp $error "$log"
	sed 's/^/    | /' $error
}

# ends NAME STATUS: the case ended so, and its socket is gone.
ends()
{
	wait $child
	same "$1: status" "$2" "$?"
	same "$1: no socket is left" "" "$(ls $control 2>/dev/null)"
}

# A panic: all evidence is there while the guest waits, and it can be looked at.
keep --memory 256M -- @panic
same "panic: the evidence is there" "check.json cmdline console.log control cpus.txt plan.dtb plan.json result.json" \
	"$(ls $case | tr '\n' ' ' | sed 's/ $//')"
same "panic: the verdict is there" panic "$(verdict)"
same "panic: the console is complete" 1 "$(grep -c 'Kernel panic - not syncing' $case/console.log)"
same "panic: straddle says how to look" 1 "$(grep -c "echo core FILE | socat -t 600 - UNIX-CONNECT:$control" $error)"
before=$(cut -d ' ' -f 14,15 /proc/$straddle/stat)
sleep 12 # longer than straddle waits for storage at its end
same "panic: it waits" 1 "$(kill -0 $straddle && echo 1)"
same "panic: and uses no CPU" "$before" "$(cut -d ' ' -f 14,15 /proc/$straddle/stat)"
same "panic: registers" 1 "$(ask $control 'registers 0' | grep -c '^{"ok":true,"text":".*cr3')"
same "panic: no CPU 1" 1 "$(ask $control 'registers 1' | grep -c '"ok":false.*CPUs are 0 to 0')"
for line in "balloon 1M" memory power-button help; do
	same "panic: '$line' is refused" 1 "$(ask $control "$line" | grep -c '"ok":false,"error":"the guest is stopped')"
done
same "panic: a core" '{"ok":true}' "$(ask $control 'core /tmp/core')"
same "panic: of ELF" "7f454c46" "$(head -c 4 /tmp/core | od -An -tx1 | tr -d ' \n')"
same "panic: with the guest's memory" yes "$(tr -d '\000' </tmp/core | grep 'Kernel panic - not syncing' >/dev/null && echo yes)"
same "panic: the file is not replaced" 1 "$(ask $control 'core /tmp/core' | grep -c '"ok":false.*exists')"
rm -f /tmp/core
same "panic: quit" '{"ok":true}' "$(ask $control quit)"
ends "panic" 103

# A limit, with a disk and a core of --core; ended by a signal.
head -c 4194304 /dev/urandom >/tmp/image
rm -rf $case
keep --memory 256M --idle-limit 3 --disk /tmp/image --core /tmp/core -- @hang
same "hang: the verdict is there" idle-limit "$(verdict)"
same "hang: straddle names the core" 1 "$(grep -c 'gdb vmlinux /tmp/core' $error)"
same "hang: the core is there" "7f454c46" "$(head -c 4 /tmp/core | od -An -tx1 | tr -d ' \n')"
same "hang: registers" 1 "$(ask $control 'registers 0' | grep -c '"ok":true')"
kill $straddle
ends "hang" 101
rm -f /tmp/core

# A reset: the machine is as it was.
rm -rf $case
keep -- @reboot
same "reset: what is kept" 1 "$(grep -c 'as it was when it reset itself' $error)"
same "reset: registers" 1 "$(ask $control 'registers 0' | grep -c '"ok":true')"
kill $straddle
ends "reset" 105

# SIGKILL: no process is left, and the evidence is; the next case takes the socket's place.
rm -rf $case
keep --modules /lab/modules --root /lab --idle-limit 3 -- @hang
at_least "SIGKILL: a daemon serves the root" 1 "$(pidof virtiofsd | wc -w)"
kill -KILL $straddle
wait $child
sleep 1
same "SIGKILL: no process is left" 0 "$(pidof straddle virtiofsd | wc -w)"
same "SIGKILL: the verdict is there" idle-limit "$(verdict)"
keep -- @panic
same "after SIGKILL: the socket serves" '{"ok":true}' "$(ask $control quit)"
ends "after SIGKILL" 103

# Nothing to keep.
keep -- @status 7
same "a command's status: why nothing is kept" 1 "$(grep -c 'nothing is kept, because the command ended' $error)"
ends "a command's status" 7
keep -- @poweroff
same "power-off: why nothing is kept" 1 "$(grep -c 'nothing is kept, because the guest powered off' $error)"
ends "power-off" 110
straddle test --kernel "$K/lean/vmlinuz" --append quiet --keep -- @status 0 >$out 2>$error
same "a case that passed: ends, without a word" "0 " "$? $(cat $error)"
