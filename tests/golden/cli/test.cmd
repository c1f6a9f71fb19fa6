# straddle test: what it refuses, with its own status for that. No case is run.
test
test --kernel /dev/null
test --kernel /dev/null -- @facts
test --kernel /dev/null uname -r
test --kernel /dev/null --init none -- true
test --kernel /dev/null --init none --root host
test --kernel /dev/null --init busybox
test --kernel /dev/null --boot-limit 1h -- true
test --kernel /dev/null --allow-splat '(' -- true
test --kernel /dev/null --serial stdio -- true
test --kernel /dev/null --root /no/such -- true
test --kernel /dev/null --modules /no/such -- true
test --kernel /dev/null --no-reboot -- true
run --kernel /dev/null --root host
