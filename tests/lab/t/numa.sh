# lab: host=lean kernels=lean limit=120
# Memory that is there and space where more may be plugged in, on both sides of the hole: the
# kernel reads the planned SRAT.
. /lab/lib.sh

append=mem=512M
guest lean srat,facts --memory 1000G --max-memory 1100G
same "powers off" 0 "$status"
planned srat >/tmp/want
said srat >/tmp/got
same_lines "SRAT is as planned" /tmp/want /tmp/got
at_least "has space for hotplug" 1 "$(grep -c hotplug=true /tmp/got)"
check_complaints "hotplug"
