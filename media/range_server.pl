# Runs inside the sandbox: serves one file to one program on the sandbox's own loopback, and takes what it writes.
#
# FFmpeg can seek in what it reads by HTTP, and in what it writes by FTP, and in nothing else that is not a file. Nobody but
# the program started here can connect, because this loopback belongs to this sandbox alone. The bytes of the file come
# from an inherited socket, asked for range by range; what is written goes out by another, each piece after its place
# and its length (see ranges.py).
#
# Usage: perl range_server.pl SOCKET-NUMBER WRITES-NUMBER PROGRAM ARGUMENT...
#   URL and TARGET in an argument stand for the addresses; WRITES-NUMBER is - for a program that writes to its output alone.

use strict;
use warnings;
use IO::Socket::INET;
use IO::Select;
use Socket qw(IPPROTO_TCP TCP_NODELAY);

use constant PIECE => 262_144;
use constant LONGEST_HEAD => 16_384;

my ($number, $writes, @command) = @ARGV;
open(my $archive, '+<&=', $number) or die "range socket: $!\n";
binmode($archive);
my $sink;
if ($writes ne '-') {
    open($sink, '+<&=', $writes) or die "writes socket: $!\n";
    binmode($sink);
}

my $listener = listen_on_loopback();
my $ftp = $sink ? listen_on_loopback() : undef;
my $address = 'http://127.0.0.1:' . $listener->sockport . '/file';
my $target = $ftp ? 'ftp://127.0.0.1:' . $ftp->sockport . '/copy' : '';
s/\bURL\b/$address/, s/\bTARGET\b/$target/ for @command;

my $program = fork();
die "fork: $!\n" unless defined $program;
if (!$program) {
    close($_) for grep { $_ } $listener, $ftp, $archive, $sink;
    exec { $command[0] } @command or die "exec: $!\n";
}
close(STDOUT);

# The opening: the size, and pieces of the beginning and the end that a program which seeks by itself does not need.
my (undef, $size, $before, $after) = unpack('Q>Q>L>L>', take(24));
take($before + $after);
$SIG{PIPE} = 'IGNORE';
my $ended = 0;
$SIG{CHLD} = sub { $ended = 1 };

my $readers = IO::Select->new(grep { $_ } $listener, $ftp);
my $writers = IO::Select->new;
my %connection;    # by descriptor: what was read of the head, what is still to be sent
my %control;       # by descriptor: the lines of an FTP control connection that are not whole yet
my ($passive, $data);    # where the next octets of the copy are awaited, and where they come in
my $place = 0;           # where in the copy they belong

while (!$ended || $data) {
    my ($readable, $writable) = IO::Select->select($readers, $writers, undef, 0.05);
    for my $client (@{ $readable || [] }) {
        my $descriptor = fileno($client) // next;
        if    ($client == $listener)              { accept_one() }
        elsif ($ftp && $client == $ftp)           { accept_control() }
        elsif ($data && $client == $data)         { pass_on() }
        elsif ($passive && $client == $passive)   { accept_data() }
        elsif (exists $control{$descriptor})      { read_control($client) }
        else                                      { read_head($client) }
    }
    send_piece($_) for grep { $connection{ fileno($_) // -1 } } @{ $writable || [] };
}
waitpid($program, 0);
exit($? >> 8 || ($? ? 1 : 0));

sub listen_on_loopback {
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 8, Proto => 'tcp')
        || die "loopback: $!\n";
}

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

# --- What the program reads, by HTTP ------------------------------------------------------------------------------------

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

# --- What the program writes, by FTP: each seek is an aborted transfer and a new one that begins at another place --------

sub accept_control {
    my $client = $ftp->accept or return;
    setsockopt($client, IPPROTO_TCP, TCP_NODELAY, 1);
    $control{ fileno($client) } = '';
    $readers->add($client);
    return answer($client, '220 ready');
}

sub answer {
    my ($client, $line) = @_;
    syswrite($client, "$line\r\n");
    return;
}

sub read_control {
    my ($client) = @_;
    my $descriptor = fileno($client);
    my $got = sysread($client, $control{$descriptor}, 4096, length($control{$descriptor}));
    if (!$got || length($control{$descriptor}) > LONGEST_HEAD) {
        delete $control{$descriptor};
        $readers->remove($client);
        close($client);
        return;
    }
    while ($control{$descriptor} =~ s/^([^\r\n]*)\r?\n//) {
        obey($client, $1);
    }
    return;
}

sub obey {
    my ($client, $line) = @_;
    my ($verb, $argument) = split(/ /, $line, 2);
    $verb = uc($verb // '');
    return answer($client, '331 go on')                       if $verb eq 'USER';
    return answer($client, '230 go on')                       if $verb eq 'PASS';
    return answer($client, '257 "/"')                         if $verb eq 'PWD';
    return answer($client, '200 binary')                      if $verb eq 'TYPE';
    return answer($client, '250 there')                       if $verb eq 'CWD';
    return answer($client, '550 not there yet')               if $verb eq 'SIZE';
    return answer($client, '221 bye')                         if $verb eq 'QUIT';
    if ($verb eq 'REST' && ($argument // '') =~ /^(\d{1,18})$/) {
        $place = $1;
        return answer($client, '350 from there');
    }
    if ($verb eq 'EPSV' || $verb eq 'PASV') {
        await_data();
        my $port = $passive->sockport;
        return answer($client, "229 there (|||$port|)") if $verb eq 'EPSV';
        return answer($client, sprintf('227 there (127,0,0,1,%d,%d)', $port >> 8, $port & 255));
    }
    if ($verb eq 'STOR') {
        accept_data() if $passive;
        return answer($client, '150 send');
    }
    if ($verb eq 'ABOR') {
        pass_on() while $data;    # What was sent before the abort belongs to the copy.
        $place = 0;
        return answer($client, '226 taken');
    }
    return answer($client, '502 not here');
}

sub await_data {
    pass_on() while $data;
    close($passive) if $passive;
    $passive = listen_on_loopback();
    return;
}

sub accept_data {
    $data = $passive->accept or return;
    $readers->add($data);
    close($passive);
    undef $passive;
    return;
}

sub pass_on {
    my $got = sysread($data, my $piece, PIECE);
    if (!$got) {
        $readers->remove($data);
        close($data);
        undef $data;
        return;
    }
    my $message = pack('Q>L>', $place, $got) . $piece;
    my $sent = 0;
    while ($sent < length($message)) {
        $sent += syswrite($sink, $message, length($message) - $sent, $sent) // die "writes socket closed\n";
    }
    $place += $got;
    return;
}
