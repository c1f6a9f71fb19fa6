#!/bin/sh
# Compares the ACPI tables of acpi_dump's machines with tests/golden/acpi/*.txt, as text: iasl's disassembly, and
# the results of executing the AML in acpiexec, ACPICA's interpreter. Prints TAP lines; exits non-zero if any
# failed. `--update` writes the golden files instead.
#
# The DSDT's bytes, the compiler's name and time stamps are left out.
set -u
export LC_ALL=C

here=tests/golden
dump=${BUILD:-build}/$here/acpi_dump
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
# The lines of acpiexec's output that have results
telling='AE_|ACPI (Error|Warning)|Notify|\[(Integer|Buffer)\]|Address [ML]'
telling="$telling|(Resource|Type|Producer|Polarity|Triggering|Dword00) *(:|\$)"

# The UUID of _OSC but for its first byte.
uuid_tail='4D DB 33 F7 1F 1C 40 96 57 74 41 C0 3D D7 66)'

disassemble() # FILE.dat: prints the text, or the complaint
{
	iasl -d "$1" >"$work/log" 2>&1 || cat "$work/log"
	grep -iE 'warning|error|invalid' "$work/log"
	sed -e '/^ \*/d' -e '/^\/\*/d' -e '/^ *$/d' -e 's/ *$//' "${1%.dat}.dsl"
}

evaluate() # COMMAND [OPTION...]: acpiexec exits 0 whatever happens, so its words are compared
{
	command=$1
	shift
	echo "--- $command${*:+ ($*)}"
	acpiexec "$@" -b "$command" dsdt.dat ssdt.dat 2>&1 |
		grep -E "$telling" |
		sed -e '/AcpiSetCurrentResources/d' -e 's/0x[0-9a-f]* //' -e 's/ *$//'
}

# The tables of one case, in $work/CASE.
describe()
{
	cd "$work/$1" || exit 1
	od -An -tx1 rsdp.dat
	for table in xsdt facp apic mcfg srat slit ssdt; do
		[ -f $table.dat ] && disassemble $table.dat
	done
	evaluate 'resources \_SB.PCI0'
	if [ "$1" = node ]; then
		evaluate 'resources \_SB.PC01'
		evaluate 'evaluate \_SB.PC01._PXM'
		evaluate 'evaluate \_SB.PC01._PRT' | tail -n 8
		evaluate "evaluate \_SB.PC01._OSC (5B $uuid_tail 1 3 (00 00 00 00 1F 01 00 00 3D 00 00 00)"
	fi
	evaluate 'resources \_SB.MRES'
}

# The DSDT is the same in every case. _OSC: Linux asks for PCIe hotplug, PME, AER, capability
# structure and LTR, then for everything; then come a wrong revision and a wrong UUID. Registers
# read as the number after -fv: event 1 is the power button, 2 is nothing.
describe_dsdt()
{
	osc='evaluate \_SB.PCI0._OSC'
	uuid="(5B $uuid_tail"

	cd "$work/small" || exit 1
	iasl -d dsdt.dat 2>&1 | grep -iE 'warning|error'
	evaluate "$osc $uuid 1 3 (00 00 00 00 1F 01 00 00 3D 00 00 00)"
	evaluate "$osc $uuid 1 3 (01 00 00 00 1F 01 00 00 FF FF FF FF)"
	evaluate "$osc $uuid 2 3 (00 00 00 00 1F 01 00 00 3D 00 00 00)"
	evaluate "$osc (00 $uuid_tail 1 3 (00 00 00 00 1F 01 00 00 3D 00 00 00)"
	evaluate 'evaluate \_S5'
	evaluate 'evaluate \_SB.GED._EVT 9' -fv 1
	evaluate 'evaluate \_SB.GED._EVT 9' -fv 2
	evaluate 'resources \_SB.COM1'
	evaluate 'resources \_SB.GED'
	evaluate 'resources \_SB.RTC'
	evaluate 'resources \_SB.PEVT'
	evaluate 'evaluate \_SB.PCI0._PRT' | sed -e 1d -e 's/.*= 0*\(.\)/\1/' | paste -d ' ' - - - -
}

compare() # NAME: $work/NAME.txt with the golden file
{
	if [ "$update" ]; then
		mkdir -p $here/acpi && cp "$work/$1.txt" $here/acpi/
	elif diff -u "$here/acpi/$1.txt" "$work/$1.txt" | sed 's/^/# /' >"$work/diff" &&
		[ ! -s "$work/diff" ] && [ -f "$here/acpi/$1.txt" ]; then
		echo "ok acpi $1"
	else
		cat "$work/diff"
		echo "not ok acpi $1"
		failed=1
	fi
}

[ "${1:-}" = --update ] && update=yes || update=
if ! cases=$("$dump"); then
	echo "not ok acpi: $dump does not run"
	exit 1
fi
for case in $cases; do
	mkdir "$work/$case" && "$dump" "$case" "$work/$case" || exit 1
	(describe "$case") >"$work/$case.txt"
	compare "$case"
done
(describe_dsdt) >"$work/dsdt.txt"
compare dsdt
exit $failed
