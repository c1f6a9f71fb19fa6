# lab: host=lean kernels=lean,cloud with=oops limit=1200
# Ends of cases that only a real kernel and a real KVM give: after the guest's last sign each is told from the others
# at once. How long that took is printed, and judged in the time in which the guest's CPUs could run. And 100 MiB of
# bytes in both directions.
. /lab/lib.sh
. /lab/case.sh
exec </dev/null

# ends_soon NAME STATUS WORD [SECONDS]: and that was noticed within SECONDS (2) of the time in which the guest's CPUs
# could run.
ends_soon()
{
	ends "$1" "$2" "$3"
	same "$1: is noticed within ${4:-2} s" 1 \
		"$(result_of silent_ran | awk -v most="${4:-2}" '{ print $1 <= most }')"
	printf '    | %s: %s s after the last sign, CPUs could run for %s s of them; %s s in all\n' "$1" \
		"$(result_of silent)" "$(result_of silent_ran)" "$(result_of seconds)"
}

# Before init: no root at all, one that is not there, an init that ends, one that is none.
run_case cloud --init none
ends_soon "no root, no initrd" 103 panic
for kernel in lean cloud; do
	words="root=/dev/vda1"
	run_case $kernel --init none
	ends_soon "$kernel: no such root" 103 panic
	words=rdinit=/none
	run_case $kernel -- @status 0
	ends_soon "$kernel: no init" 103 panic
	mkdir -p /tmp/initrd/bin && cp /bin/busybox /tmp/initrd/bin/ && ln -sf busybox /tmp/initrd/bin/false
	(cd /tmp/initrd && find . | cpio -o -H newc 2>/dev/null) >/tmp/initrd.cpio
	words=rdinit=/bin/false
	run_case $kernel --init none --initrd /tmp/initrd.cpio
	ends_soon "$kernel: init=/bin/false" 103 panic
	words=
done

# Later: init ends, the kernel panics or has no memory.
run_case cloud -- @exit
ends_soon "cloud: lost init" 103 panic
run_case lean --initrd "$K/lean/initrd" -- /bin/busybox sh -c 'echo c >/proc/sysrq-trigger'
ends_soon "sysrq c" 103 panic
run_case lean --memory 128M -- @oom
ends_soon "out of memory" 108 out-of-memory

# A module that oopses, and the kernel goes on: made of one of Debian's (with_oops in tests/lab/lab).
run_case cloud --initrd /lab/oops.cpio --initrd "$K/cloud/initrd" -- /bin/busybox sh -c \
	'/bin/busybox insmod /oops.ko; /bin/busybox sleep 100'
ends_soon "a module that oopses" 104 splat 5
same "a module that oopses: its line" 1 "$(grep -c 'invalid opcode: 0000 \[#1\]' $case/console.log)"

# What no system call asks for: see die.c. Each comes after the guest has printed.
run_case lean --initrd "$K/lean/initrd" -- /bin/die fault
ends_soon "triple fault" 106 crash
same "triple fault: the sentence" 1 "$(grep -c 'the guest crashed by a triple fault' $error)"
run_case lean --initrd "$K/lean/initrd" -- /bin/die mmio
ends_soon "KVM error" 106 crash
same "KVM error: where" 1 "$(grep -c '^rip 00000000d0000000' $case/cpus.txt)"
run_case lean --initrd "$K/lean/initrd" -- /bin/die halt
ends_soon "all CPUs halted, interrupts off" 107 halted
run_case lean --idle-limit 3 --initrd "$K/lean/initrd" -- /bin/die spin
ends_soon "spins, interrupts off" 101 idle-limit 5

# 100 MiB there and back by vsock, and as much as is sensible by the serial line.
there_and_back()
{
	head -c "$1" /dev/urandom >/tmp/bytes
	start=$(cut -d ' ' -f 1 /proc/uptime)
	timeout -s KILL 600 straddle test --kernel "$K/lean/vmlinuz" --output $case --append "quiet $words" --limit 0 \
		-- @cat </tmp/bytes 2>$error | md5sum >$out
	same "$2: $1 bytes there and back" "$(md5sum </tmp/bytes)" "$(cat $out)"
	printf '    | %s: %s s in all: from %s to %s\n' "$2" "$(result_of seconds)" "$start" "$(cut -d ' ' -f 1 /proc/uptime)"
	rm -f /tmp/bytes
}
there_and_back $((100 << 20)) vsock
words=initcall_blacklist=virtio_vsock_init
there_and_back $((64 << 10)) serial
words=

# The other way alone, with the command's own check sum.
run_case lean --idle-limit 0 --memory 512M --initrd "$K/lean/initrd" -- /bin/busybox sh -c \
	'head -c 104857600 /dev/urandom >/bytes; /bin/busybox md5sum </bytes >&2; /bin/busybox cat /bytes'
same "100 MiB of output: status" 0 "$status"
printf '    | %s s in all\n' "$(result_of seconds)"
same "100 MiB of output: check sum" "$(grep -o '^[0-9a-f]*' $error | head -n 1)" "$(md5sum <$out | cut -d ' ' -f 1)"
