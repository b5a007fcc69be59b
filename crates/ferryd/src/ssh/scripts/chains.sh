# Prints, for each image among its arguments, what lies below it: a line with the path and what qemu-img says, as JSON on one line, or why
# it says nothing. Changes nothing; -U: a guest may run on it.
for path; do
    if said=$(timeout 5 qemu-img info -U --backing-chain --output=json -- "$path" 2>&1); then
        printf 'chain\t%s\t%s\n' "$path" "$(printf '%s' "$said" | tr -d '\n')"
    else
        printf 'unread\t%s\t%s\n' "$path" "$(printf '%s' "$said" | tr '\n\t' '  ')"
    fi
done
echo end
