# The same as listen.pl, for hosts without Perl; see there.
import os, signal, socket, sys
first, last, seconds = map(int, sys.argv[1:4])
for port in range(last, first - 1, -1):
    try:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except OSError:
        try:
            listener = socket.create_server(("0.0.0.0", port))
        except OSError:
            continue
    os.write(1, b"port\t%d\n" % port)
    if os.fork():
        os._exit(0)
    os.setsid()
    for stream in (0, 1, 2):
        os.close(stream)
    signal.alarm(seconds)
    listener.accept()
    os._exit(0)
os.write(1, b"port\tnone\n")
