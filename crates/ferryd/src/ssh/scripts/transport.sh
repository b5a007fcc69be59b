# Prints what this host has for the ways that memory can travel, a line for each fact, words separated by tabs, and "end". Set before:
# WANT_TLS, 1 or 0; EMULATOR and ARCHITECTURE, those of the domain whose QEMU is asked what it can do, or empty. Changes nothing.
say() { printf '%s' "$1"; shift; for word; do printf '\t%s' "$word"; done; printf '\n'; }
setting() { sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*\"\([^\"]*\)\".*/\1/p" /etc/libvirt/qemu.conf 2>/dev/null | tail -n 1; }
if command -v ip >/dev/null; then
    ip -o addr show 2>/dev/null | while read -r _ _ _ address _; do say address "${address%%/*}"; done
fi
for device in /sys/class/infiniband/*; do
    if [ -e "$device" ]; then say rdma "${device##*/}"; fi
done
if [ "$WANT_TLS" = 1 ]; then
    # In the order in which libvirt looks for it.
    directory=$(setting migrate_tls_x509_cert_dir)
    if [ -z "$directory" ] && [ -e /etc/pki/libvirt-migrate ]; then directory=/etc/pki/libvirt-migrate; fi
    if [ -z "$directory" ]; then directory=$(setting default_tls_x509_cert_dir); fi
    : "${directory:=/etc/pki/qemu}"
    say tls-directory "$directory"
    for name in ca-cert server-cert client-cert; do
        [ -e "$directory/$name.pem" ] || continue
        while IFS= read -r line || [ -n "$line" ]; do say pem "$name" "$line"; done 2>/dev/null <"$directory/$name.pem"
    done
    for name in server-key client-key; do
        if [ -e "$directory/$name.pem" ]; then say key "$name"; fi
    done
fi
if [ -n "$EMULATOR" ]; then
    # Where it is not there, the one that the domain gets instead.
    for program in "$EMULATOR" "/usr/bin/qemu-system-$ARCHITECTURE" /usr/libexec/qemu-kvm; do
        if [ -x "$program" ]; then break; fi
    done
    # A machine without anything, which answers and ends. Two of the enumerations of its language say what it was built with:
    # MigrationCapability, which begins with xbzrle, and MultiFDCompression, with none and zlib.
    { printf '{"execute":"qmp_capabilities"}\n{"execute":"query-qmp-schema"}\n{"execute":"quit"}\n'; } |
        timeout -k 1 10 "$program" -machine none -nodefaults -no-user-config -display none -qmp stdio 2>/dev/null |
        grep -oE '"values": \["(xbzrle|none", "zlib)"[^]]*\]' | while IFS= read -r values; do
            case $values in *'["xbzrle"'*) kind=capability ;; *) kind=multifd-compression ;; esac
            printf '%s\n' "${values#*\[}" | tr -d '"] ' | tr ',' '\n' | while IFS= read -r word; do say "$kind" "$word"; done
        done
    say emulator "$program"
fi
echo end
