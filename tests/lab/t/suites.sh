# lab: host=lean kernels=lean limit=1200 with=suites
# The tests that need a KVM but no guest of the lab's: tests/guest/run.sh, tests/guest/terminal.sh (once
# more with the sanitizers), tests/fault/test_machine. tests/check.sh leaves them to this file where its machine
# has no KVM. /suites is laid out as the source tree is. They get the programs of a Debian, not busybox'.
. /lab/lib.sh
export PATH=/usr/bin:/bin BUILD=build CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
cd /suites || exit 1

# suite NAME COMMAND...: runs a suite and passes its results on.
suite()
{
	name=$1 begin=$(date +%s)
	shift
	{
		"$@" 2>&1
		echo "status $?"
	} | tee /tmp/suite | while read -r line; do
		case $line in
		"ok "*) result "ok $test: $name: ${line#ok }" ;;
		"not ok "*) result "not ok $test: $name: ${line#not ok }" ;;
		esac
	done
	status=$(sed -n '$s/^status //p' /tmp/suite)
	echo "$name: $(($(date +%s) - begin)) s"
	if [ "$status" != 0 ] || grep -q '^not ok' /tmp/suite; then
		grep -v '^ok' /tmp/suite | tail -n 40 | sed 's/^/    | /'
	fi
	if ! grep -q '^not ok' /tmp/suite; then
		same "$name: status" 0 "$status"
	fi
	at_least "$name: results" 10 "$(grep -c '^ok' /tmp/suite)"
}

suite guest tests/guest/run.sh
suite terminal tests/guest/terminal.sh
suite terminal/sanitizers env STRADDLE=build/straddle-san tests/guest/terminal.sh
suite fault/machine build/tests/fault/test_machine
