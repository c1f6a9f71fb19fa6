#!/bin/bash
# suite.sh [CASES [RUNS]]: what straddle test costs a case beside the case itself (default 1000 cases, 5 runs): reading
# the files, admission, a process, the reports. The floor is a shell that starts the same cases one after the other, and
# no guest runs in either, because the kernel's file is empty. Prints medians and their ratio. Not a test.
set -euo pipefail
cd "$(dirname "$0")/../.."
cases=${1:-1000} runs=${2:-5}
straddle=$PWD/${BUILD:-build}/straddle
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
{
	echo '[default]'
	echo 'kernel = /dev/null'
	echo 'command = @facts'
	echo 'expect = usage'
	for ((i = 0; i < cases; i++)); do printf '[case %d]\nmemory = %dM\n' $i $((2 + i % 64 * 2)); done
} >all.test
now() { date +%s%N; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
for ((run = 0; run < runs; run++)); do
	start=$(now)
	for ((i = 0; i < cases; i++)); do
		"$straddle" test --kernel /dev/null --memory $((2 + i % 64 * 2))M --expect usage -- @facts
	done
	echo $((($(now) - start) / cases)) >>floor
	for jobs in 1 2 auto; do
		start=$(now)
		"$straddle" test all.test -j $jobs --json report >/dev/null
		echo $((($(now) - start) / cases)) >>"jobs-$jobs"
	done
done
printf '%-24s %10s %7s\n' "$cases cases" "us each" ratio
for file in floor jobs-1 jobs-2 jobs-auto; do
	echo "$file $(median <$file) $(median <floor)"
done | awk '{ printf "%-24s %10.1f %7.2f\n", $1, $2 / 1000, $2 / $3 }'
