# ExifTool configuration of the confined reader. ExifTool loads it at its start, inside the sandbox.
#
# The files that ExifTool is asked to read have the names range:1, range:2 ... and lie behind two inherited sockets. Beginning
# and end of a file are sent with its name, over the one, maybe while the file before is still read; all else is asked for
# over the other, block by block, so that a file of any size is read without resting on a disk or in memory as a whole.
#
# Standard: our own. With each name come its number and the file's size (8 octets each, big-endian), the length of what
# follows of its beginning and of its end (4 octets each), and both. A request is the file's number, an offset (8 octets
# each) and a length (4 octets) inside the file; the answer is exactly those bytes.

use strict;
use warnings;
use POSIX ();

package Testigo::RangeHandle;

use constant { PEEK => 0x02, DONTWAIT => 0x40 };    # of recv, on Linux
use constant WATCH_SECONDS => 5;

use constant BLOCK => 131_072;    # two chunks of the sealed store
use constant KEPT_BLOCKS => 16;

my ($socket, $openings);
my $opened = '';
our $size;
my ($number, $beginning, $end);

sub bind_sockets {
    my ($of_ranges, $of_openings) = @_;
    open($socket, '+<&=', $of_ranges) or die "range socket: $!\n";
    open($openings, '<&=', $of_openings) or die "socket of openings: $!\n";
    return binmode($socket) && binmode($openings);
}

# ExifTool waits for more where its argument stream ends, for ever where nobody is left who could give it. Dying with
# one's parent is asked of the kernel only after the start, too late where the parent was killed in that moment.
sub leave_when_alone {
    my $look = sub {
        my $octet;
        my $heard = recv($socket, $octet, 1, PEEK | DONTWAIT);
        POSIX::_exit(0) if defined $heard && !length $octet;
        alarm(WATCH_SECONDS);
    };
    # A call that waits goes on afterwards; when the other end is closed it ends by itself.
    POSIX::sigaction(POSIX::SIGALRM(), POSIX::SigAction->new($look, POSIX::SigSet->new, POSIX::SA_RESTART()));
    return alarm(WATCH_SECONDS);
}

sub take {
    my ($from, $length) = @_;
    my $taken = '';
    while (length($taken) < $length) {
        my $got = sysread($from, $taken, $length - length($taken), length($taken));
        die "range socket closed\n" unless $got;
    }
    return $taken;
}

sub ask {
    my ($offset, $length) = @_;
    my $request = pack('Q>Q>L>', $number, $offset, $length);
    syswrite($socket, $request) == length($request) or die "range socket closed\n";
    return take($socket, $length);
}

# Take what was sent with a name; a name that is opened again was sent only once.
sub turn_to_file {
    my ($name) = @_;
    if ($name ne $opened) {
        ($number, $size, my $before, my $after) = unpack('Q>Q>L>L>', take($openings, 24));
        # Never one file's bytes under another file's name.
        die "out of step\n" if $name ne "range:$number";
        ($beginning, $end) = (take($openings, $before), take($openings, $after));
        $opened = $name;
    }
    return;
}

# A file that came whole with its name needs no more than a handle on that text, which is faster.
sub whole_file { return length($beginning) == $size ? \$beginning : undef }

sub TIEHANDLE {
    my ($class) = @_;
    return bless { size => $size, position => 0, blocks => {}, order => [], start => 0, current => \$beginning }, $class;
}

# Make the block that holds the present position the current one.
sub turn_to_block {
    my ($self) = @_;
    my $position = $self->{position};
    if ($position < length($beginning)) {
        @{$self}{qw(start current)} = (0, \$beginning);
        return;
    }
    if ($position >= $size - length($end)) {
        @{$self}{qw(start current)} = ($size - length($end), \$end);
        return;
    }
    my $number = int($position / BLOCK);
    my $block = $self->{blocks}{$number};
    if (!$block) {
        my $start = $number * BLOCK;
        my $length = $self->{size} - $start;
        $length = BLOCK if $length > BLOCK;
        my $bytes = ask($start, $length);
        $block = $self->{blocks}{$number} = \$bytes;
        push @{ $self->{order} }, $number;
        delete $self->{blocks}{ shift @{ $self->{order} } } if @{ $self->{order} } > KEPT_BLOCKS;
    }
    $self->{start} = $number * BLOCK;
    $self->{current} = $block;
    return;
}

