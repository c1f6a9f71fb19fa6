#!/bin/bash
# make bench: what straddle costs on this host's /dev/kvm above the floor (floor.c), or in the lab host where
# there is none. Prints numbers and ratios, asserts nothing. docs/performance.md says what they mean. A stock
# kernel beside QEMU is lab.sh.
#
#	RUNS	runs of each command after the warm-up (default 30; at 1.1 TiB a third of it)
set -euo pipefail
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
RUNS=${RUNS:-30}
guests=$BUILD/tests/guest
bench=$BUILD/tests/bench

if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
	echo "bench: no usable /dev/kvm here: in the lab host, whose CPU QEMU emulates"
	exec tests/bench/floor_lab.sh "$RUNS"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# pair NAME RUNS MEMORY FLOOR-OPTION...: the floor gets the plan's own memory slots. NAME "noise":
# the floor against itself.
pair()
{
	local name=$1 runs=$2 memory=$3 command
	shift 3
	"$BUILD/straddle" plan --memory "$memory" --json |
		jq -r '.dma[] | "\(.start)-\(.end)"' >"$work/slots"
	command=("$BUILD/straddle" run --kernel "$guests/exit.elf" --memory "$memory")
	# shellcheck disable=SC2207 # a list of words
	[[ $name != *noise ]] || command=("$bench/floor" "$@" $(cat "$work/slots"))
	# shellcheck disable=SC2046
	timeout -s KILL 600 "$bench/pair" "$runs" "$bench/floor" "$@" $(cat "$work/slots") -- \
		"${command[@]}" |
		awk -F '\t' -v name="$name" '{
			printf "%-26s %-6s %8.2f %8.2f %5.2f %8.2f %8.2f %5.2f\n", name, $1,
				$2 / 1000, $3 / 1000, $6, $4 / 1000, $5 / 1000, $5 / $4 }'
}

# private NAME MEMORY: KiB that are the VMM's own while a guest runs. Guest RAM is what straddle
# excludes from core dumps ("dd"), and nothing else of it has that flag.
private()
{
	local pid i
	mkfifo "$work/in"
	"$BUILD/straddle" run --kernel "$guests/monitor.elf" --memory "$2" \
		<"$work/in" >"$work/out" &
	pid=$!
	exec 9>"$work/in"
	for ((i = 0; i < 500; i++)); do
		grep -q ready "$work/out" && break
		sleep 0.02
	done
	awk -v name="$1" '/^[0-9a-f]+-/ { kib = 0 }
		/^Private_/ { kib += $2 }
		/^VmFlags:/ { if (/ dd/) guest += kib; else own += kib }
		END { printf "%-26s %d KiB (guest RAM in use: %d KiB)\n", name, own, guest }' \
		"/proc/$pid/smaps"
	printf p >&9
	exec 9>&-
	wait $pid
	rm "$work/in"
}

few=$((RUNS / 3 < 10 ? 10 : RUNS / 3))
echo "milliseconds; $RUNS runs at 256 MiB, $few at 1.1 TiB"
echo "                                   ------- median ------- ------- least --------"
echo "                           until     floor straddle ratio    floor straddle ratio"
pair "256 MiB" "$RUNS" 256M
pair "256 MiB, irqchip in floor" "$RUNS" 256M --irqchip
pair "1.1 TiB" $few 1126G
pair "1.1 TiB, irqchip in floor" $few 1126G --irqchip
pair "1.1 TiB, noise" $few 1126G
echo
echo "private memory beyond guest RAM"
private "256 MiB" 256M
private "1.1 TiB" 1126G
echo
if command -v strip >/dev/null; then # not in the lab
	strip -o "$work/straddle" "$BUILD/straddle"
	echo "program, stripped: $(stat -c %s "$work/straddle") bytes"
fi
