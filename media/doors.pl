# Runs inside the sandbox for an instant: opens listening sockets on the sandbox's own loopback, hands them to the archive's
# process, and becomes the program that is to connect to them.
#
# A socket belongs to the network in which it was made, whoever holds it. So the archive serves its file on these directly,
# nobody outside the sandbox can connect to them, and the sandbox reaches nothing that it did not reach before.
#
# Usage: perl doors.pl SOCKET-NUMBER CALL NAMES PROGRAM ARGUMENT...
#   CALL is the number of sendmsg(2), which Perl does not know by name. NAMES, divided by commas, stand in an argument for
#   the addresses: URL is what is read by HTTP, TARGET what is written by FTP.

use strict;
use warnings;
use Socket;

use constant SCM_RIGHTS => 1;

my ($number, $call, $names, @command) = @ARGV;
my @doors;
for my $name (split /,/, $names) {
    socket(my $door, AF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    bind($door, pack_sockaddr_in(0, INADDR_LOOPBACK)) && listen($door, 8) or die "loopback: $!\n";
    my ($port) = unpack_sockaddr_in(getsockname($door));
    my $address = $name eq 'TARGET' ? "ftp://127.0.0.1:$port/copy" : "http://127.0.0.1:$port/file";
    s/\b$name\b/$address/ for @command;
    push @doors, $door;
}

# struct cmsghdr with the descriptors, struct iovec with one octet, struct msghdr with both.
open(my $archive, '+<&=', $number) or die "socket of the archive: $!\n";
my $rights = pack('J i i i*', 16 + 4 * @doors, SOL_SOCKET, SCM_RIGHTS, map { fileno($_) } @doors);
$rights .= "\0" x (-length($rights) % 8);
my $octet = '!';
my $vector = pack('P J', $octet, 1);
my $message = pack('J J P J P J J', 0, 0, $vector, 1, $rights, length($rights), 0);
syscall($call + 0, fileno($archive), $message, 0) == 1 or die "sendmsg: $!\n";
# The program gets nothing of this: neither the doors, nor this text, which lies in memory.
# Whatever their numbers are: a server with many connections has high ones.
opendir(my $all, '/proc/self/fd') or die "descriptors: $!\n";
my @left = grep { /^\d+$/ && $_ > 2 } readdir $all;
closedir($all);
for my $left (@left) {
    if (open(my $handle, '<&=', $left)) { close($handle) }
}
exec { $command[0] } @command or die "exec: $!\n";
