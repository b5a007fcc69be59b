# Looks for an empty file of the name MARK in each of the directories that are the script's arguments, and prints "there" or
# "absent" with the directory for each, and "end".
for place; do
    if [ -e "$place/$MARK" ]; then printf 'there\t%s\n' "$place"; else printf 'absent\t%s\n' "$place"; fi
done
echo end
