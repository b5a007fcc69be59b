# Says where home is, also where a service runs without HOME.
if [ -z "$HOME" ]; then HOME=$(getent passwd "$(id -u)" | cut -d: -f6); export HOME; fi
