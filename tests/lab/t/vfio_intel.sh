# lab: host=intel kernels=lean limit=400 root=yes
# An IOMMU of 39 bits, as many Intel hosts have, and a region that is direct-relaxable.
. /lab/lib.sh

sata=0000:00:1f.2 # shares its group with the ISA bridge
group=$(basename "$(readlink /sys/bus/pci/devices/$sata/iommu_group)")
same "the ISA bridge's group has a direct-relaxable region" 1 \
	"$(grep -c direct-relaxable "/sys/kernel/iommu_groups/$group/reserved_regions")"

take $nvme
straddle plan --vfio $nvme --probe --json | awk -f /lab/json.awk >"$plan"
same "plan --probe: nothing from 512 GiB on" 1 \
	"$(planned forbidden | grep -c "^start=$((1 << 39)) ")"
same "plan --probe: BARs and windows below 512 GiB" 0 \
	"$(planned regions | grep -v kind=reserved | sed -n 's/.*end=\([0-9]*\) .*/\1/p' | awk '$1 > 549755813888' | wc -l)"
# RAM up to the very end of what can be translated.
for backend in type1 iommufd; do
	guest lean dma,pci --memory 768M --low-memory 512M --high-memory-start 0x6ff0000000 \
		--pci64-window 32G --vfio $nvme --vfio-backend $backend
	same "$backend: powers off" 0 "$status"
	same "$backend: data is right wherever it lies" 0 "$(said nvme0n1 | grep -vc 'bad=0$')"
	at_least "$backend: pages above 4 GiB were used" 2 "$(said nvme0n1 | grep -c '=below gpa')"
	same "$backend: BARs below 512 GiB" 0 \
		"$(said bar | sed -n 's/.*end=//p' | awk '$1 > 549755813888' | wc -l)"
done
guest lean poweroff --memory 600G --vfio $nvme
same "600 GiB: refused" 2 "$status"
same "600 GiB: the sentence names the IOMMU" 1 "$(grep -c "IOMMU" "$log")"
cat "$log"

take $sata
grep -q . "/sys/bus/pci/devices/$sata/driver/module" 2>/dev/null
guest lean pci --vfio $sata
same "direct-relaxable: the device passes" 0 "$status"
same "direct-relaxable: RAM stays at 0" 1 "$(straddle plan --json --vfio $sata | awk -f /lab/json.awk | grep -c '^regions start=0 .*kind=ram')"
