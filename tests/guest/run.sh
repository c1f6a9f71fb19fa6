#!/bin/bash
# Tiny guests on this host's /dev/kvm. They use plain integer instructions, so they also run where
# KVM only emulates. Every run has a time limit of its own: SIGTERM only presses the power button.
set -u
. "$(dirname "$0")/lib.sh"
amd=vendor=amd,family=25,phys-bits=48
need_kvm

run() # GUEST OPTION...: runs it with empty input; $out and $status tell
{
	local guest=$1
	shift
	out=$(timeout -s KILL 100 "$straddle" run --kernel "$guests/$guest.elf" \
		--debug-exit 0xf4 "$@" 2>"$work/stderr" </dev/null)
	status=$?
}

# Talks to monitor.S: each argument is "WAIT-FOR-TEXT=SEND". $out and $status tell.
talk() # OPTIONS -- STEP...
{
	local options=() step pid
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	rm -f "$work/in"
	mkfifo "$work/in"
	: >"$work/out"
	timeout -s KILL 100 "$straddle" run --kernel "$guests/monitor.elf" --memory 4M \
		"${options[@]}" <"$work/in" >"$work/out" 2>"$work/stderr" &
	pid=$!
	exec 9>"$work/in"
	for step in "$@"; do
		await "${step%%=*}" || break
		printf '%s' "${step#*=}" >&9
	done
	wait $pid
	status=$?
	exec 9>&-
	out=$(cat "$work/out")
}

ends_with() { [[ $(<"$work/out") == *"$1" ]]; } # TEXT
await() { eventually ends_with "$1"; } # TEXT: until the output does

usable() # OPTION...: the E820 that the plan promises, as walk.S prints it
{
	"$straddle" plan --json "$@" | jq -r '.["e820"][] | select(.type == "usable") | "\(.start) \(.end)"' |
		while read -r start end; do printf '%016x %016x\n' "$start" "$end"; done
}

# --- memory ---

walk() # NAME OPTION...: replays a plan of an AMD host, whatever this host is
{
	local name=$1 expected
	shift
	expected=$(usable --host $amd "$@")
	"$straddle" plan --host $amd "$@" --dtb "$work/plan.dtb"
	run walk --plan "$work/plan.dtb"
	check "$name: the guest has the planned E820" [ "$out" = "$expected" ]
	check "$name: every range holds what was written" \
		[ $status = $(($(wc -l <<<"$expected") << 1 | 1)) ]
}
walk "2 MiB" --memory 2M
walk "256 MiB" --memory 256M
walk "5 GiB" --memory 5G
walk "across the hole" --memory 1G --low-memory 512M --high-memory-start 0xFCF0000000
walk "1.1 TiB by the AMD rule" --memory 1126G
walk "four holes at odd places" --memory 9G --reserve 0x40001000-0x40002000 \
	--reserve 0x123456789-0x12345678a --reserve 6G-7G --reserve 0x200000000-0x200000001
check "1.1 TiB lies on both sides of the hole" \
	grep -q '^0000010000000000' <<<"$(usable --host $amd --memory 1126G)"

# --- CPUs ---

for n in 1 2 4 16; do
	run smp --memory 16M --cpus $n --append $n
	check "$n CPUs start" [ $status = $((n << 1 | 1)) ]
done

run wide --memory 16M --cpus 300 --append 300
check "300 CPUs start, and the last has interrupts of the serial line" [ $status = 1 ]

run timer --memory 16M
check "the PIT counts, and port 0x61 shows it" [ $status = 11 ]

# --- ACPI and CMOS ---

run acpi --memory 16M
check "ACPI tables are there" [ "$out" = $'FACP\nAPIC\nMCFG\nSSDT' ]
check "ACPI checksums" [ $status = 9 ]
run acpi --memory 64M --numa 32M --numa 32M --cpus 2
check "ACPI has SRAT and SLIT with nodes" [ "$out" = $'FACP\nAPIC\nMCFG\nSRAT\nSLIT\nSSDT' ]

