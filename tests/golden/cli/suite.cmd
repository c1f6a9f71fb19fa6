# straddle test with files of cases: what it refuses. No case is run.
test tests/golden/suites/good.test --list
test tests/golden/suites/good.test --list --filter 'cpus=4' --repeat 2
test tests/golden/suites/good.test tests/golden/suites/key.test
test tests/golden/suites/expect.test
test tests/golden/suites/regex.test
test tests/golden/suites/empty.test
test tests/golden/suites/matrix.test
test tests/golden/suites/twice.test
test tests/golden/suites/check.test
test tests/golden/suites/none.test
test /no/such/file
test tests/golden
test tests/golden/suites/good.test -- @facts
test tests/golden/suites/good.test --filter nothing
test tests/golden/suites/good.test --filter '('
test tests/golden/suites/good.test --shard 3/2
test tests/golden/suites/good.test --shard 1
test tests/golden/suites/good.test --jobs 0
test tests/golden/suites/good.test --repeat 100000
test --kernel /dev/null --jobs 2 -- true
test --kernel /dev/null --expect soon -- true
test --kernel /dev/null --expect usage -- true
test --kernel /dev/null --console-has '[' -- true
test --kernel /dev/null --slurm -- true
