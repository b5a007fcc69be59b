# Prints what a QEMU says that it can do, a line for each thing, words separated by tabs, and "end". Set before: PROGRAM, its path;
# UUID, where it is that of a domain whose own QEMU is asked before that; find_qemu, which looks for that. Changes nothing.
say() { printf '%s\t%s\n' "$1" "$2"; }
if [ -n "$UUID" ]; then
    pid=$(find_qemu | sed -n 's/^qemu \([0-9]*\) .*/\1/p' | head -n 1)
    # Another one may have been installed since. (Who is not root may not look there.)
    if [ -n "$pid" ] && [ -x "/proc/$pid/exe" ]; then PROGRAM=/proc/$pid/exe; fi
fi
if [ -n "$PROGRAM" ]; then
    # A machine without anything, which answers and ends.
    said=$(printf '{"execute":"qmp_capabilities"}\n{"execute":"query-qmp-schema"}\n{"execute":"quit"}\n' |
        timeout -k 1 2 "$PROGRAM" -machine none -nodefaults -no-user-config -display none -qmp stdio 2>/dev/null |
        grep -F '"values": ["xbzrle"')
    # Its language is told in one line. A part of it would say that what is missing cannot be done.
    case $said in *']}' | *"]}$(printf '\r')") ;; *) said= ;; esac
    # Two of its enumerations say what it was built with: MigrationCapability, which begins with xbzrle, and MultiFDCompression, with
    # none and zlib.
    printf '%s\n' "$said" | grep -oE '"values": \["(xbzrle|none", "zlib)"[^]]*\]' | while IFS= read -r values; do
        case $values in *'["xbzrle"'*) kind=capability ;; *) kind=multifd-compression ;; esac
        printf '%s\n' "${values#*\[}" | tr -d '"] ' | tr ',' '\n' | while IFS= read -r word; do say "$kind" "$word"; done
    done
    say program "$(readlink "$PROGRAM" || echo "$PROGRAM")"
fi
echo end
