# A network namespace (run it with unshare --net), joined to the one of the process PID (the argument) by a link whose packets this
# program carries: 10.77.0.1 here, 10.77.0.2 there. Real packets, so handshakes are delayed and lost like everything else; netem, which could do
# the same, is not in every kernel. Each line of standard input is a rule for TCP packets from or to some ports, by commas; `*` is all
# others: `<ports> <ms>` delays each way, `<ports> drop` loses them. Each rule is answered with `done`. The end of input ends it.
use strict;
use warnings;
use Time::HiRes qw(time);

use constant { TUNSETIFF => 0x400454ca, IFF_TUN => 0x0001, IFF_NO_PI => 0x1000, TCP => 6, LONGEST => 65535 };

my ($pid) = @ARGV;
$| = 1;

sub tun {
    my ($name) = @_;
    open(my $tun, '+<:raw', '/dev/net/tun') or die "/dev/net/tun: $!\n";
    my $request = pack('a16 S x22', $name, IFF_TUN | IFF_NO_PI);
    ioctl($tun, TUNSETIFF, $request) or die "a TUN device: $!\n";
    return $tun;
}

sub run {
    system(@_) == 0 or die "@_ failed\n";
}

my @ends = (tun('near'), tun('far'));
my @there = ('nsenter', "--net=/proc/$pid/ns/net", '--');
run(qw(ip link set lo up));
run(qw(ip link set far netns), $pid);
run(qw(ip addr add 10.77.0.1/24 dev near));
run(qw(ip link set near up txqueuelen 10000));
run(@there, qw(ip addr add 10.77.0.2/24 dev far));
run(@there, qw(ip link set far up txqueuelen 10000));
print "ready\n";

# seconds; undef: dropped
my %rules;
my $others = 0;

# by the end at which they arrived: [when they leave, the packet], in the order of their arrival
my @queues = ([], []);

sub delay_of {
    my ($packet) = @_;
    my ($first, $protocol) = unpack('C x8 C', $packet);
    return undef if $first >> 4 != 4;
    if ($protocol == TCP) {
        my ($from, $to) = unpack('n n', substr($packet, ($first & 15) * 4, 4));
        return $rules{$from} if exists $rules{$from};
        return $rules{$to} if exists $rules{$to};
    }
    return $others;
}

sub obey {
    my ($line) = @_;
    my ($ports, $what) = split ' ', $line;
    my $delay = $what eq 'drop' ? undef : $what / 1000;
    if ($ports eq '*') { $others = $delay }
    else { $rules{$_} = $delay for split /,/, $ports }
    print "done\n";
}

my $mask = '';
vec($mask, fileno($_), 1) = 1 for @ends, *STDIN;
my $input = '';
while (1) {
    my $now = time;
    my $wait;
    for my $queue (@queues) {
        next unless @$queue;
        my $left = $queue->[0][0] - $now;
        $wait = $left if !defined $wait || $left < $wait;
    }
    $wait = 0 if defined $wait && $wait < 0;
    my $found = select(my $readable = $mask, undef, undef, $wait);
    next if $found < 0;
    if (vec($readable, fileno(*STDIN), 1)) {
        sysread(STDIN, $input, 4096, length $input) or exit 0;
        obey($1) while $input =~ s/^(.*)\n//;
    }
    $now = time;
    for my $end (0, 1) {
        next unless vec($readable, fileno($ends[$end]), 1);
        sysread($ends[$end], my $packet, LONGEST) or next;
        my $delay = delay_of($packet);
        push @{$queues[$end]}, [$now + $delay, $packet] if defined $delay;
    }
    for my $end (0, 1) {
        my $queue = $queues[$end];
        while (@$queue && $queue->[0][0] <= $now) {
            # a full device loses packets, like any other
            syswrite($ends[1 - $end], (shift @$queue)->[1]);
        }
    }
}
