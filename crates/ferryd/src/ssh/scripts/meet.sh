# Run on the source: how it reaches the destination. Prints a line for each fact, words separated by tabs, and "end". Set before:
# PEER (the address in the peer URI), NAME (the destination's own host name), PORT (one that it listens on, or none), WAIT (whole
# seconds), and login (a function that logs in there with the words given as the command, or does nothing). Changes nothing.
resolve() { getent ahosts -- "$1" 2>/dev/null | while read -r address _; do echo "$address"; done | sort -u | tr '\n' ' '; }
peer=$(resolve "$PEER")
name=$peer
[ "$NAME" = "$PEER" ] || name=$(resolve "$NAME")
printf 'peer\t%s\nname\t%s\n' "$peer" "$name"
if [ -n "$PORT" ] && [ -n "$name" ]; then
    # As libvirt's daemon does: by the host name that the destination calls itself.
    if command -v perl >/dev/null; then
        perl -e "$CONNECT_PL" "$WAIT" "$PORT" $name
    else
        for python in python3 /usr/libexec/platform-python; do
            if command -v $python >/dev/null; then $python -c "$CONNECT_PY" "$WAIT" "$PORT" $name && break; fi
        done
    fi &
fi
said=$(login 'sh -c "
for socket in /run/libvirt/libvirt-sock /run/libvirt/virtqemud-sock /var/run/libvirt/libvirt-sock; do [ -S \$socket ] && echo ferry:socket && break; done
for way in virt-ssh-helper nc; do command -v \$way >/dev/null && echo ferry:way && break; done; echo ferry:in"' 2>&1 </dev/null)
case $said in
*ferry:in*)
    found=
    case $said in *ferry:socket*) ;; *) found='libvirt has no socket there' ;; esac
    case $said in *ferry:way*) ;; *) found="${found:+$found; }neither virt-ssh-helper nor nc is there" ;; esac
    printf 'login\tworks\t%s\n' "$found" ;;
'') ;;
*) printf 'login\tfails\t%s\n' "$(printf '%s' "$said" | tr '\t\r\n' '   ')" ;;
esac
wait
echo end
