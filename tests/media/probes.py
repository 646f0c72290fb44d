"""What a tool that a hostile file has taken over would try, as small Perl programs: each says HELD or ESCAPED.

They run as the confined command, in Perl, because ExifTool needs it anyway. `{...}` are filled in by the test. A probe
that succeeds must change nothing on this machine: it opens and does not write, it unshares itself and does not mount.
"""

from collections.abc import Iterable

PRELUDE = r"""
use strict; use warnings; use Socket; use IO::Socket::INET; use POSIX ();
my %all_calls = (
    x86_64  => { ptrace => 101, unshare => 272, keyctl => 250, add_key => 248, process_vm_readv => 310, bpf => 321,
                 io_uring_setup => 425, userfaultfd => 323, perf_event_open => 298, prlimit64 => 302, mknod => 133,
                 name_to_handle_at => 303, pidfd_open => 434, pidfd_getfd => 438 },
    aarch64 => { ptrace => 117, unshare => 97, keyctl => 219, add_key => 217, process_vm_readv => 270, bpf => 280,
                 io_uring_setup => 425, userfaultfd => 282, perf_event_open => 241, prlimit64 => 261,
                 name_to_handle_at => 264, pidfd_open => 434, pidfd_getfd => 438 },
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
sub gives { my ($name, @arguments) = @_; return $calls->{$name} && syscall($calls->{$name}, @arguments) >= 0; }
sub family { return socket(my $s, $_[0], $_[1], $_[2] // 0); }
sub remembers {
    my ($type, $name, $value) = ('user', 'testigo-probe', 'x');
    return gives('add_key', $type, $name, $value, 1, -1);    # into its own process's keyring, gone with it
}
sub reads_over { my $room = "\0" x 8; my $here = pack('PQ', $room, 8); my $there = pack('QQ', 0x400000, 8);
    return gives('process_vm_readv', $_[0], $here, 1, $there, 1, 0); }
sub raises { my $all = pack('QQ', ~0, ~0); return works('prlimit64', 0, 1, $all, 0); }
sub rings { my $wanted = "\0" x 120; return gives('io_uring_setup', 1, $wanted); }
sub counts { my $what = pack('LLQ', 1, 112, 0) . "\0" x 96; return gives('perf_event_open', $what, 0, -1, -1, 0); }
sub programs { my $map = pack('LLLL', 2, 4, 4, 1) . "\0" x 104; return gives('bpf', 0, $map, 120); }
sub handles { my $handle = pack('LL', 128, 0) . "\0" x 128; my $mount = "\0" x 8; my $path = '/usr/bin';
    return gives('name_to_handle_at', -100, $path, $handle, $mount, 0); }
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
    "asks a name server": "gethostbyname('localhost.localdomain.example')",
    "reaches the machine beneath by a socket": "family(40, SOCK_STREAM)",
    "uses the ciphers of the kernel by a socket": "family(38, 5)",
    "asks the kernel of its network by a socket": "family(16, SOCK_RAW)",
    "asks for the keyring of the archive": "gives('keyctl', 0, -3, 0)",
    "puts a key into a keyring": "remembers()",
    "reads the memory of another process by a call": "reads_over({parent})",
    "hands work to the kernel in a ring": "rings()",
    "handles its own page faults": "gives('userfaultfd', 1)",
    "counts what the processor does": "counts()",
    "loads a program into the kernel": "programs()",
    "opens files by their handles": "handles()",
    "makes a device": "works('mknod', '/tmp/device', 0020666, 259)",
    "raises its own limits": "raises()",
    "changes its root": "chroot('/tmp')",
    "loads a library of its own": "writable('/usr/lib/probe.so')",
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
