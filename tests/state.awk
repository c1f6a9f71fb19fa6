# awk -f state.awk HEADER...: a device's state is plain values and stands apart (devices/device.h).

BEGIN {
	# Devices without a state of their own, and why.
	stateless["debug_exit"] = "a write ends the guest, a read gives the same bits always"
	stateless["i8042"] = "the same"
	stateless["pvpanic"] = "the same"
	stateless["virtio_blk"] = "a pause waits for the requests in flight"
	stateless["virtio_pmem"] = "a request is answered before the lock of its queue is free again"
	stateless["virtio_remote"] = "another process has the queues"
	stateless["virtio_rng"] = "as virtio_pmem"
	stateless["virtio_clock"] = "as virtio_pmem"
	plain = "^(bool|unsigned|u?int(8|16|32|64)_t|enum [a-z_]+) "
}
function complain(what) {
	print what
	bad = 1
}
# Values alone, and structs of such.
function check_plain(name, whose,   i, member) {
	if (!(name in members))
		complain(whose ": struct " name " is none of devices/")
	for (i = 1; i <= members[name]; i++) {
		member = declared[name, i]
		if (member ~ /[*(]/ || member ~ /[ ,](fd|route|handle)s?(,|$)/)
			complain(whose ": \"" member "\" is no value")
		else if (member ~ /^struct /) {
			sub(/^struct /, "", member)
			sub(/ .*/, "", member)
			check_plain(member, whose)
		} else if (member !~ plain)
			complain(whose ": \"" member "\" is not of bool, unsigned, uintN_t, an enum")
	}
}
function check_device(name) {
	if (name in stateless) {
		if (name "_state" in members)
			complain(name ": has a state, and state.awk says why it has none")
	} else if (!(name "_state" in members))
		complain(name ": has no struct " name "_state, and no reason in state.awk")
}
# What stands outside of comments.
{
	gsub(/\/\*.*\*\//, "")
	if (comment && /\*\//) {
		sub(/.*\*\//, "")
		comment = 0
	}
	if (comment)
		next
	if (/\/\*/) {
		sub(/\/\*.*/, "")
		comment = 1
	}
}
/^struct [a-z_0-9]+ \{/ {
	inside = $2
	members[inside] = 0
	text = ""
	next
}
/^\}/ {
	inside = ""
}
inside {
	gsub(/[[:space:]]+/, " ")
	text = text $0
	while (at = index(text, ";")) {
		member = substr(text, 1, at - 1)
		gsub(/^ +|\[[^]]*\]/, "", member)
		declared[inside, ++members[inside]] = member
		text = substr(text, at + 1)
		if (member == "struct " inside "_state state")
			apart[inside "_state"]
		if (member ~ /^struct (device|pci_function|virtio_device) [a-z_]+(, [a-z_]+)*$/)
			device[inside]
	}
}
END {
	for (name in members)
		if (name ~ /_state$/) {
			check_plain(name, "struct " name)
			if (!(name in apart))
				complain("struct " name " is not the member \"state\" of its struct")
		}
	for (name in device)
		check_device(name)
	for (name in stateless)
		if (!(name in device))
			complain(name ": state.awk knows a device that there is not")
	exit bad
}
