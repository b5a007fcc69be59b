# Connects to a port of each address in turn, until one takes it. Prints "open" with the address, or "shut" with address and reason.
# Run as: perl -e PROGRAM SECONDS PORT ADDRESS...
use Socket;
($seconds, $port, @addresses) = @ARGV;
my ($address, $why) = ("", "no address");
for (@addresses) {
    $address = $_;
    my $six = /:/;
    my $packed = $six ? Socket::inet_pton(AF_INET6, $_) : inet_aton($_);
    socket(CONNECTION, $six ? AF_INET6 : AF_INET, SOCK_STREAM, 0) or next;
    my $there = $six ? pack_sockaddr_in6($port, $packed) : pack_sockaddr_in($port, $packed);
    my $done = eval {
        local $SIG{ALRM} = sub { die "no answer\n" };
        alarm($seconds);
        my $done = connect(CONNECTION, $there);
        $why = "$!" unless $done;
        alarm(0);
        $done;
    };
    $why = "no answer within $seconds s" if $@;
    if ($done) { print "open\t$address\n"; exit 0; }
}
print "shut\t$address\t$why\n";