cmos() # OPTION...: what the plan says, as monitor.S prints it
{
	"$straddle" plan --json "$@" | jq -r '.cmos | [.above_16m_64k % 256,
		(.above_16m_64k / 256 | floor), .above_4g_64k % 256,
		(.above_4g_64k / 256 | floor) % 256, (.above_4g_64k / 65536 | floor)] | .[]' |
		while read -r byte; do printf '%016x\n' "$byte"; done
}
"$straddle" plan --host $amd --memory 1126G --dtb "$work/plan.dtb"
rm -f "$work/in"; mkfifo "$work/in"; : >"$work/out"
out=$(printf 'cp' | timeout -s KILL 60 "$straddle" run --kernel "$guests/monitor.elf" \
	--plan "$work/plan.dtb" 2>/dev/null)
check "CMOS memory sizes" \
	[ "$(sed -n 2,6p <<<"$out")" = "$(cmos --host $amd --memory 1126G)" ]
check "RTC century and year" \
	[ "$(sed -n 7,8p <<<"$out" | cut -c15- | tr -d '\n')" = "$(date -u +%Y)" ]

# --- the serial line ---

talk -- ready=$'ehello, world\n' world=p
check "serial echo" [ "$out" = $'ready\nhello, world' ]
long=$(head -c 3000 /dev/zero | tr '\0' x)
out=$(printf 'e%s\nfp' "$long" | timeout -s KILL 60 "$straddle" run \
	--kernel "$guests/monitor.elf" --memory 4M)
check "serial input of 3000 bytes at once, 4096 out" \
	[ "$(sed 1d <<<"$out" | tr -d '\n' | wc -c)" = 7096 ]

out=$(printf 'fp' | timeout -s KILL 60 "$straddle" run --kernel "$guests/monitor.elf" --memory 4M \
	--serial "unix:$work/sock" --debug-exit 0xf4 2>&1 & pid=$!
	eventually [ -S "$work/sock" ]
	printf 'fd' | timeout 60 socat -t 30 - "UNIX-CONNECT:$work/sock" 2>&1
	wait $pid; echo "status $?")
check "serial over a Unix socket: early output is kept for the reader" \
	[ "$(head -n 1 <<<"$out")" = ready ]
check "serial over a Unix socket: nothing is lost" [ "$(tr -dc . <<<"$out" | wc -c)" = 4096 ]
check "serial over a Unix socket: debug exit" grep -q 'status 85' <<<"$out"
check "the socket is removed" [ ! -e "$work/sock" ]
printf 'fp' | timeout -s KILL 60 "$straddle" run --kernel "$guests/monitor.elf" --memory 4M |
	{ sleep 0.5; wc -c; } >"$work/count"
check "a slow reader gets everything" [ "$(cat "$work/count")" = 4103 ]

# --- ends ---

talk -- ready=p
check "power-off: status 0" [ $status = 0 ]
talk --no-reboot -- ready=r
check "reset with --no-reboot: status 5" [ $status = 5 ]
talk --no-reboot -- ready=k
check "keyboard controller's reset line: status 5" [ $status = 5 ]
talk --no-reboot --cpus 2 -- ready=j
check "a jump to the BIOS resets: status 5" [ $status = 5 ]
talk --no-reboot --cpus 2 -- ready=i
check "an INIT of the boot CPU resets: status 5" [ $status = 5 ]
talk -- ready=r $'ready\nready'=k $'ready\nready\nready'=p
check "two resets reboot, then power-off" [ $status = 0 ]
talk -- ready=x
check "pvpanic: status 4" [ $status = 4 ]
talk --debug-exit 0xf4 -- ready=d
check "debug exit 42: status 85" [ $status = 85 ]
talk --debug-exit 0xf4,base=16 -- ready=d
check "debug exit 42 from 16 on: status 58" [ $status = 58 ]
run mute --memory 4M
check "triple fault without a word: status 3" [ $status = 3 ]
check "triple fault without a word: registers are shown" grep -q '^rip ' "$work/stderr"
talk --no-reboot -v -- ready=t
check "triple fault later: a reset, status 5" [ $status = 5 ]
check "triple fault later: registers are shown with -v" grep -q '^rip ' "$work/stderr"
# An AMD CPU loses its registers in a triple fault, and KVM resets it (shutdown_interception in
# arch/x86/kvm/svm/svm.c).
if [ "$("$straddle" check --json | jq -r .cpu.vendor)" != amd ]; then
	check "triple fault later: the code is shown" grep -q 'code at rip: 0f 0b' "$work/stderr"
