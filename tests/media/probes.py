"""What a tool that a hostile file has taken over would try, as small Perl programs: each says HELD or ESCAPED.

They run as the confined command, in Perl, because ExifTool needs it anyway. `{...}` are filled in by the test. A probe
that succeeds must change nothing on this machine: it opens and does not write, it unshares itself and does not mount.
"""

from collections.abc import Iterable

PRELUDE = r"""
use strict; use warnings; use Socket; use IO::Socket::INET; use POSIX ();
my %all_calls = (
    x86_64  => { ptrace => 101, unshare => 272 },
    aarch64 => { ptrace => 117, unshare => 97 },
);
my $calls = $all_calls{ (POSIX::uname())[4] } || {};
sub say_so { my ($name, $escaped) = @_; print "$name: ", ($escaped ? 'ESCAPED' : 'HELD'), "\n"; }
sub readable { open(my $h, '<', $_[0]) or return 0; my $got = sysread($h, my $b, 1); return $got ? 1 : 0; }
sub writable {
    local $SIG{XFSZ} = 'IGNORE';
    open(my $h, '>', $_[0]) or return 0;
    my $done = syswrite($h, 'x');
    unlink $_[0];
    return $done ? 1 : 0;
}
sub listed { opendir(my $d, $_[0]) or return 0; return scalar grep { !/^\.\.?$/ } readdir $d; }
sub status_of {
    open(my $h, '<', '/proc/self/status') or return '';
    while (<$h>) { return $1 if /^$_[0]:\s*(\S+)/ }
    return '';
}
sub works { my ($name, @arguments) = @_; return $calls->{$name} && syscall($calls->{$name}, @arguments) == 0; }
sub joins { socket(my $s, AF_UNIX, SOCK_STREAM, 0) or return 0; return connect($s, pack('S a*', AF_UNIX, "\0$_[0]")); }
sub sends {
    socket(my $s, AF_INET, SOCK_DGRAM, 0) or return 0;
    return defined send($s, 'x', 0, pack_sockaddr_in(53, inet_aton($_[0])));
}
sub numbers { opendir(my $d, $_[0]) or return (); return grep { /^\d+$/ } readdir $d; }
sub inherited { return grep { $_ > 2 && (readlink("/proc/self/fd/$_") // '/proc') !~ m{^/proc} } numbers('/proc/self/fd'); }
sub core_limit { open(my $h, '<', '/proc/self/limits') or return ''; while (<$h>) { return $1 if /^Max core file size\s+(\S+)/ } return ''; }
"""  # noqa: E501  # two long lines of another language

QUIET_PROBES = {
    "connects to a service of this machine": "IO::Socket::INET->new(PeerAddr => '127.0.0.1:{port}', Timeout => 2)",
    "connects to a socket without a file": "joins('{abstract}')",
    "sends a datagram to another machine": "sends('{outside}')",
    "opens a packet socket": "socket(my $p, 17, SOCK_RAW, 0)",
    "reads a key of the archive": "readable('{secret}')",
    "reads the accounts of this machine": "readable('/etc/passwd')",
    "lists the homes of this machine": "(listed('/home') || listed('/root') || listed('/var'))",
    "writes into the home of the archive": "writable('{home}/written')",
    "writes among the programs": "open(my $u, '+<', '/usr/bin/true')",
    "writes a file of its own": "(writable('/tmp/written') || writable('/dev/shm/written') || writable('/written'))",
    "reads the memory of the archive": "readable('/proc/{parent}/mem')",
    "sees the process of the archive": "readable('/proc/{parent}/cmdline')",
    "sees processes that are not its own": "numbers('/proc') > 4",
    "signals the process of the archive": "kill(0, {parent})",
    "traces the process of the archive": "works('ptrace', 0x4206, {parent}, 0, 0)",
    "may mount": "works('unshare', 0x00020000)",
    "makes a user namespace of its own": "works('unshare', 0x10000000)",
    "can gain privileges": "status_of('NoNewPrivs') ne '1'",
    "has a capability": "(status_of('CapEff') . status_of('CapBnd')) =~ /[1-9a-f]/",
    "is root": "($> == 0 || $< == 0)",
    "finds a secret in its environment": "(grep {{ /{marker}/ }} values %ENV)",
    "inherited a descriptor": "inherited()",
    "opens a device of this machine": "(readable('/dev/mem') || readable('/dev/kmsg') || readable('/dev/sda'))",
    "opens a terminal": "open(my $t, '<', '/dev/tty')",
    "may change the kernel": "open(my $k, '+<', '/proc/sys/kernel/core_pattern')",
    "may leave a core dump": "core_limit() ne '0'",
}

FORK_BOMB_NAME = "a bomb of the tests"
FORK_BOMB = (
    f"my $name = '{FORK_BOMB_NAME}';"
    + """
my $count = 0;
while ($count < 500) { my $child = fork(); last unless defined $child; if (!$child) { sleep 20; exit } $count++ }
print $count;
"""
)
MEMORY = "my $x = 'x' x (1 << 30); print length($x);"
BUSY_LOOP = "1 while 1;"


def quiet_program(names: Iterable[str], **values: object) -> str:
    """Give one program that tries these quiet probes and reports each."""
    return PRELUDE + "\n".join(f"say_so('{name}', scalar({QUIET_PROBES[name].format(**values)}));" for name in names)
