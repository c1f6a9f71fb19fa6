# lab: host=lean kernels=lean limit=240
# The watchdog: a guest that feeds it runs on, one that stops is reset, one that closes it with the magic word
# runs on.
. /lab/lib.sh

guest lean watchdog_fed,complaints --watchdog
same "fed: lives" "0 fed" "$status $(said watchdog)"
check_complaints "watchdog"
guest lean watchdog_starved --watchdog --no-reboot
same "starved: is reset" "5 starving" "$status $(said watchdog)"
same "starved: is said" 1 "$(grep -c 'has not fed its watchdog' "$log")"
