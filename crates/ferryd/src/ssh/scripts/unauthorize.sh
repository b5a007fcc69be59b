# Takes the key with the base64 part BLOB, which is set before, out again.
file=.ssh/authorized_keys
grep -sqF -e "$BLOB" "$file" || exit 0
rest=$file.ferry.$$
grep -vF -e "$BLOB" "$file" >"$rest"
# 1 is "nothing is left". The file is rewritten, not replaced, so that its owner, mode and links stay.
[ $? -le 1 ] && cat "$rest" >"$file"
status=$?
rm -f "$rest"
exit $status
