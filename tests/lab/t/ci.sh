# lab: host=lean kernels=lean limit=900
# The commands of docs/ci.md, as they stand there, do what it says. What is not in the lab host, systemd-run and srun,
# runs the command behind its own options.
. /lab/lib.sh

mkdir -p /tmp/ci/ci /tmp/ci/bin
cd /tmp/ci || exit 1
for name in systemd-run srun; do
	cat >bin/$name <<-'END'
		#!/bin/sh
		while [ "$1" != straddle ]; do shift; done
		exec "$@"
	END
	chmod +x bin/$name
done
export PATH=/tmp/ci/bin:$PATH CI_NODE_INDEX=1 CI_NODE_TOTAL=2
ln -s "$K/lean/vmlinuz" bzImage

# block LANGUAGE: what the fenced blocks of that language have, one after the other.
block() { awk -v begin="^\`\`\`$1\$" '/^```$/ { on = 0 } on { print } $0 ~ begin { on = 1 }' /lab/ci.md; }
block ini >ci/boot.test
{
	block sh
	block yaml | sed -n 's/\${{ matrix.shard }}/1/g; s/^ *- \(run: \)*\(straddle .*\)/\2/p'
} >commands
at_least "docs/ci.md: commands" 6 "$(grep -c straddle commands)"
same "docs/ci.md: cases" 3 "$(straddle test ci/boot.test --list | wc -l)"

while read -r line; do
	case $line in
	*--slurm* | "") continue ;; # slurm.sh has a cluster
	case*) ;;
	*straddle*) rm -rf boot.xml boot ;;
	esac
	echo "    | $line"
	printf '%s\n' "$line" >>script
	sh -c "$line" >out 2>error </dev/null
	status=$?
	cp error "$log"
	shown=
	same "$line" 0 $status
	case $line in
	*--junit*) at_least "$line: the report" 1 "$(grep -c '<testcase ' boot.xml)" ;;
	esac
done <commands
