# Writes what a guest sees of the image FROM, with all that lies below it, into the empty image INTO, and compares the two. Set
# before: FROM, INTO and FORMAT (of both). Prints "working" all the while, what went wrong, and at the end "done" or "failed".
run() {
    "$@" 2>&1 &
    child=$!
    # Who waits for it may be gone: then it is not needed any more.
    trap 'kill "$child" 2>/dev/null; exit 1' TERM HUP PIPE
    while kill -0 "$child" 2>/dev/null; do
        echo working || { kill "$child"; exit 1; }
        sleep 0.2
    done
    wait "$child"
}
run qemu-img convert -n --target-is-zero -t writeback -f "$FORMAT" -O "$FORMAT" -- "$FROM" "$INTO" &&
    run qemu-img compare -q -f "$FORMAT" -F "$FORMAT" -- "$FROM" "$INTO" && echo done || echo failed
