# Closes what a migration to the machine PEER hangs on, PEER and PID (the QEMU's) being set before: the connections of the QEMU to
# the ports LOW to HIGH, and those that libvirt's daemon has opened to the same machine, over which it would wait for an answer that does
# not come (those that were opened to it, at its own ports, are others'). Where the daemon talks through ssh, that ssh is ended: its connection may lead through other hosts or programs first.
# Prints "closed …" or "kept …" for each, and "end".
command -v ss >/dev/null || { echo "ss is missing (package iproute2)" >&2; exit 1; }
comm() { cat "/proc/$1/comm" 2>/dev/null; }
parent() { sed 's/^.*) [A-Z] \([0-9]*\) .*/\1/' "/proc/$1/stat" 2>/dev/null; }
is_daemon() { case $1 in libvirtd|virtqemud|virtproxyd) return 0 ;; esac; return 1; }
all=$(ss -Htnp state established) || exit 1
of_qemu=$(printf '%s\n' "$all" | while read -r _ _ here there owners; do
    case $owners in *"pid=$PID,"*) ;; *) continue ;; esac
    port=${there##*:}
    if [ "$port" -ge "$LOW" ] && [ "$port" -le "$HIGH" ]; then echo "$here $there"; fi
done)
addresses=$({ printf '%s\n' "$of_qemu" | sed -n 's/^.* \(.*\):[0-9]*$/\1/p' | tr -d '[]'; getent ahosts -- "$PEER" | cut -d' ' -f1; } | sort -u)
of_daemon=$(printf '%s\n' "$all" | while read -r _ _ here there owners; do
    case ${here##*:} in 16509|16514) continue ;; esac
    address=$(printf '%s' "${there%:*}" | tr -d '[]')
    printf '%s\n' "$addresses" | grep -Fqx -e "$address" -e "${address#::ffff:}" || continue
    for owner in $(printf '%s' "$owners" | grep -o 'pid=[0-9]*' | cut -d= -f2); do
        if is_daemon "$(comm "$owner")"; then echo "$here $there"; break; fi
    done
done)
# The QEMU's first: one whose stream breaks takes its disks back before the guest goes on, and one that is called off (as libvirt does when
# its own connection breaks) was seen not to.
printf '%s\n%s\n' "$of_qemu" "$of_daemon" | awk '!seen[$0]++' | while read -r here there; do
    [ -n "$there" ] || continue
    if [ -n "$(ss -HKtn src "$here" dst "$there")" ]; then echo "closed $here $there"; else echo "kept $here $there"; fi
done
# libvirt starts it as "ssh … -- PEER sh -c …".
for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    [ "$(comm "$pid")" = ssh ] && is_daemon "$(comm "$(parent "$pid")")" || continue
    tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -Fx -A1 -e -- | grep -Fqx -e "$PEER" || continue
    if kill "$pid"; then echo "closed ssh $pid"; else echo "kept ssh $pid"; fi
done
echo end
