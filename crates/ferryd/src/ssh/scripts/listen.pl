# Waits for one connection on the highest free port of a range, for some seconds at the most. Prints the port and goes on alone.
# Run as: perl -e PROGRAM FIRST LAST SECONDS
use Socket;
use POSIX ();
($first, $last, $seconds) = @ARGV;
$| = 1;
for (my $port = $last; $port >= $first; $port--) {
    if (!socket(LISTENER, AF_INET6, SOCK_STREAM, 0)) {
        socket(LISTENER, AF_INET, SOCK_STREAM, 0) or exit 1;
        bind(LISTENER, pack_sockaddr_in($port, INADDR_ANY)) or next;
    } else {
        setsockopt(LISTENER, 41, 26, pack("l", 0));
        bind(LISTENER, pack_sockaddr_in6($port, Socket::IN6ADDR_ANY)) or next;
    }
    listen(LISTENER, 4) or next;
    print "port\t$port\n";
    exit 0 if fork();
    POSIX::setsid();
    close(STDIN), close(STDOUT), close(STDERR);
    alarm($seconds);
    accept(CONNECTION, LISTENER);
    exit 0;
}
print "port\tnone\n";
