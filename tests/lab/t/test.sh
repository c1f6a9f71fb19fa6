# lab: host=lean kernels=lean,cloud with=modules limit=1500
# straddle test: a command's status and streams, and every way in which a case ends, told apart. Run by a user who
# may use /dev/kvm and not much else.
. /lab/lib.sh
. /lab/case.sh

# A command's status, in its own words and as a signal.
run_case lean -- @status 7
ends "status 7" 7 command
run_case lean -- @status 200
ends "status 200" 99 command
same "status 200: the true one" 1 "$(grep -c '"status": *200' $case/result.json)"

# Streams: told apart, complete, and input as well.
run_case lean --initrd "$K/lean/initrd" -- /bin/busybox sh -c 'cat; echo oops >&2; exit 3' <<END
hello
world
END
ends "streams" 3 command
same "streams: output" "hello world" "$(tr '\n' ' ' <$out | sed 's/ $//')"
same "streams: standard error" 1 "$(grep -c '^oops$' $error)"
head -c 300000 /dev/urandom >/tmp/bytes
run_case lean -- @cat </tmp/bytes
same "300,000 bytes there and back" "$(sha256sum </tmp/bytes)" "$(sha256sum <$out)"
words=initcall_blacklist=virtio_vsock_init
head -c 20000 /tmp/bytes >/tmp/fewer
run_case lean -- @cat </tmp/fewer
words=
same "20,000 bytes there and back, by the serial line" "$(sha256sum </tmp/fewer)" "$(sha256sum <$out)"
run_case lean -- /no/such/program
ends "no such program" 111 setup

# What the guest says of itself is what was planned.
run_case lean --memory 512M -- @facts
same "@facts: status" 0 "$status"
at_least "@facts: lines of E820" 3 "$(grep -c '"type"' $out)"
run_case lean --memory 512M -- @memory
same "@memory: status" 0 "$status"

# A stock kernel with nothing else: the channel is a serial line until its modules are loaded.
run_case cloud -- @status 7
ends "cloud: status 7" 7 command
run_case cloud --modules /lab/modules --root /lab -- /no/such/program
ends "cloud: no such program in a folder" 111 setup
run_case cloud --modules /lab/modules --root host -- sh -c 'exit 7'
ends "cloud: --root host" 7 command
mkdir -p /tmp/folder/bin && cp /bin/busybox /tmp/folder/bin/ && ln -sf busybox /tmp/folder/bin/sh
run_case cloud --modules /lab/modules --root /tmp/folder -- sh -c 'echo new >/new; /bin/busybox cat /new'
same "cloud: a folder of one's own can be written to" "0 new" "$status $(cat $out)"
same "cloud: and is not changed" 1 "$([ -e /tmp/folder/new ] || echo 1)"

# Every way to die.
run_case lean -- @panic
ends "panic" 103 panic
same "panic: what the host can do is known" 1 "$(grep -c '"kernels":{"ok":true' $case/check.json)"
words=rdinit=/none
run_case cloud -- @status 0
words=
ends "no root" 103 panic
run_case lean -- @exit
ends "the end of init" 103 panic
run_case lean -- @reboot
ends "reset" 105 reset
run_case lean -- @poweroff
ends "init gone" 110 lost
run_case lean --core /tmp/core --memory 4G -- @halt
ends "halted" 107 halted
same "halted: the CPU's state is kept" 1 "$(grep -c 'cr3' $case/cpus.txt)"
same "halted: an ELF core" "7f454c46" "$(head -c 4 /tmp/core | od -An -tx1 | tr -d ' \n')"
same "halted: the core is sparse" 1 "$([ "$(stat -c %s /tmp/core)" -gt 4000000000 ] &&
	[ "$(du -k /tmp/core | cut -f1)" -lt 500000 ] && echo 1)"
rm -f /tmp/core
run_case lean --idle-limit 3 -- @hang
ends "hang" 101 idle-limit
same "hang: how long it was silent" 1 "$(result_of silent | awk '{ print ($1 >= 3) }')"
run_case lean --limit 12 -- @idle 100
ends "too long" 102 limit
run_case cloud --boot-limit 1 -- @status 0
ends "slow boot" 100 boot-limit
run_case lean --memory 128M -- @oom
ends "out of memory" 108 out-of-memory
run_case lean --initrd "$K/lean/initrd" -- /bin/busybox sh -c \
	'echo "<4>WARNING: CPU: 0 PID: 1 at kernel/x.c:1 x+0x0/0x1" >/dev/kmsg; sleep 60'
ends "splat" 104 splat
run_case lean --allow-splat 'kernel/x' --initrd "$K/lean/initrd" -- /bin/busybox sh -c \
	'echo "<4>WARNING: CPU: 0 PID: 1 at kernel/x.c:1 x+0x0/0x1" >/dev/kmsg'
ends "splat that is allowed" 0 command
words=straddle.do=poweroff
run_case lean --init none --initrd "$K/lean/initrd"
words=
ends "--init none" 0 command
run_case lean --bogus -- @status 0
same "usage" 113 "$status"

# A starved guest is told from a hung one: its process is stopped most of the time.
rm -rf $case
straddle test --kernel "$K/lean/vmlinuz" --output $case --append quiet --idle-limit 10 -- @idle 1000 >$out 2>$error &
straddle=$!
sleep 5
while kill -STOP $straddle 2>/dev/null; do
	sleep 3
	kill -CONT $straddle 2>/dev/null
	sleep 0.3
done
wait $straddle
status=$?
ends "starved" 109 starved

# Ctrl-C, and SIGKILL: nothing is left.
straddle test --kernel "$K/lean/vmlinuz" --modules /lab/modules --root /lab --output $case -- @idle 1000 >$out 2>$error &
straddle=$!
sleep 5
kill -KILL $straddle
wait $straddle
sleep 1
same "SIGKILL: no daemon is left" 0 "$(pidof virtiofsd | wc -w)"
