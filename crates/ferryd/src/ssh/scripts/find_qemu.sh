# Prints the boot id with the seconds since, one line for each QEMU process of the domain UUID, and "end". UUID is set before.
read -r boot </proc/sys/kernel/random/boot_id || exit 1
read -r uptime _ </proc/uptime || exit 1
echo "boot $boot $uptime"
for file in $(grep -lsF -e "$UUID" /proc/[0-9]*/cmdline); do
    directory=${file%/cmdline}
    name=$(readlink "$directory/exe" 2>/dev/null)
    read -r comm 2>/dev/null <"$directory/comm" || comm=
    case ${name##*/}/$comm in qemu*/* | kvm*/* | */qemu* | */kvm*) ;; *) continue ;; esac
    tr '\000' '\n' 2>/dev/null <"$directory/cmdline" | {
        before=
        while IFS= read -r word; do
            if [ "$before" = -uuid ] && [ "$word" = "$UUID" ]; then exit 0; fi
            before=$word
        done
        exit 1
    } || continue
    IFS= read -r text 2>/dev/null <"$directory/stat" || continue
    set -- ${text##*') '}
    case $1 in [ZX]*) [ "${18}" -gt 1 ] || continue ;; esac
    echo "qemu ${directory#/proc/} ${20}"
done
echo end
