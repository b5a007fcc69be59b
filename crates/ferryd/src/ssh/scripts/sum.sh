# Prints the SHA-256 of a part of a file. Set before: FILE, OFFSET and LENGTH in bytes.
dd if="$FILE" bs=1048576 iflag=skip_bytes,count_bytes skip="$OFFSET" count="$LENGTH" status=none | sha256sum
