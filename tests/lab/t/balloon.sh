# lab: host=lean kernels=lean limit=400
# Memory that a guest gives back, measured on the host, and the other commands of --control.
. /lab/lib.sh
control=/tmp/control

# resident: prints straddle's memory in MiB. becomes OPERATOR MIB: waits until the comparison is true.
resident() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(pidof straddle)/status"; }
becomes()
{
	tries=100
	while ! [ "$(resident)" "$1" "$2" ] && [ "$((tries -= 1))" -gt 0 ]; do
		sleep 0.2
	done
	resident
}
# given BYTES: waits until the guest reports that it has given back so much.
given()
{
	tries=50
	until [ "$(field balloon "$(ask $control memory)")" = "$1" ] || [ "$((tries -= 1))" = 0 ]; do
		sleep 0.2
	done
}
# field NAME JSON: prints a number.
field() { echo "$2" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }

head -c 4194304 /dev/urandom >/tmp/image
# shellcheck disable=SC2086 # a list of options
interactive lean fill,ask,disks,ask $across --balloon 0 --control $control --disk /tmp/image
same "free pages: the host has most of them back" yes "$([ "$(becomes -lt 250)" -lt 250 ] && echo yes)"
at_least "free pages: they had been used" 800 \
	"$(awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$(pidof straddle)/status")"

answer=$(ask $control memory)
at_least "memory: the guest's numbers" 600 $(($(field free_bytes "$answer") / 1048576))
same "memory: an empty balloon" 0 "$(field balloon "$answer")"
same "balloon: is taken" '{"ok":true}' "$(ask $control 'balloon 600M')"
given 629145600
answer=$(ask $control memory)
same "balloon: the guest gave all of it" 629145600 "$(field balloon "$answer")"
at_least "balloon: and has less" 1 "$(($(field free_bytes "$answer") < 400 * 1048576))"
same "balloon: back" '{"ok":true}' "$(ask $control 'balloon 0')"

truncate -s 8M /tmp/image
same "resize: is taken" '{"ok":true}' "$(ask $control 'resize disk0')"
await "lab: asking"
tell nothing
for line in "resize disk7" "balloon 4T" "balloon" "memory now" "help"; do
	same "'$line': refused in a sentence" 1 "$(ask $control "$line" | grep -c '^{"ok":false,"error":"..*"}$')"
done

same "balloon: is taken once more" '{"ok":true}' "$(ask $control 'balloon 100M')"
given 104857600
tell reboot
given 104857600
same "guest reset: it has the same balloon" 104857600 "$(field balloon "$(ask $control memory)")"
same "quit" '{"ok":true}' "$(ask $control quit)"
ended $straddle
same "quit: status" 0 "$status"
same "resize: the guest knows" sectors=16384 "$(said disk | cut -d ' ' -f 2)"

beside lean complaints,button --balloon 0 --control $control
await "waiting at"
same "power-button" '{"ok":true}' "$(ask $control power-button)"
ended $straddle
same "power-button: is pressed" "type=1 code=116 0" "$(said event) $status"
check_complaints "balloon"
