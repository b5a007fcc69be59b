# Prints what this host has for the ways that memory can travel, a line for each fact, words separated by tabs, and "end". Set before:
# WANT_TLS, 1 or 0. Changes nothing.
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
echo end
