#!/bin/bash
# Pure folders compute: their objects may call only memory, string and formatting functions, libfdt,
# jansson and each other. Anything else (a system call, the clock, the environment) is named. Which
# folders and files are pure, layers.txt says.
cd "$(dirname "$0")/.." || exit 1
allowed='mem(cpy|move|set|cmp|chr)|str[a-z]*|__(mem|str)[a-z]*_chk|__(v?snprintf)_chk|v?snprintf'
allowed+='|__isoc99_sscanf|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__ctype_[a-z_]*|tolower|__errno_location'
allowed+='|fdt_[a-z_0-9]*|json_[a-z_0-9]*'
own=$(find "$BUILD/obj" -name '*.o' ! -path '*/tests/*' -exec nm --defined-only -g {} + | awk 'NF == 3 { print $3 }' | sort -u)

check() # SOURCE EXTRA-ALLOWED
{
	local foreign object=$BUILD/obj/${1%.c}.o
	foreign=$(nm -u "$object" | awk '{print $2}' | grep -vxE "$allowed$2" | grep -vxF "$own")
	if [ -z "$foreign" ]; then
		echo "ok $1"
	else
		echo "not ok $1 # calls $(echo $foreign)"
	fi
}
while read -r folder glob purity rest; do
	extra=
	case $folder:$purity in
	"#"*) continue ;;
	file:*) sources="$glob $purity $rest" ;;
	*:pure | *:heap)
		sources=$(find "${glob%%/\**}" -name '*.c')
		[ "$purity" = pure ] || extra='|malloc|free|realloc|calloc|strn?dup'
		;;
	*) continue ;;
	esac
	for source in $sources; do check "$source" "$extra"; done
done <tests/layers.txt
