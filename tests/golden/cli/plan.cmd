# the machines that every reader should look at
plan --host vendor=intel,family=6,phys-bits=39 --memory 256M
plan --host vendor=amd,family=25,phys-bits=48 --memory 1010G
plan --host vendor=amd,family=25,phys-bits=48 --memory 1011G
plan --host vendor=amd,family=25,phys-bits=48 --memory 1126G --cpus 8
plan --host vendor=hygon,family=24,phys-bits=48 --memory 1.5T --max-memory 2T --numa 768G --numa 768G --cpus 8
plan --host vendor=amd,family=16,phys-bits=40 --memory 8G
plan --host vendor=amd,family=25,phys-bits=48 --memory 1G --low-memory 512M --high-memory-start 0xFCF0000000
plan --host vendor=amd,family=25,phys-bits=48 --memory 1126G --iova-policy off
plan --host vendor=amd,family=25,phys-bits=48 --memory 1126G --iova-policy host --reserve 0x100000000-0x140000000 --reserve 0x2000000123-0x2000000456
plan --host vendor=amd,family=25,phys-bits=48 --memory 768G --pci64-window 512G
plan --host vendor=amd,family=25,phys-bits=48 --memory 4G --page-size 1G --pci32-window 1G
# CPUs whose APIC ids take more than eight bits; of 240 they do so only if they are dealt out to sockets
plan --host vendor=amd,family=25,phys-bits=48 --memory 2G --cpus 384,sockets=2,threads=2
plan --host vendor=amd,family=25,phys-bits=48 --memory 2G --cpus 4096,threads=2
plan --host vendor=amd,family=25,phys-bits=48 --memory 2G --cpus sockets=9,dies=5,cores=65,threads=7
plan --host vendor=amd,family=25,phys-bits=48 --cpus 240 --numa 1G --numa 1G --numa 1G --numa 1G --numa 1G --numa 1G
plan --host vendor=amd,family=25,phys-bits=48 --memory 2G --cpus 24,dies=4,threads=2
plan --host vendor=amd,family=25,phys-bits=48 --memory 2G --cpus 24,dies=5
# RAM on both sides of what must stay free
plan --host vendor=amd --layout hole
plan --host vendor=intel --layout hole --memory 2G --numa 512M --numa 1.5G --reserve 0x140000000-0x148000000
# Nodes: CPUs in several pieces, memory alone, distances.
plan --host vendor=amd --cpus 8,threads=2 --numa 4G,cpus=0-1,4-5 --numa 4G,cpus=2-3,6-7 --numa 8G --numa-distance 0,1,12 --numa-distance 2,0,255
