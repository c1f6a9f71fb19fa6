#!/bin/bash
# All lab tests, as TAP lines for tests/check.sh; what goes on meanwhile as comments. The consoles go
# to build/lab/log.
cd "$(dirname "$0")/../.." || exit 1
mkdir -p "$BUILD/lab"
rm -f "$BUILD/lab/summary"
tests/lab/kernel.sh 2> >(sed -u 's/^/# /') >/dev/null || exit 1
tests/lab/lab run 2>&1 | tee "$BUILD/lab/log" | sed -un 's/^lab: /# &/p'
status=${PIPESTATUS[0]}
cat "$BUILD/lab/summary" || tail -n 20 "$BUILD/lab/log"
exit "$status"
