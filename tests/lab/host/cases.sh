# Sourced behind lib.sh by tests that run files of cases, /lab/cases.
tap=/tmp/tap json=/tmp/json
cd /tmp || exit 1

# suite FILE OPTION...: runs it, sets $status; reports are in $tap and $json.
suite()
{
	file=$1
	shift
	rm -rf straddle-test $json
	run_suite "/lab/cases/$file.test" "$@"
}
# run_suite OPTION...: shows the report as it comes, because a host that says nothing is taken for one that stands still.
run_suite()
{
	{
		straddle test --json $json "$@" 2>/tmp/error
		echo "status $?"
	} | tee $tap | while read -r line; do echo "    | $line"; done
	status=$(sed -n 's/^status //p' $tap)
	cp /tmp/error "$log"
	shown=
}
