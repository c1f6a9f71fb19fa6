# lab: host=lean kernels=lean with=modules limit=1500
# straddle test with files of cases: real guests, several at a time, in every report; the end of the runner. The cases
# are in /lab/cases.
. /lab/lib.sh
. /lab/cases.sh

# of_json NAME KEY: a value in the JSON report, which has a line for each case.
of_json() { grep -F "\"name\":\"$1\"" $json | grep -o "\"$2\":[^,]*" | head -1 | cut -d: -f2; }

# Endings that are expected, and some that are not.
suite ends -j 2 --junit /tmp/junit --ktap /tmp/ktap --boot-limit 200
same "ends: some fail" 1 "$status"
same "ends: passed" 6 "$(grep -c '^ok ' $tap)"
for name in panic no-root reset halted silent "status command=@status 0"; do
	same "ends: $name" true "$(of_json "$name" passed)"
done
same "ends: a status" 3 "$(of_json "status command=@status 3" status)"
same "ends: a status above 99" 200 "$(of_json "status command=@status 200" status)"
same "ends: another end than expected" '"unexpected"' "$(of_json unlike verdict)"
same "ends: words that do not come" '"unexpected"' "$(of_json lacks verdict)"
same "ends: JUnit tells failures" 4 "$(grep -c '<failure' /tmp/junit)"
same "ends: KTAP tells failures" 4 "$(grep -c '^not ok' /tmp/ktap)"
same "ends: what failed leaves a folder" "lacks unlike" \
	"$(ls straddle-test | grep -E 'lacks|unlike' | xargs)"
same "ends: with the console" 1 "$([ -s straddle-test/unlike/console.log ] && echo 1)"
same "ends: and what it printed" 1 "$([ -s straddle-test/unlike/output.log ] && echo 1)"
same "ends: what passed leaves none" "" "$(ls straddle-test | grep -E 'panic|reset')"

# Passing at the second attempt, and one disk for several.
truncate -s 1M flaky shared
suite disk --filter flaky --retry 2
same "retry: passes, and says flaky" "0 true true 2" \
	"$status $(of_json flaky passed) $(of_json flaky flaky) $(of_json flaky attempts)"
truncate -s 0 flaky && truncate -s 1M flaky
suite disk --filter flaky
same "without --retry it fails" 1 "$status"
suite disk --filter shared -j 3
same "one disk: no two guests at a time" "0 3" "$status $(grep -c '^ok' $tap)"

# A hundred of them.
printf '[case short]\nkernel = /k/lean/vmlinuz\nmemory = 128M\nappend = quiet\ncommand = @status 0\n' >short.test
run_suite short.test --repeat 100 -j 2 --boot-limit 200
same "100 cases, two at a time" "0 100" "$status $(grep -c '^ok' $tap)"

# A full disk for what cases leave: the cases' results count all the same.
mkdir -p full
if mount -t tmpfs -o size=64k none full 2>/dev/null; then
	suite ends --filter unlike --output full
	same "a full disk for the folder" 1 "$status"
	umount full
fi

# SIGKILL of the runner ends guests and helper programs; SIGTERM ends them and leaves reports.
printf '[default]\nkernel = /k/lean/vmlinuz\nmemory = 256M\nidle-limit = 0\nmodules = /lab/modules\nroot = /lab\ncommand = @idle 1000\n[case a]\n[case b]\n' >idle.test
for signal in TERM KILL; do
	rm -f $json
	straddle test idle.test -j 2 --json $json >$tap 2>/tmp/error &
	straddle=$!
	tries=600
	until [ "$(pidof virtiofsd | wc -w)" -ge 2 ] || [ "$((tries -= 1))" = 0 ]; do
		sleep 0.2
	done
	kill -$signal $straddle
	wait $straddle
	status=$?
	tries=100
	while pidof straddle virtiofsd >/dev/null && [ "$((tries -= 1))" -gt 0 ]; do
		sleep 0.2
	done
	same "SIG$signal: nobody is left" 0 "$(pidof straddle virtiofsd | wc -w)"
	[ $signal = KILL ] || same "SIGTERM: status and report" "114 2" "$status $(grep -c interrupted $json)"
done
