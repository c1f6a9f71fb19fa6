--help
run --help
plan --help
check --help
--version
