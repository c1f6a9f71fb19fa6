# lab: host=lean kernels=lean,cloud limit=120
# The tables that the guest's kernel has are those of tests/golden, byte for byte: acpi_dump writes
# its machine "small" at build time, and the options below make the same one here.
. /lab/lib.sh

if [ -z "$(ls /lab/golden)" ]; then
	skip "tables" "acpi_dump was not built"
	exit 0
fi
for kernel in lean cloud; do
	guest $kernel tables --memory 256M --phys-bits 39 --iova-policy off
	# RSDP and XSDT are not shown by Linux.
	for table in /lab/golden/*.dat; do
		name=$(basename "$table" .dat | tr '[:lower:]' '[:upper:]')
		case $name in
		RSDP | XSDT) ;;
		*) echo "$name $(sha256sum <"$table" | cut -c1-64)" ;;
		esac
	done | sort >/tmp/want
	said table | sort >/tmp/got
	same_lines "$kernel: tables equal the golden ones" /tmp/want /tmp/got
done
