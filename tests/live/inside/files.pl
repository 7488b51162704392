# Each way to change a file, once, in a container with bash and perl. Dies at the first that fails.
use strict;
use warnings;
use Fcntl;
use POSIX ();

my %numbers =
    (POSIX::uname())[4] eq 'aarch64'
    ? (openat => 56, openat2 => 437, linkat => 37, renameat => 38, renameat2 => 276, unlinkat => 35, fchmodat => 53,
       fchownat => 54, fchmod => 52, fchown => 55, truncate => 45, ftruncate => 46, mkdirat => 34, symlinkat => 36, mknodat => 33)
    : (openat => 257, openat2 => 437, linkat => 265, renameat => 264, renameat2 => 316, unlinkat => 263, fchmodat => 268,
       fchownat => 260, fchmod => 91, fchown => 93, truncate => 76, ftruncate => 77, mkdirat => 258, symlinkat => 266, mknodat => 259);

sub attempt { my ($name, @arguments) = @_; return syscall($numbers{$name}, @arguments) }
sub call { my $result = attempt(@_); $result >= 0 or die "$_[0] @_[1..$#_]: $!"; return $result }
sub refused { my ($errno, @words) = @_; attempt(@words) < 0 && $! == $errno or die "$words[0]: $!, not refused" }
my $here = -100;

mkdir '/job' or die;
chdir '/job' or die;
sysopen my $made, 'made', O_CREAT | O_WRONLY, 0640 or die;
syswrite $made, 'content';
sysopen my $again, '../job/made', O_WRONLY | O_APPEND or die;
open my $cut, '>', '/job/made' or die;
call('truncate', '/job/made', 3);
call('ftruncate', fileno $made, 2);
call('openat2', $here, 'second', pack('QQQ', O_CREAT | O_RDWR, 0600, 0), 24);
my $nameless = call('openat', $here, '/job', 020200000 | O_RDWR, 0600);
call('linkat', $here, "/proc/self/fd/$nameless", $here, '/job/from-nameless', 0x400);
rename 'second', 'third' or die;
mkdir 'below' or die;
sysopen my $below, 'below', O_RDONLY | O_DIRECTORY or die;
my $directory = fileno $below;
call('renameat', $here, 'third', $directory, 'fourth');
call('renameat2', $here, 'made', $directory, 'fourth', 2);
refused(17, 'renameat2', $here, 'made', $directory, 'fourth', 1);
link 'made', 'hard' or die;
symlink '/etc', 'conf' or die;
chmod 0755, 'made' or die;
call('fchmod', $directory, 0700);
call('fchmodat', $directory, 'fourth', 0604);
chown 12, 34, 'made' or die;
call('fchown', fileno $made, 56, 78);
call('fchownat', $directory, 'fourth', 9, 9, 0);
open my $through, '>', 'conf/through-link' or die;
open my $root, '>', '/proc/self/root/etc/through-root' or die;
POSIX::mkfifo('pipe', 0600) or die;
call('mkdirat', $directory, 'deeper', 0711);
call('unlinkat', $directory, 'deeper', 0x200);
call('unlinkat', $directory, 'fourth', 0);
unlink 'hard' or die;
rmdir 'below' or die;
refused(2, 'unlinkat', $here, 'nothing', 0);
refused(20, 'openat', $here, 'made/inside', O_CREAT | O_WRONLY, 0600);
