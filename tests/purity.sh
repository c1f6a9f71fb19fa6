#!/bin/bash
# Pure folders compute: their objects may call only memory, string and formatting functions, libfdt,
# jansson and each other. Anything else (a system call, the clock, the environment) is named.
cd "$(dirname "$0")/.." || exit 1
allowed='mem(cpy|move|set|cmp|chr)|str[a-z]*|__(mem|str)[a-z]*_chk|__(v?snprintf)_chk|v?snprintf'
allowed+='|__isoc99_sscanf|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|tolower|__ctype_[a-z_]*|__errno_location'
allowed+='|fdt_[a-z_0-9]*|json_[a-z_0-9]*'
objects=$(ls "$BUILD"/obj/firmware/*.o "$BUILD"/obj/acpi/*.o \
	"$BUILD"/obj/vmm/{bar,facts,err,bytes,panic,map,plan,plan_*,pci_layout,topology,cpuid,cpuid_rules,disk_format}.o \
	"$BUILD"/obj/{devices,vfio}/pci_config.o "$BUILD"/obj/devices/virtqueue.o)
heap="$BUILD/obj/vmm/config*.o $BUILD/obj/vmm/size*.o" # config owns its strings
own=$(nm --defined-only -g "$BUILD"/obj/{vmm,firmware,acpi,devices,vfio}/*.o | awk '{print $3}' | sort -u)

check() # OBJECT EXTRA-ALLOWED
{
	local foreign
	foreign=$(nm -u "$1" | awk '{print $2}' | grep -vxE "$allowed$2" | grep -vxF "$own")
	if [ -z "$foreign" ]; then
		echo "ok ${1#"$BUILD"/obj/}"
	else
		echo "not ok ${1#"$BUILD"/obj/} # calls $(echo $foreign)"
	fi
}
for o in $objects; do check "$o" ""; done
for o in $heap; do [ -e "$o" ] && check "$o" "|malloc|free|realloc|calloc|strn?dup"; done
