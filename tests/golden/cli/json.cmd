plan --json --host vendor=intel,family=6,phys-bits=46 --memory 256M
plan --json --host vendor=amd,family=25,phys-bits=48 --memory 1100G --max-memory 1200G --numa 600G --numa 500G --cpus 4
plan --json --host vendor=amd,family=25,phys-bits=48 --memory 1G --low-memory 512M --high-memory-start 0xFCF0000000
