#!/bin/bash
# Tests of straddle test with files of cases, without a guest: what is chosen, run, reported and refused. All cases end
# as they are started, because /dev/null is no kernel, or wait for ever, because a pipe's writer says nothing.
set -u
. "$(dirname "$0")/lib.sh"

cat >a.test <<'E2'
[default]
kernel = /dev/null
command = @facts
expect = usage
[case one]
matrix memory = 512M | 1.5T
[case two]
matrix cpus = 1 | 4 | 8
E2
printf '[default]\nkernel = /dev/null\ncommand = true\n[case bad]\n[case good]\nexpect = usage\n' >b.test
mkdir folder empty && cp a.test b.test folder/ && echo nonsense >folder/README

# --- which cases ---

check "names of a matrix" [ "$("$straddle" test a.test --list | tr '\n' '|')" = \
	'one memory=512M|one memory=1.5T|two cpus=1|two cpus=4|two cpus=8|' ]
check "names of several files" [ "$("$straddle" test a.test b.test --list --filter 'good|T$' | tr '\n' '|')" = \
	'a/one memory=1.5T|b/good|' ]
check "a folder is its files *.test" [ "$("$straddle" test folder --list | wc -l)" = 7 ]
for i in 1 2 3; do "$straddle" test a.test --list --shard $i/3; done | sort >shards
check "shards are all cases, each once" cmp -s shards <("$straddle" test a.test --list | sort)
"$straddle" test b.test --shard 3/3 >/dev/null
check "more shards than cases: nothing to do is no error" [ $? = 0 ]
check "repeated cases have names of their own" [ "$("$straddle" test b.test --filter good --list --repeat 2 | tr '\n' '|')" = \
	'good (1 of 2)|good (2 of 2)|' ]

# --- runs and reports ---

"$straddle" test a.test -j 3 --json a.json --junit a.xml --ktap a.ktap >a.tap 2>a.err
check "all pass: status 0" [ $? = 0 ]
check "all pass: TAP" [ "$(grep -c '^ok ' a.tap) $(head -2 a.tap | tr '\n' '|')" = '5 TAP version 14|1..5|' ]
check "all pass: nothing on standard error" [ ! -s a.err ]
check "all pass: nothing is left" [ ! -e straddle-test ]
check "all pass: JSON" [ "$(jq -c '[.summary.passed, ([.cases[].exit] | add), (.cases | length)]' a.json)" = '[5,0,5]' ]
check "all pass: JUnit" [ "$(grep -c '<testcase ' a.xml)" = 5 ]
check "all pass: KTAP" [ "$(grep -c '^ok ' a.ktap)" = 5 ]

"$straddle" test b.test --json b.json >b.tap
check "one fails: status 1" [ $? = 1 ]
check "one fails: which" [ "$(jq -c '[.cases[] | [.name, .passed, .verdict]] | sort' b.json)" = \
	'[["bad",false,"usage"],["good",true,"usage"]]' ]
check "one fails: why" [ "$(jq -r '.cases[] | select(.passed | not).sentence' b.json)" = \
	'--kernel /dev/null: an empty file, not a kernel' ]
"$straddle" test b.test --fail-fast --retry 3 --json ff.json >ff.tap
check "--fail-fast: the others are skipped" [ "$(jq -c '.summary | [.failed, .skipped, .cases]' ff.json)" = '[1,1,2]' ]
check "a mistake of the user is not tried again" [ "$(jq '[.cases[].attempts] | max' ff.json)" = 1 ]
check "--fail-fast: why, in TAP" grep -q '^ok 2 - good # SKIP not run, because another case failed' ff.tap
"$straddle" test b.test --filter good --output kept >/dev/null
check "--output: every case leaves something" [ -s kept/good/result.json ]
check "the command line wins over files" [ "$("$straddle" test b.test --filter good --expect panic >/dev/null; echo $?)" = 1 ]

"$straddle" test a.test --json /dev/full >/dev/null 2>err
check "a full disk behind --json: status 112" [ $? = 112 ]
check "a full disk behind --json: which report" grep -q '^straddle: /dev/full: cannot write the report' err
"$straddle" test a.test >/dev/full 2>err
check "a full disk behind TAP: status 112" [ $? = 112 ]
"$straddle" test a.test --junit no/such/file >/dev/null 2>err
check "a report that cannot be written: before any case" [ $? = 112 ]
"$straddle" test --kernel /dev/null --expect usage --junit one.xml --json one.json -- @facts
check "one case can be expected to fail" [ $? = 0 ]
check "one case has reports, too" [ "$(jq -c '[.summary.passed, .cases[0].exit]' one.json)$(grep -c '<testcase' one.xml)" = '[1,0]1' ]

# --- the end of the runner ---

mkfifo pipe
printf '[default]\nkernel = pipe\ncommand = true\n[case a]\n[case b]\n[case c]\n' >wait.test

# children PID: its processes, as soon as there are two.
children()
{
	for _ in $(seq 600); do
		mapfile -t pids < <(cat "/proc/$1/task/$1/children" | tr ' ' '\n' | grep .)
		[ ${#pids[@]} = 2 ] && break
		sleep 0.1
	done
}
gone() # PID...: whether all have ended
{
	for _ in $(seq 600); do
		kill -0 "$@" 2>/dev/null || return 0
		sleep 0.1
	done
	return 1
}
"$straddle" test wait.test -j 2 --json int.json >int.tap 2>err &
runner=$!
children $runner
check "two cases at a time" [ ${#pids[@]} = 2 ]
kill -TERM $runner
wait $runner
check "SIGTERM: status 114" [ $? = 114 ]
check "SIGTERM: the report has all cases" [ "$(jq -c '.summary | [.cases, .failed, .skipped]' int.json)" = '[3,2,1]' ]
check "SIGTERM: nothing is left" gone "${pids[@]}"
"$straddle" test wait.test -j 2 >/dev/null 2>&1 &
runner=$!
children $runner
kill -KILL $runner
wait $runner 2>/dev/null
check "SIGKILL: nothing is left" gone "${pids[@]}"

(trap '' HUP; exec "$straddle" test wait.test --filter a --json hup.json >/dev/null 2>&1) &
runner=$!
eventually grep -q . "/proc/$runner/task/$runner/children"
kill -HUP $runner
sleep 1
check "nohup: a closed terminal ends nothing" kill -TERM $runner
wait $runner
check "nohup: SIGTERM does" [ $? = 114 ]
(trap '' CHLD; exec "$straddle" test a.test --filter one >ignored.tap)
check "a parent that ignores its children" [ "$(grep -c '^ok ' ignored.tap)" = 2 ]

"$straddle" test wait.test --filter 'a' --retry 1 --json killed.json >killed.tap &
runner=$!
for n in 1 2; do
	pid=
	for _ in $(seq 600); do
		read -r pid < <(tr -d ' ' <"/proc/$runner/task/$runner/children"; echo)
		[ -n "$pid" ] && [ "$pid" != "${last:-}" ] && break
		sleep 0.1
	done
	last=$pid
	kill -KILL "$pid"
done
wait $runner
check "a case that is killed is tried again, and fails" [ "$(jq -c '.cases[0] | [.passed, .verdict, .attempts]' killed.json)" = \
	'[false,"host-error",2]' ]
check "a case that is killed: why" grep -q 'straddle itself was ended by signal 9 (Killed)' killed.tap
