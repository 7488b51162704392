# Each way to use a socket, once, on the loopback interface of a container with perl.
use strict;
use warnings;
use Socket qw(:all);
use POSIX ();

my %numbers =
    (POSIX::uname())[4] eq 'aarch64' ? (sendmsg => 211, sendmmsg => 269) : (sendmsg => 46, sendmmsg => 307);

# A process that serves `what` and answers each of `count` clients; returns when it is ready.
sub serve {
    my ($serving) = @_;
    pipe my $ready, my $tell or die;
    my $pid = fork // die;
    if ($pid) { close $tell; readline $ready eq "ready\n" or die; return $pid }
    $serving->(sub { syswrite $tell, "ready\n" });
    POSIX::_exit(0);
}

sub stream {
    my ($family, $address, $listen) = @_;
    socket my $socket, $family, SOCK_STREAM, 0 or die;
    setsockopt $socket, SOL_SOCKET, SO_REUSEADDR, 1;
    if ($listen) { bind $socket, $address or die "bind: $!"; listen $socket, 4 or die }
    return $socket;
}

sub exchange {
    my ($family, $address) = @_;
    my $server = serve(sub {
        my $listener = stream($family, $address, 1);
        $_[0]->();
        accept my $peer, $listener or die;
        my $got = '';
        while (length $got < 1000) { sysread $peer, $got, 1000, length $got or die }
        syswrite $peer, 'b' x 5000;
        close $peer;
    });
    my $client = stream($family, $address);
    connect $client, $address or die "connect: $!";
    syswrite $client, 'a' x 1000;
    my $got = '';
    while (sysread $client, $got, 5000, length $got) { }
    length $got == 5000 or die;
    close $client;
    waitpid $server, 0;
    $? == 0 or die;
}

sub peer { return pack_sockaddr_in($_[1], inet_aton($_[0])) }

exchange(AF_INET, peer('127.0.0.2', 4001));
exchange(AF_INET6, pack_sockaddr_in6(6001, inet_pton(AF_INET6, '::1')));

my $refused = stream(AF_INET);
connect $refused, peer('127.0.0.3', 4002) and die;
$! == POSIX::ECONNREFUSED() or die;

# Datagrams: the peer's answer is not needed.
sub datagram { socket my $socket, AF_INET, SOCK_DGRAM, 0 or die; return $socket }
my $sink = datagram();
bind $sink, peer('127.0.0.4', 4100) or die;
my $connected = datagram();
connect $connected, peer('127.0.0.4', 4100) or die;
send $connected, 'x', 0 or die;
my $unconnected = datagram();
send $unconnected, 'x', 0, peer('127.0.0.4', 4101) or die;
my $data = 'x';
my $vector = pack('P Q', $data, 1);
sub message { my ($to) = @_; return pack('P L x4 P Q x8 x8 x8', $to, length $to, $vector, 1) }
my $to = peer('127.0.0.4', 4102);
my $header = message($to);
syscall($numbers{sendmsg}, fileno datagram_kept(), $header, 0) == 1 or die "sendmsg: $!";
my $to1 = peer('127.0.0.4', 4103);
my $to2 = peer('127.0.0.4', 4104);
my $many = message($to1) . pack('Q', 0) . message($to2) . pack('Q', 0);
syscall($numbers{sendmmsg}, fileno datagram_kept(), $many, 2, 0) == 2 or die "sendmmsg: $!";
my @kept;
sub datagram_kept { push @kept, datagram(); return $kept[-1] }

# A name server with one name, and a client that queries it and connects to the answer.
my $names = serve(sub {
    my $socket = datagram();
    bind $socket, peer('127.0.0.53', 53) or die "bind 53: $!";
    $_[0]->();
    my $from = recv $socket, my $question, 512, 0;
    my $answer = $question;
    substr $answer, 2, 2, "\x81\x80";
    substr $answer, 6, 2, "\0\1";
    $answer .= "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" . inet_aton('127.0.0.6');
    send $socket, $answer, 0, $from;
});
my $resolver = datagram();
connect $resolver, peer('127.0.0.53', 53) or die;
my $question = "\x12\x34\1\0\0\1\0\0\0\0\0\0" . join('', map { chr(length) . $_ } qw(Api Example test)) . "\0\0\1\0\1";
syswrite $resolver, $question;
sysread $resolver, my $answer, 512 or die;
waitpid $names, 0;
exchange(AF_INET, peer('127.0.0.6', 4006));
