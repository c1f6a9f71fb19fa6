# lab: host=debian kernels=cloud limit=240
# What `make demo` shows. Also run by demo.sh on hosts that need no lab, hence no lib.sh before the
# end.
options="--memory 1G --low-memory 512M --high-memory-start 0xFCF0000000"

echo
echo "\$ straddle plan $options"
# shellcheck disable=SC2086 # a list of options
straddle plan $options
echo
echo "\$ straddle run --kernel vmlinuz --initrd initrd $options"
# shellcheck disable=SC2086
straddle run --kernel "$K/cloud/vmlinuz" --initrd "$K/cloud/initrd" $options \
	--append "console=ttyS0 panic=1 straddle.do=demo,poweroff"
status=$?
echo "straddle's exit status: $status (0: the guest powered off)"
[ -f /lab/lib.sh ] || exit $status
. /lab/lib.sh
same "ends by power-off" 0 $status
