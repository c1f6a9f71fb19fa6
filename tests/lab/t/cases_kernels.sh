# lab: host=lean kernels=cloud510,cloud,cloud612 limit=2400
# Debian's kernels find the memory that was planned: small, on both sides of the hole, and 1.1 TiB; on 1 CPU and on 4.
. /lab/lib.sh
. /lab/cases.sh

# Passes each of its results on as one of this test's.
suite kernels -j 2 --limit 400 --boot-limit 200
while read -r line; do
	case $line in
	"ok "*) ok "kernels: ${line#ok * - }" ;;
	"not ok "*) not_ok "kernels: ${line#not ok * - }" "$(grep -A 3 -F "$line" $tap | sed -n 's/  message: //p')" ;;
	esac
done <$tap
same "kernels: all of them" "18 0" "$(grep -c '^ok' $tap) $status"
