# lab: host=lean kernels=lean limit=200
# As many CPUs as asked for come up, and their interrupts work well enough to power off.
. /lab/lib.sh

for cpus in 1 2 4; do
	guest lean facts --memory 256M --cpus $cpus
	same "$cpus CPUs: powers off" 0 "$status"
	same "$cpus CPUs: found" $cpus "$(said cpus)"
	check_complaints "$cpus CPUs"
done
