#!/bin/bash
# Runs the test suites and ends with one line: N passed, N failed, N skipped.
#
# A suite is a command that prints TAP-like lines (`ok NAME`, `not ok NAME # why`, `ok NAME # SKIP reason`). A
# suite that exits non-zero without a `not ok`, or prints no result at all, has failed.
#
#	check.sh fast	pure tests: unit, fuzz corpora, golden, layering, purity, format
#	check.sh all	and the failing-call tests, guests on this host's /dev/kvm, the lab. Where there is no
#			such KVM, tests/lab/t/suites.sh alone runs in the lab what needs one.
set -uo pipefail
cd "$(dirname "$0")/.."
export BUILD=${BUILD:-build} CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1} UBSAN_OPTIONS=print_stacktrace=1
passed=0 failed=0
skips=() failures=()

suite() # NAME COMMAND...
{
	local name=$1 line out status results=0 bad=0
	shift
	out=$(mktemp)
	echo "== $name"
	"$@" 2>&1 | tee "$out" | grep --line-buffered -E '^(not ok|# |== )|# SKIP' || true
	status=${PIPESTATUS[0]}
	while IFS= read -r line; do
		case $line in
		"not ok"*) failures+=("$name: ${line#not ok}"); bad=1 ;;
		"ok"*"# SKIP"*) skips+=("$name: ${line#ok}") ;;
		"ok"*) passed=$((passed + 1)) ;;
		*) continue ;;
		esac
		results=$((results + 1))
	done <"$out"
	failed=${#failures[@]}
	if { [ "$status" != 0 ] && [ $bad = 0 ]; } || [ $results = 0 ]; then
		tail -n 30 "$out"
		failures+=("$name: exit status $status after $results results")
		failed=${#failures[@]}
	elif [ $bad = 1 ]; then
		grep -vE '^ok' "$out" | tail -n 40
	fi
	rm -f "$out"
}

suite layers tests/layers.sh
suite purity tests/purity.sh
suite clang tests/clang.sh
suite format tests/format.sh
for t in "$BUILD"/tests/unit/*/test_*; do
	case $t in *.o | *.d) continue ;; esac
	suite "unit/$(sed 's,.*/\([^/]*\)/test_,\1/,' <<<"$t")" "$t"
done
suite fuzz tests/fuzz/replay.sh
suite golden tests/golden/run.sh
suite golden/acpi tests/golden/acpi.sh
if [ "${1:-fast}" = all ]; then
	suite cli tests/guest/cli.sh
	suite cli/sanitizers env STRADDLE="$BUILD/straddle-san" tests/guest/cli.sh
	suite suite tests/guest/suite.sh
	suite suite/sanitizers env STRADDLE="$BUILD/straddle-san" tests/guest/suite.sh
	suite slurm tests/guest/slurm.sh
	suite slurm/sanitizers env STRADDLE="$BUILD/straddle-san" tests/guest/slurm.sh
	for t in "$BUILD"/tests/fault/test_*; do
		case $t in *.o | *.d | */test_machine) continue ;; esac
		suite "fault/${t##*/test_}" "$t"
	done
	suite tidy tests/tidy.sh
	for t in "$BUILD"/tsan/tests/fault/test_*; do
		case $t in *.o | *.d) continue ;; esac
		# Its ThreadSanitizer takes no more than 28 bits of address randomization (vm.mmap_rnd_bits).
		suite "tsan/${t##*/test_}" setarch -R "$t"
	done
	if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
		suite fault/machine "$BUILD/tests/fault/test_machine"
		suite terminal tests/guest/terminal.sh
		suite terminal/sanitizers env STRADDLE="$BUILD/straddle-san" tests/guest/terminal.sh
		suite guest tests/guest/run.sh
	else
		echo "# no usable /dev/kvm here: fault/machine, terminal and guest run in the lab alone"
	fi
	suite lab tests/lab/check.sh
fi

for line in "${skips[@]+"${skips[@]}"}"; do echo "skipped $line"; done
for line in "${failures[@]+"${failures[@]}"}"; do echo "failed $line"; done
echo "$passed passed, $failed failed, ${#skips[@]} skipped"
[ "$failed" = 0 ]
