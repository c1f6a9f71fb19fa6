#!/bin/bash
# Every input of every fuzz target's corpus runs through the target, under the sanitizers.
cd "$(dirname "$0")/../.." || exit 1
for source in tests/fuzz/fuzz_*.c; do
	name=${source##*/fuzz_}
	name=${name%.c}
	if [ -z "$(ls "tests/fuzz/corpus/$name" 2>/dev/null)" ]; then
		echo "not ok $name # tests/fuzz/corpus/$name is empty"
	elif "$BUILD/tests/fuzz/fuzz_$name-replay" tests/fuzz/corpus/"$name"/*; then
		echo "ok $name"
	else
		echo "not ok $name"
	fi
done
