# Closes the TCP connections of process PID to the addresses PEERS with a port from LOW to HIGH, which are set before.
# Prints "closed LOCAL PEER" or "kept LOCAL PEER" for each, and "end".
command -v ss >/dev/null || { echo "ss is missing (package iproute2)" >&2; exit 1; }
for address in $PEERS; do
    ss -Htnp state established dst "$address" || exit 1
done | while read -r _ _ here there owners; do
    case $owners in *"pid=$PID,"*) ;; *) continue ;; esac
    port=${there##*:}
    [ "$port" -ge "$LOW" ] && [ "$port" -le "$HIGH" ] || continue
    if [ -n "$(ss -HKtn src "$here" dst "$there")" ]; then echo "closed $here $there"; else echo "kept $here $there"; fi
done
echo end
