# lab: host=lean kernels=lean limit=900 alone=yes root=yes with=prlimit
. /lab/late.sh type1
