#!/bin/bash
# Runs all lab tests, with results as TAP lines for tests/check.sh and progress as comments. The consoles go to
# build/lab/log.
cd "$(dirname "$0")/../.." || exit 1
mkdir -p "$BUILD/lab"
rm -f "$BUILD/lab/summary"
# If neither kernel nor Debian disk is cached, the disk, which needs one CPU, is made while the kernel is built.
tests/lab/rootfs.sh >/dev/null 2>&1 &
rootfs=$!
tests/lab/kernel.sh 2> >(sed -u 's/^/# /') >/dev/null || exit 1
wait $rootfs # the lab says why it is not there
tests/lab/lab run 2>&1 | tee "$BUILD/lab/log" | sed -un 's/^lab: /# &/p'
status=${PIPESTATUS[0]}
cat "$BUILD/lab/summary" || tail -n 20 "$BUILD/lab/log"
exit "$status"
