# awk -f layers.awk layers.txt SOURCE...: reads the table, then every quoted include.

# "vmm/err.[ch]" and "vmm/config*.[ch]" become regular expressions; "devices/*" takes a folder.
function pattern(glob) {
	gsub(/\./, "\\.", glob)
	gsub(/\*/, "[^/]*", glob)
	return "^" glob "$"
}
function group(path,   i) {
	for (i = 1; i <= patterns; i++)
		if (path ~ re[i])
			return owner[i]
	return ""
}
FILENAME == ARGV[1] {
	if (/^#/ || !NF)
		next
	if ($1 == "=") {
		for (i = 3; i <= NF; i++) {
			re[++patterns] = pattern($i)
			owner[patterns] = $2
		}
	} else {
		may[$1, $1] = 1
		for (i = 2; i <= NF; i++)
			may[$1, $i] = 1
	}
	next
}
FNR == 1 && group(FILENAME) == "" {
	print FILENAME ": not in any group of layers.txt"
	bad = 1
}
/^#include "/ {
	split($0, quoted, "\"")
	included = quoted[2]
	if (included == "dsdt.hex") # generated from acpi/dsdt.asl
		next
	from = group(FILENAME)
	to = group(included)
	if (to == "") {
		printf "%s:%d: unknown header %s\n", FILENAME, FNR, included
		bad = 1
	} else if (!((from, to) in may)) {
		printf "%s:%d: %s may not include %s (%s)\n", FILENAME, FNR, from, to, included
		bad = 1
	}
}
END { exit bad }
