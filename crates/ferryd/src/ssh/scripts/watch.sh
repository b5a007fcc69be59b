# The same as watch.pl, for hosts with neither Perl nor Python: slower, and only the vanished process and the zombie
# are noticed. PID, START and PAUSE are set before.
gone() {
    [ -e "/proc/$PID" ] || return 0
    IFS= read -r text 2>/dev/null <"/proc/$PID/stat" || return 1
    set -- ${text##*') '}
    [ "${20}" = "$START" ] || return 0
    case $1 in [ZX]*) [ "${18}" -lt 2 ] ;; *) false ;; esac
}
if gone; then echo ABSENT; exit 0; fi
echo WATCHING
until gone; do sleep "$PAUSE"; done
echo GONE