fi
talk -- ready=t $'ready\nready'=p
check "triple fault later: the guest boots again" [ $status = 0 ]
talk -- ready=m
check "a jump to where no memory is: status 3" [ $status = 3 ]
check "a jump to where no memory is: KVM's error" grep -q 'it would have to emulate and cannot' "$work/stderr"
check "a jump to where no memory is: where" grep -q '^rip 00000000d0000000' "$work/stderr"
if "$straddle" check >/dev/null 2>&1; then
	echo "ok emulation failure: status 3 # SKIP this host's KVM executes; it has none"
else
	talk -- ready=b
	check "emulation failure: status 3" [ $status = 3 ]
	check "emulation failure: says so" grep -q 'straddle check' "$work/stderr"
fi

# --- panics that only the console tells of; the monitor does not sleep while it waits for a letter ---

panic='Kernel panic - not syncing: no root'
talk -- ready="e[    1.234567] $panic"$'\n' root=r
check "a panic's line and a reset: status 4" [ $status = 4 ]
check "a panic's line is repeated last" \
	[ "$(tail -n 1 "$work/stderr")" = "straddle: the guest's kernel panicked: $panic" ]
talk -- ready="e$panic"$'\n'
check "a panic's line and silence: status 4" [ $status = 4 ]
talk --timeout 8 -- ready="e$panic"$'\n' root=s
check "a panic's line of a guest that sleeps is text" [ $status = 6 ]
talk --timeout 8 --append "crashkernel=64M" -- ready="e$panic"$'\n'
check "a panic's line is waited with where a crash kernel may run" [ $status = 6 ]
talk -- ready="e$panic"$'\n' root=p
check "a panic's line and power-off: status 0" [ $status = 0 ]
talk --panic-watch pvpanic -- ready="e$panic"$'\n' root=r ready=p
check "--panic-watch pvpanic: a panic's line is text" [ $status = 0 ]

# --- limits of time ---

talk --timeout 1 -- ready=s
check "--timeout: status 6" [ $status = 6 ]
check "--timeout: says so" \
	[ "$(cat "$work/stderr")" = "straddle: the guest did not end within 1 s (--timeout)" ]
talk --timeout 1 -- ready=h
check "--timeout: of a guest that died" grep -q 'interrupts off, it had died' "$work/stderr"

# --- signals: the first SIGTERM presses the button, the second ends ---

signal() # NAME LETTER EXPECTED SIGNAL...
{
	local name=$1 letter=$2 expected=$3 pid s
	shift 3
	: >"$work/out"
	rm -f "$work/in"
	mkfifo "$work/in"
	timeout -s KILL 100 "$straddle" run --kernel "$guests/monitor.elf" --memory 4M \
		--stop-timeout "${grace:-10}" <"$work/in" >"$work/out" 2>"$work/stderr" &
	pid=$!
	exec 9>"$work/in"
	await ready
	printf '%s' "$letter" >&9
	[ "$letter" != w ] || await waiting
	for s; do
		pkill "-$s" -P $pid
		sleep 0.5
	done
	wait $pid
	status=$?
	exec 9>&-
	check "$name" [ $status = "$expected" ]
}
signal "SIGTERM: the guest sees the power button and powers off" w 0 TERM
grace=0 signal "a guest that ignores SIGTERM is ended by the second" n 143 TERM TERM
grace=1 signal "a guest that ignores SIGTERM is ended after --stop-timeout" n 143 TERM
check "--stop-timeout: says so" grep -q 'within 1 s of SIGTERM (--stop-timeout)' "$work/stderr"
signal "SIGINT: status 130" n 130 INT
signal "SIGHUP: status 129" n 129 HUP
