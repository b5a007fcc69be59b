# Prints what libvirt keeps of a stopped domain beside its definition, a line for each fact, and "end". Set before: TPM, the place of its
# TPM's state, and SAVED, the file of its saved memory; each may be empty. Changes nothing. (The lock of a TPM is made anew by each start.)
if [ -n "$TPM" ] && [ -e "$TPM" ]; then
    if said=$(find "$TPM" -type f ! -name .lock 2>&1); then
        printf '%s\n' "$said" | while IFS= read -r file; do
            if [ -n "$file" ]; then printf 'tpm\t%s\n' "$file"; fi
        done
    else
        printf 'tpm-unread\t%s\n' "$(printf '%s' "$said" | tr '\n\t' '  ')"
    fi
fi
if [ -n "$SAVED" ]; then
    # A word of 16 letters, then numbers of four bytes: version, length of the XML, whether it ran, compression.
    if said=$(head -c 16 -- "$SAVED" 2>&1 && od -An -v -tu4 -j16 -N16 -- "$SAVED" 2>&1); then
        printf 'saved\t%s\n' "$(printf '%s' "$said" | tr -s '\n\t ' '   ')"
    else
        printf 'saved-unread\t%s\n' "$(printf '%s' "$said" | tr '\n\t' '  ')"
    fi
fi
echo end
