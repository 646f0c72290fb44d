# Runs inside the sandbox: serves one file to one program over HTTP on the sandbox's own loopback.
#
# FFmpeg can seek in what it reads by HTTP and in nothing else that is not a file. Nobody but the program started here can
# connect, because this loopback belongs to this sandbox alone. The bytes come from an inherited socket, asked for
# range by range (see ranges.py).
#
# Usage: perl range_server.pl SOCKET-NUMBER PROGRAM ARGUMENT...     where URL in an argument stands for the address

use strict;
use warnings;
use IO::Socket::INET;
use IO::Select;

use constant PIECE => 262_144;
use constant LONGEST_HEAD => 16_384;

my ($number, @command) = @ARGV;
open(my $archive, '+<&=', $number) or die "range socket: $!\n";
binmode($archive);

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 8, Proto => 'tcp')
    or die "loopback: $!\n";
my $address = 'http://127.0.0.1:' . $listener->sockport . '/file';
s/\bURL\b/$address/ for @command;

my $program = fork();
die "fork: $!\n" unless defined $program;
if (!$program) {
    close($listener);
    close($archive);
    exec { $command[0] } @command or die "exec: $!\n";
}
close(STDOUT);

# The opening: the size, and pieces of the beginning and the end that a program which seeks by itself does not need.
my (undef, $size, $before, $after) = unpack('Q>Q>L>L>', take(24));
take($before + $after);
$SIG{PIPE} = 'IGNORE';
my $ended = 0;
$SIG{CHLD} = sub { $ended = 1 };

my $readers = IO::Select->new($listener);
my $writers = IO::Select->new;
my %connection;    # by descriptor: what was read of the head, what is still to be sent

while (!$ended) {
    my ($readable, $writable) = IO::Select->select($readers, $writers, undef, 0.05);
    for my $client (@{ $readable || [] }) {
        if ($client == $listener) { accept_one() }
        else                      { read_head($client) }
    }
    send_piece($_) for grep { $connection{ fileno($_) // -1 } } @{ $writable || [] };
}
waitpid($program, 0);
exit($? >> 8 || ($? ? 1 : 0));

sub take {
    my ($length) = @_;
    my $taken = '';
    while (length($taken) < $length) {
        my $got = sysread($archive, $taken, $length - length($taken), length($taken));
        die "range socket closed\n" unless $got;
    }
    return $taken;
}

sub ask {
    my ($offset, $length) = @_;
    my $request = pack('Q>L>', $offset, $length);
    syswrite($archive, $request) == length($request) or die "range socket closed\n";
    return take($length);
}

sub accept_one {
    my $client = $listener->accept or return;
    $client->blocking(0);
    $connection{ fileno($client) } = { head => '', pending => '', next => 0, end => 0 };
    $readers->add($client);
    return;
}

sub drop {
    my ($client) = @_;
    delete $connection{ fileno($client) };
    $readers->remove($client);
    $writers->remove($client);
    close($client);
    return;
}

sub read_head {
    my ($client) = @_;
    my $state = $connection{ fileno($client) } or return;
    my $got = sysread($client, $state->{head}, 4096, length($state->{head}));
    return drop($client) if !$got || length($state->{head}) > LONGEST_HEAD;
    return unless $state->{head} =~ /\r\n\r\n/;
    my ($start, $end) = (0, $size);
    my $status = '200 OK';
    if ($state->{head} =~ /^Range:\s*bytes=(\d+)-(\d*)/im) {
        ($start, $status) = ($1, '206 Partial Content');
        $end = $2 + 1 if length($2) && $2 + 1 < $size;
    }
    my $head = "HTTP/1.1 $status\r\nAccept-Ranges: bytes\r\nConnection: close\r\n";
    if ($start >= $end) {
        $head = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */$size\r\nConnection: close\r\n";
        ($start, $end) = (0, 0);
    } elsif ($status =~ /^206/) {
        $head .= 'Content-Range: bytes ' . $start . '-' . ($end - 1) . "/$size\r\n";
    }
    $head .= 'Content-Length: ' . ($end - $start) . "\r\n\r\n";
    $end = $start if $state->{head} =~ /^HEAD/;
    @{$state}{qw(head pending next end)} = ('', $head, $start, $end);
    $writers->add($client);
    return;
}

sub send_piece {
    my ($client) = @_;
    my $state = $connection{ fileno($client) };
    if (!length($state->{pending})) {
        my $length = $state->{end} - $state->{next};
        return drop($client) if $length <= 0;
        $length = PIECE if $length > PIECE;
        $state->{pending} = ask($state->{next}, $length);
        $state->{next} += $length;
    }
    my $sent = syswrite($client, $state->{pending});
    return if !defined $sent && $!{EAGAIN};
    return drop($client) unless defined $sent;
    substr($state->{pending}, 0, $sent) = '';
    return;
}
