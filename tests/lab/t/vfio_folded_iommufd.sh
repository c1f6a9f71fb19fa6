# lab: host=lean kernels=lean limit=600 alone=yes root=yes
. /lab/folded.sh iommufd
