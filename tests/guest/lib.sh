# Functions that the scripts that run straddle share. Each script runs in a directory of its own, $work. $STRADDLE
# names a program to test instead of the one in $BUILD.
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
cd "$root" || exit 1
straddle=$root/${STRADDLE:-$BUILD/straddle}
guests=$root/$BUILD/tests/guest
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

check() # NAME CONDITION...
{
	local name=$1
	shift
	if "$@"; then echo "ok $name"; else echo "not ok $name"; fi
}

# Ends the script where no guest can run. There tests/check.sh has the lab run it.
need_kvm()
{
	[ -r /dev/kvm ] && [ -w /dev/kvm ] && return
	echo "ok guests on /dev/kvm # SKIP no usable /dev/kvm on this host"
	exit 0
}

# eventually COMMAND...: repeats the command until it succeeds, for a minute at most, because slow machines
# emulate.
eventually()
{
	local end=$((SECONDS + 60))
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.02
	done
}
