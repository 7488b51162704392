# Privileged calls, each once, in a container with perl. Argument: the expected result, "work" or "fail".
use strict;
use warnings;
use POSIX ();

my $expected = shift;
my %numbers =
    (POSIX::uname())[4] eq 'aarch64'
    ? (mount => 40, umount2 => 39, unshare => 97, setns => 268, pivot_root => 41, chroot => 51, ptrace => 117, bpf => 280,
       init_module => 105, finit_module => 273, delete_module => 106, memfd_create => 279, keyctl => 219, add_key => 217, kexec_load => 104, setuid => 146, setgid => 144, setresuid => 147, io_uring_setup => 425)
    : (mount => 165, umount2 => 166, unshare => 272, setns => 308, pivot_root => 155, chroot => 161, ptrace => 101, bpf => 321,
       init_module => 175, finit_module => 313, delete_module => 176, memfd_create => 319, keyctl => 250, add_key => 248, kexec_load => 246, setuid => 105, setgid => 106, setresuid => 117, io_uring_setup => 425);
$| = 1;
# Each in a separate process, so that none affects the next.
sub attempt {
    my ($name, @arguments) = @_;
    my $pid = fork // die;
    if (!$pid) {
        my $result = syscall($numbers{$name}, @arguments);
        my $errno = $result < 0 ? $!+0 : 0;
        print "$name $errno\n";
        POSIX::_exit(0);
    }
    waitpid $pid, 0;
}
my $none = 'none';
attempt('mount', $none, '/mnt', 'tmpfs', 0, 'size=1m');
attempt('umount2', '/mnt', 2);
attempt('unshare', 0x10000000 | 0x20000);
open my $self, '<', '/proc/self/ns/uts' or die;
attempt('setns', fileno $self, 0x4000000);
attempt('pivot_root', '/tmp', '/tmp');
attempt('chroot', '/tmp');
my $traced = fork // die;
if (!$traced) { sleep 60; POSIX::_exit(0) }
attempt('ptrace', 0x4206, $traced, 0, 0);
kill 'KILL', $traced;
waitpid $traced, 0;
attempt('bpf', 0, pack('x128'), 128);
attempt('init_module', 'x', 1, '');
attempt('finit_module', fileno $self, '', 0);
attempt('delete_module', 'hullwatch_none', 0);
attempt('memfd_create', 'anon', 0);
attempt('keyctl', 1, 0);
attempt('add_key', 'user', 'x', 'y', 1, -3);
attempt('kexec_load', 0, 0, 0, 0);
attempt('setgid', 1234);
attempt('setuid', 1234);
attempt('setresuid', 4321, 4321, 4321);
attempt('io_uring_setup', 4, pack('x120'));
