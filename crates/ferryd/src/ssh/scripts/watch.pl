# Prints WATCHING, and GONE once the process can run nothing any more; or ABSENT when it is not there to begin with.
# Ends when its input does. Run as: perl -e PROGRAM PID START_TIME SECONDS
# "Gone" is: its entry in /proc has vanished or belongs to a later process; or it is a zombie of one thread; or every
# one of its threads has the kernel flag PF_EXITING (4), after which none returns to its program. The last comes first:
# giving back a large memory takes the kernel long (measured: 70 ms a GiB), and nobody need wait for that.
# Only "no such file" (2) and "no such process" (3) count as vanished; any other error counts as still there.
($pid, $start, $pause) = @ARGV;
$| = 1;
sub fields {
    my ($handle) = @_;
    my $text = "";
    sysseek($handle, 0, 0);
    defined sysread($handle, $text, 4096) or return $! == 2 || $! == 3 ? ("gone") : ("unknown");
    $text =~ s/^.*\) //s or return ("unknown");
    return split / /, $text;
}
sub exiting {
    opendir(my $directory, "/proc/$pid/task") or return 0;
    my @threads = grep { /^\d+$/ } readdir($directory);
    for my $thread (@threads) {
        open(my $handle, "<", "/proc/$pid/task/$thread/stat") or ($! == 2 || $! == 3 ? next : return 0);
        my @now = fields($handle);
        next if $now[0] eq "gone";
        return 0 unless @now > 19 && $now[6] & 4;
    }
    return @threads > 0;
}
sub gone {
    my @now = fields($leader);
    return 1 if $now[0] eq "gone";
    return 0 unless @now > 19;
    return 1 if $now[19] ne $start || $now[0] =~ /^[ZX]/ && $now[17] < 2;
    # Twice, for a thread that was started while the first look went on.
    return $now[6] & 4 && exiting() && exiting();
}
unless (open($leader, "<", "/proc/$pid/stat") && !gone()) {
    print "ABSENT\n";
    exit 0;
}
print "WATCHING\n";
until (gone()) {
    my $ready = "";
    vec($ready, 0, 1) = 1;
    next unless select($ready, undef, undef, $pause);
    sysread(STDIN, my $ignored, 4096) or exit 0;
}
print "GONE\n";
