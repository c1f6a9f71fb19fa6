# lab: host=lean kernels=lean limit=240
# The virtio console: complete output, input, changes of the terminal's size, other ends than the terminal.
. /lab/lib.sh
quiet="console=hvc0 quiet panic=1"

# shellcheck disable=SC2086 # a list of options
guest lean text,pci,complaints $across --console stdio
same "powers off" 0 "$status"
same "all that it says arrives" "$(seq 1 20000 | sha256sum)" \
	"$(tr -d '\r' <"$log" | grep -x '[0-9]*' | sha256sum)"
check_irq "MSI-X" "PCI-MSIX.*virtio.*-output"
check_complaints "console"

interactive lean ask,ask --console stdio
tell nothing
tell poweroff
ended $straddle
same "it hears what is typed" "2 0" "$(said asking | wc -l) $status"

# straddle becomes the terminal's child.
jail="terminal 30 100"
beside lean size --console stdio
await "lab: size"
kill -USR1 "$(pidof terminal)"
ended $straddle
jail=
same "the terminal's size, and when it changes" "30 100 31 101" "$(said size | xargs)"
same "on a terminal: powers off" 0 "$status"

# On a pseudo-terminal, in a session of its own, as a user's shell starts it: input arrives, also from a second
# reader.
jail=setsid
beside lean ask,ask --console pty
jail=
await "console line is"
pty=$(sed -n 's/\r//g; s/.*console line is //p' "$log")
cat "$pty" >>"$log" &
reader=$!
await asking
echo nothing >"$pty"
await asking 2
kill $reader
wait $reader 2>/dev/null
echo poweroff >"$pty"
ended $straddle
same "on a pseudo-terminal: it hears what is typed" "2 0" "$(said asking | wc -l) $status"

# Both lines.
quiet="console=ttyS0 console=hvc0 quiet panic=1"
guest lean facts --console file:/tmp/hvc
same "to a file, beside the serial line: powers off" 0 "$status"
at_least "to a file: what the guest says is there" 1 "$(grep -c 'lab: release' /tmp/hvc)"

straddle run --kernel "$K/lean/vmlinuz" --serial stdio --console stdio >/tmp/out 2>&1
same "both on the terminal: refused" 2 $?
same "both on the terminal: says so" 1 "$(grep -c 'cannot both be stdio' /tmp/out)"
