# What ./demo, ./test and ./bench share. Read with ".", from the root of the repository, by bash.

set -euo pipefail
program=${0##*/}

say() { echo "$program: $*" >&2; }
fail() {
	say "$*"
	exit 2
}

[ "$(id -u)" -eq 0 ] || fail "run it as root: it installs packages, and the lab makes namespaces and mounts"
command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

# Runs a command in a process group of its own and waits for it; a signal to this script ends the whole group first.
# So an interrupted build or test run is over when the script is.
running=
run() {
	local status=0
	set -m
	"$@" <&0 &
	running=$!
	set +m
	wait "$running" || status=$?
	running=
	return "$status"
}

# The end by a signal: what runs is ended and waited for, then the EXIT trap of the script cleans up.
ended_by() {
	trap '' INT TERM HUP
	if [ -n "$running" ]; then
		kill -TERM -- "-$running" 2>/dev/null || true
		wait "$running" 2>/dev/null || true
	fi
	exit "$1"
}
trap 'ended_by 130' INT
trap 'ended_by 143' TERM
trap 'ended_by 129' HUP

# Sets $target to where cargo builds, and $ferry_lab to the lab's command there.
find_target() {
	[ "$(id -u)" -eq 0 ] || fail "run it as root: it installs packages, and the lab makes namespaces and mounts"
	target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
	ferry_lab=$target/debug/ferry-lab
}

# Installs what is missing for the build.
prepare() {
	run tools/prepare "$@"
	find_target
}