sub READ {
    my ($self, undef, $length, $offset) = @_;
    my $position = $self->{position};
    my $inside = $position - $self->{start};
    if (!$offset && $inside >= 0 && $inside + $length <= length(${ $self->{current} })) {
        $_[1] = substr(${ $self->{current} }, $inside, $length);
        $self->{position} = $position + $length;
        return $length;
    }
    my $left = $self->{size} - $position;
    $left = $length if $left > $length;
    $left = 0 if $left < 0;
    my $answer = '';
    my $wanted = $left;
    while ($wanted > 0) {
        $self->turn_to_block;
        my $piece = substr(${ $self->{current} }, $self->{position} - $self->{start}, $wanted);
        $answer .= $piece;
        $wanted -= length($piece);
        $self->{position} += length($piece);
    }
    if ($offset) {
        $_[1] = '' unless defined $_[1];
        $_[1] .= "\0" x ($offset - length($_[1])) if length($_[1]) < $offset;
        substr($_[1], $offset) = $answer;
    } else {
        $_[1] = $answer;
    }
    return $left;
}

sub READLINE {
    my ($self) = @_;
    return read_lines($self) if wantarray;
    my $separator = $/;
    my $line = '';
    while ($self->{position} < $self->{size}) {
        $self->turn_to_block;
        my $before = length($line);
        my $inside = $self->{position} - $self->{start};
        my $overlap = defined $separator && length($separator) > 1 ? length($separator) - 1 : 0;
        $line .= substr(${ $self->{current} }, $inside);
        my $from = $before > $overlap ? $before - $overlap : 0;
        my $found = defined $separator && length($separator) ? index($line, $separator, $from) : -1;
        if ($found >= 0) {
            my $end = $found + length($separator);
            $self->{position} += $end - $before;
            return substr($line, 0, $end);
        }
        $self->{position} += length($line) - $before;
    }
    return length($line) ? $line : undef;
}

sub read_lines {
    my ($self) = @_;
    my @lines;
    while (defined(my $line = $self->READLINE)) { push @lines, $line }
    return @lines;
}

sub GETC {
    my ($self) = @_;
    my $octet;
    return $self->READ($octet, 1) ? $octet : undef;
}

sub SEEK {
    my ($self, $offset, $whence) = @_;
    my $to = $whence == 0 ? $offset : $whence == 1 ? $self->{position} + $offset : $self->{size} + $offset;
    return 0 if $to < 0;
    $self->{position} = $to;
    return 1;
}

sub TELL    { return $_[0]{position} }
sub EOF     { return $_[0]{position} >= $_[0]{size} }
sub BINMODE { return 1 }
sub CLOSE   { return 1 }
# Archive::Zip takes a handle for open only if it has a number.
sub FILENO  { return fileno($socket) }

# Archive::Zip opens a handle anew by its number, which would bypass us, unless it takes it for an IO::String.
require IO::File;
push @IO::File::ISA, 'IO::String';

package Image::ExifTool;

Testigo::RangeHandle::bind_sockets(@ENV{qw(TESTIGO_RANGE_SOCKET TESTIGO_OPENING_SOCKET)});
Testigo::RangeHandle::leave_when_alone();

{
    no warnings 'redefine';
    my $open = \&Open;
    # Only the stream of arguments and, for reading, the names that were made for it.
    *Open = sub ($*$;$) {
        my ($self, $handle, $file, $mode) = @_;
        return $open->($self, $handle, $file, $mode) if $file eq '-';
        return 0 if $file !~ /\Arange:\d+\z/ || ($mode && $mode ne '<');
        complete_id3_tables();
        Testigo::RangeHandle::turn_to_file($file);
        # Such a handle has no stat; some values (durations, "linearized") are computed from the size.
        $self->FoundTag('FileSize', $Testigo::RangeHandle::size);
        my $whole = Testigo::RangeHandle::whole_file();
        return open($handle, '<:raw', $whole) if $whole;
        tie *$handle, 'Testigo::RangeHandle';
        return 1;
    };
    # ExifTool gives a tag of the one ID3 version the family of the other only if that other was completed before, so
    # without this an answer depends on which files were read earlier.
    my $completed = 0;

    sub complete_id3_tables {
        return if $completed++;
        require Image::ExifTool::ID3;
        GetTagTable("Image::ExifTool::ID3::v2_$_") for 2, 3, 4;
        return;
    }

    *Exists = sub ($$) { return $_[1] =~ /\Arange:\d+\z/ };
}

1;
