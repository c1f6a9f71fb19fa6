# lab: host=lean kernels=lean,cloud root=yes limit=500
# straddle test --layout hole: a guest of more than 1 TiB on 1 GiB, by a stock kernel, too. What it says of itself is
# what was planned, and RAM on both sides of the hole holds what was written, with and without a device.
. /lab/lib.sh
. /lab/case.sh

# verified NAME: each usable range above 1 MiB was verified, up to the hole but for pages that the kernel has.
verified()
{
	awk -f /lab/json.awk <$out >"$facts"
	planned e820 | grep type=usable | while read -r start end _; do
		[ "${start#*=}" -lt 1048576 ] || echo "$start $end"
	done >/tmp/want
	# A range that the kernel's own text and data split is several in /proc/iomem.
	said ranges | awk '{ for (i = 1; i <= NF; i++) { split($i, w, "="); v[w[1]] = w[2] }
		if (v["verified"] > 0 && v["start"] >= 1048576) print $1, $2 }' >/tmp/got
	same_lines "$1: all ranges were verified" /tmp/want /tmp/got
	# What the kernel itself has at the borders of the hole, in KiB: page tables, page structures.
	said ranges | awk '{ for (i = 1; i <= NF; i++) { split($i, w, "="); v[w[1]] = w[2] }
		if (v["end"] == below) print "below", int(v["behind"] / 1024)
		if (v["start"] == above) print "above", int(v["before"] / 1024) }' \
		below=$((0xFD00000000)) above=$((0x10000000000)) >/tmp/got
	sed "s/^/    | $1: KiB not verified /" /tmp/got
	same "$1: near both borders of the hole" 2 "$(awk '$2 < 65536' /tmp/got | wc -l)"
}

for kernel in lean cloud; do
	memory=1G
	[ $kernel = lean ] || memory=512M
	straddle plan --json --layout hole --memory $memory | awk -f /lab/json.awk >"$plan"
	same "$kernel: plan: RAM ends below the hole" 1 \
		"$(planned e820 | grep -c "end=$((0xFD00000000)) type=usable")"
	same "$kernel: plan: and begins at 1 TiB" 1 \
		"$(planned e820 | grep -c "^start=$((0x10000000000)) .*type=usable")"
	run_case $kernel --layout hole --memory $memory -- @facts
	same "$kernel: @facts: status" 0 "$status"
	awk -f /lab/json.awk <$out >"$facts"
	planned e820 >/tmp/want
	said e820 | sed 's/type=System RAM/type=usable/; s/type=Reserved/type=reserved/; s/type=ACPI Tables/type=acpi/' \
		>/tmp/got
	same_lines "$kernel: @facts has the planned E820" /tmp/want /tmp/got
	run_case $kernel --layout hole --memory $memory -- @memory
	same "$kernel: @memory: status" 0 "$status"
	verified "$kernel: @memory"
done

# A device reaches all of it, by both ways to the IOMMU.
take $nvme
straddle plan --json --layout hole --memory 512M --vfio $nvme | awk -f /lab/json.awk >"$plan"
for backend in type1 iommufd; do
	run_case lean --layout hole --memory 512M --vfio $nvme --vfio-backend $backend -- @memory
	same "$backend: @memory: status" 0 "$status"
	verified "$backend: @memory"
done
give $nvme

# Too few address bits are a mistake of the user's, or of the host's, and not of the guest's.
run_case lean --layout hole --phys-bits 40 -- @status 0
same "too few address bits: status" 113 "$status"
same "too few address bits: sentence" 1 "$(grep -c 'takes 41 address bits, but the guest has 40' $error)"
