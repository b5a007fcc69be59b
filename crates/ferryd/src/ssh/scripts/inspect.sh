# Prints what the checks want to know of this host, a line for each fact, words separated by tabs, and "end". Set before: the
# paths to look at as the script's arguments; WANT_TPM and WANT_SSHD, each 1 or 0. Changes nothing.
say() { printf '%s' "$1"; shift; for word; do printf '\t%s' "$word"; done; printf '\n'; }
clock=$(date +%s%3N 2>/dev/null)
case $clock in '' | *[!0-9]*) ;; *) say clock "$clock" ;; esac
while read -r name value _; do
    case $name in MemTotal: | MemAvailable: | SwapTotal:) say memory "${name%:}" "$value" ;; esac
done </proc/meminfo
for file in /run/libvirtd.pid /run/virtqemud.pid; do
    # (libvirt ends the number with no newline, which read takes for a failure.)
    pid=
    [ -e "$file" ] && read -r pid 2>/dev/null <"$file"
    [ -n "$pid" ] || continue
    while IFS= read -r line; do
        set -f
        case $line in
        'Max address space '*) words=${line#Max address space} && echo "limit	address-space	${words%%bytes*}" ;;
        'Max locked memory '*) words=${line#Max locked memory} && echo "limit	locked-memory	${words%%bytes*}" ;;
        esac
        set +f
    done 2>/dev/null <"/proc/$pid/limits"
done
for pool in /sys/kernel/mm/hugepages/hugepages-*kB; do
    size=${pool##*hugepages-}
    read -r free 2>/dev/null <"$pool/free_hugepages" && say hugepages "${size%kB}" "$free"
done
bridges=
if command -v ovs-vsctl >/dev/null; then
    say openvswitch
    bridges=" $(timeout 2 ovs-vsctl list-br 2>/dev/null | tr '\n' ' ')"
fi
for link in /sys/class/net/*; do
    name=${link##*/}
    kind=other
    [ -d "$link/bridge" ] && kind=bridge
    case $bridges in *" $name "*) kind=openvswitch ;; esac
    read -r mtu 2>/dev/null <"$link/mtu" || mtu=
    say link "$name" "$kind" "$mtu"
done
if command -v ip >/dev/null; then
    ip -o addr show 2>/dev/null | while read -r _ _ _ address _; do say address "${address%%/*}"; done
fi
# State 0A is LISTEN; the port is written in hexadecimal digits after the last colon.
grep -hs ' 0A ' /proc/net/tcp /proc/net/tcp6 | while read -r _ here _; do echo "${here##*:}"; done | sort -u |
    while read -r port; do say port "$port"; done
grep -hsE '^[[:space:]]*migration_port_(min|max)[[:space:]]*=' /etc/libvirt/qemu.conf |
    while IFS='= ' read -r name value _; do say migration-port "${name##*_}" "$value"; done
grep -hsE '^[[:space:]]*lock_manager[[:space:]]*=' /etc/libvirt/qemu.conf | tail -n 1 |
    while IFS='= ' read -r _ value _; do say lock-manager "$value"; done
# A QEMU that runs as root needs no such permission.
if ! grep -qsE '^[[:space:]]*user[[:space:]]*=[[:space:]]*"?\+?(root|0)"?[[:space:]]*$' /etc/libvirt/qemu.conf; then
    read -r allowed 2>/dev/null </proc/sys/vm/unprivileged_userfaultfd && say userfaultfd "$allowed"
fi
for key in "$HOME"/.ssh/id_ed25519.pub "$HOME"/.ssh/id_ecdsa.pub "$HOME"/.ssh/id_rsa.pub; do
    if IFS= read -r line 2>/dev/null <"$key"; then say root-key "$line" && break; fi
done
if [ "$WANT_TPM" = 1 ]; then say swtpm "$(timeout 2 swtpm --version 2>/dev/null | head -n 1)"; fi
for program in gzip bzip2 xz lzop zstd; do command -v "$program" >/dev/null && say program "$program"; done
if [ "$WANT_SSHD" = 1 ]; then
    for sshd in sshd /usr/sbin/sshd; do
        if command -v "$sshd" >/dev/null; then
            say max-startups "$(timeout 2 "$sshd" -T 2>/dev/null | sed -n 's/^maxstartups \([0-9]*\).*/\1/p')"
            break
        fi
    done
fi
if [ $# -gt 0 ]; then
    # What is missing is told on standard error, which nobody reads.
    stat -L -c 'path	%F	%s	%b	%B	%i	%Y	%n' -- "$@" 2>/dev/null
    for path; do
        if [ -b "$path" ]; then
            # Major and minor number in decimal digits, of what the path leads to.
            number=$(stat -L -c '%t %T' -- "$path" 2>/dev/null) && number=$((0x${number% *})):$((0x${number#* }))
            device=/sys/dev/block/$number
            # A partition is known by its disk and its number on it.
            part=
            if IFS= read -r part 2>/dev/null <"$device/partition"; then device=$device/..; fi
            for file in dm/uuid device/wwid wwid device/serial serial; do
                if IFS= read -r serial 2>/dev/null <"$device/$file" && [ -n "$serial" ]; then
                    say serial "$serial${part:+-part$part}" "$path" && break
                fi
            done
        fi
        place=$path
        until [ -e "$place" ] || [ -z "$place" ]; do place=${place%/*}; done
        say place "$path" "${place:-/}"
    done
    for path; do
        until [ -e "$path" ] || [ -z "$path" ]; do path=${path%/*}; done
        printf '%s\n' "${path:-/}"
    done | sort -u | while IFS= read -r place; do
        df -B1 --output=avail,fstype,source -- "$place" 2>/dev/null | sed -n 2p |
            while read -r free kind from; do say space "$place" "$free" "$kind" "$from"; done
    done
fi
echo end
