# awk -f layers.awk layers.txt SOURCE...: reads the table, then every quoted include.

# "vmm/plan/*" becomes a regular expression for the files of that folder, "vmm/base/**" for those below, too.
function pattern(glob) {
	gsub(/\*\*/, "@", glob)
	gsub(/\*/, "[^/]*", glob)
	gsub(/@/, ".*", glob)
	return "^" glob "$"
}
function folder(path,   name) {
	for (name in re)
		if (path ~ re[name])
			return name
	return ""
}
FILENAME == ARGV[1] {
	if (/^#/ || !NF || $1 == "file")
		next
	re[$1] = pattern($2)
	may[$1, $1] = 1
	for (i = 5; i <= NF; i++)
		may[$1, $i] = 1
	next
}
FNR == 1 && folder(FILENAME) == "" {
	print FILENAME ": in no folder of layers.txt"
	bad = 1
}
/^#include "/ {
	split($0, quoted, "\"")
	included = quoted[2]
	if (included == "dsdt.hex") # generated from acpi/dsdt.asl
		next
	from = folder(FILENAME)
	to = folder(included)
	if (to == "") {
		printf "%s:%d: unknown header %s\n", FILENAME, FNR, included
		bad = 1
	} else if (!((from, to) in may)) {
		printf "%s:%d: %s may not include %s (%s)\n", FILENAME, FNR, from, to, included
		bad = 1
	}
}
END { exit bad }
