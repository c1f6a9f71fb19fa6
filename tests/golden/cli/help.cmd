--help
run --help
test --help
plan --help
check --help
--version
