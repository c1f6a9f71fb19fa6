# Sourced behind lib.sh by tests of straddle test with one case at a time.
case=/tmp/case out=/tmp/out error=/tmp/error

words= # more of the kernel's command line

# as_case COMMAND...: runs a case, which leaves what it leaves in $case. Sets $status; the output is in $out, straddle's
# own words in $error.
as_case()
{
	rm -rf $case
	"$@" >$out 2>$error
	status=$?
	cp $case/console.log "$log" 2>/dev/null || cp $error "$log"
	shown=
	printf '    | %s\n' "$status $(tail -n 2 $error | tr '\n' ' ')"
}

# run_case KERNEL OPTION... -- COMMAND...
run_case()
{
	kernel=$1
	shift
	as_case timeout -s KILL $limit straddle test --kernel "$K/$kernel/vmlinuz" --output $case --append "quiet $words" "$@"
}

# result_of KEY: a number in the last case's result. verdict: how it ended, in a word.
result_of() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" $case/result.json | head -n 1; }
verdict() { grep -o '"verdict": *"[^"]*"' $case/result.json | cut -d '"' -f 4; }

# ends NAME STATUS WORD: the last case ended so, by its status and in its result.
ends()
{
	same "$1: status" "$2" "$status"
	same "$1: result.json" "$3" "$(verdict)"
}
