#!/bin/bash
# floor_lab.sh RUNS: run.sh in the lab's lean host, for machines without a usable /dev/kvm.
set -euo pipefail
runs=$1
BUILD=${BUILD:-build}
. "$(dirname "$0")/vmm.sh"

# The files that run.sh needs in the lab host, laid out as in the source tree.
with_floor()
{
	local to=$1/floor
	mkdir -p "$to"/{tests/bench,build/tests/bench}
	cp tests/bench/run.sh "$to/tests/bench/"
	cp -r "$BUILD/tests/guest" "$to/build/tests/"
	cp "$BUILD/tests/bench"/{floor,pair} "$to/build/tests/bench/"
	strip -o "$to/build/straddle" "$BUILD/straddle"
	add_libraries "$1" "$BUILD/tests/bench/floor" "$BUILD/tests/bench/pair"
	add_bash "$1" awk cat dirname env grep jq mkfifo mktemp rm seq sleep stat timeout
}

with=floor prepare lean "" bench
rm -rf "$extra" && mkdir -p "$extra/lab/t"
cat >"$extra/lab/t/bench.sh" <<-END
	# lab: root=yes
	cd /floor && PATH=/usr/bin:/bin RUNS=$runs tests/bench/run.sh 2>&1 | tee /dev/fd/3
END
run_bench $((120 + runs * 20))
strip -o "$out/straddle" "$BUILD/straddle"
echo "program, stripped: $(stat -c %s "$out/straddle") bytes"
