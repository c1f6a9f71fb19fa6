# lab: host=lean kernels=lean limit=300
# Guests across the real hole find every byte where it was planned: a small one, 512 MiB low, 256 MiB just below the hole
# and 256 MiB from 1 TiB, in which a program fills all three and finds every word again; and one of 1.1 TiB, of which
# Linux is kept from touching most. Debian's kernels: cases_kernels.sh.
. /lab/lib.sh

# shellcheck disable=SC2086 # a list of options
guest lean facts,fill $across
same "powers off" 0 "$status"
check_memory small
check_iomem small
check_total small
check_complaints small
same "plan: 256 MiB below the hole" 1 \
	"$(planned e820 | grep -c "^start=$((0xFCF0000000)) end=$((0xFD00000000)) type=usable")"
same "plan: 256 MiB from 1 TiB" 1 \
	"$(planned e820 | grep -c "^start=$((0x10000000000)) end=$((0x10010000000)) type=usable")"
fill=$(said fill)
at_least "fills memory below the hole" 128 "$(echo "$fill" | sed 's/.*below_mib=\([0-9]*\).*/\1/')"
at_least "fills memory above the hole" 128 "$(echo "$fill" | sed 's/.*above_mib=\([0-9]*\).*/\1/')"
same "and finds it again" bad=0 "${fill##* }"

append=mem=512M
guest lean facts --memory 1126G
same "1.1 TiB: powers off" 0 "$status"
check_memory "1.1 TiB"
check_complaints "1.1 TiB"
