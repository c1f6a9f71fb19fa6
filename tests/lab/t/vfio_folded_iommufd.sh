# lab: host=lean kernels=lean limit=300 alone=yes root=yes
. /lab/folded.sh iommufd
