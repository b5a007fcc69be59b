# An ssh ProxyCommand: carries bytes between ssh and HOST PORT, but those from HOST only while the file HOLD is not there.
# What is held comes through, in order, when the file goes.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

my ($host, $port, $hold) = @ARGV;
my $peer = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port) or die "$host:$port: $@\n";
my $look_again = 0.02;

# A pipe may take less than it is given.
sub pass {
    my ($from, $to) = @_;
    my $size = sysread($from, my $bytes, 65536) or exit 0;
    for (my $done = 0; $done < $size;) {
        my $written = syswrite($to, $bytes, $size - $done, $done) or exit 0;
        $done += $written;
    }
}

while (1) {
    my $held = -e $hold;
    my $wanted = IO::Select->new(\*STDIN);
    $wanted->add($peer) unless $held;
    for my $ready ($wanted->can_read($look_again)) {
        if ($ready == $peer) { pass($peer, \*STDOUT) } else { pass(\*STDIN, $peer) }
    }
}
