# Writes an empty file of the name MARK into each of the directories that are the script's arguments, and prints "marked" or
# "refused" with the directory for each, and "end". Old ones, of a controller that died in between, go.
for place; do
    find "$place" -maxdepth 1 -name '.ferry-share-*' -mmin +10 -delete 2>/dev/null
    if error=$( (: >"$place/$MARK") 2>&1); then printf 'marked\t%s\n' "$place"; else
        printf 'refused\t%s\t%s\n' "$place" "$(printf '%s' "${error##*: }" | tr '\t\r\n' '   ')"
    fi
done
echo end
