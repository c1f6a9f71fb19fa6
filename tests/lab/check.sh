#!/bin/bash
# All lab tests, as TAP lines for tests/check.sh. The consoles go to build/lab/log.
cd "$(dirname "$0")/../.." || exit 1
mkdir -p "$BUILD/lab"
rm -f "$BUILD/lab/summary"
tests/lab/kernel.sh >/dev/null || exit 1
tests/lab/lab run >"$BUILD/lab/log" 2>&1
status=$?
cat "$BUILD/lab/summary" || tail -n 20 "$BUILD/lab/log"
exit $status
