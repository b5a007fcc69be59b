# Prints the public half of a private key that needs no passphrase, after making one if there is none.
mkdir -p .ssh || exit 1
for file in .ssh/id_ed25519 .ssh/id_ecdsa .ssh/id_rsa; do
    [ -f "$file" ] && ssh-keygen -y -P '' -f "$file" 2>/dev/null && exit 0
done
ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519 >&2 && ssh-keygen -y -P '' -f .ssh/id_ed25519
