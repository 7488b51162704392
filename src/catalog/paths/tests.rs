//! Classes of paths.

use super::*;

#[test]
fn web_scripts_are_known_by_ending_and_place() {
    for (path, is) in [
        (&b"/var/www/html/up/x.php"[..], true),
        (b"/opt/tomcat/webapps/ROOT/c.jsp", true),
        (b"/usr/lib/cgi-bin/run", true),
        (b"/app/var/cache/twig/a1.php", false),
        (b"/srv/x.py", false),
    ] {
        assert_eq!(is_web_script(path), is, "{}", path.escape_ascii());
    }
    assert!(in_package_tree(b"/app/node_modules/x/y.node"));
    assert!(!in_package_tree(b"/usr/local/bin/y"));
}

#[test]
fn each_path_has_its_class() {
    for (path, place) in [
        ("/bin/ls", Some(PathClass::Program)),
        ("/usr/local/lib/x.so", Some(PathClass::Program)),
        ("/lib64/ld-linux-x86-64.so.2", Some(PathClass::Program)),
        ("/usr/lib/python3/__pycache__/a.cpython-313.pyc", None),
        ("/usr/lib/locale/locale-archive.x1", None),
        ("/usr/lib/gtk-3.0/3.0.0/immodules.cache", None),
        ("/usr/share/doc/x", None),
        ("/lib/systemd/system/x.service", Some(PathClass::Service)),
        (
            "/lib/x86_64-linux-gnu/security/pam_evil.so",
            Some(PathClass::Pam),
        ),
        ("/etc/passwd", Some(PathClass::Accounts)),
        ("/etc/passwd-", Some(PathClass::Managed)),
        ("/etc/shadow", Some(PathClass::Accounts)),
        ("/etc/ld.so.preload", Some(PathClass::LdPreload)),
        ("/etc/cron.d/x", Some(PathClass::Cron)),
        ("/var/spool/cron/crontabs/root", Some(PathClass::Cron)),
        ("/etc/periodic/15min/x", Some(PathClass::Cron)),
        ("/etc/nginx/conf.d/default.conf", Some(PathClass::EtcBelow)),
        ("/etc/nsswitch.conf", Some(PathClass::EtcTop)),
        ("/root/.ssh/authorized_keys", Some(PathClass::SshAccess)),
        ("/home/a/.bashrc", Some(PathClass::ShellStartup)),
        ("/home/a/b/.bashrc", None),
        ("/root/.bash_aliases", Some(PathClass::ShellStartup)),
        ("/home/a/.pam_environment", Some(PathClass::ShellStartup)),
        ("/etc/zsh/zshenv", Some(PathClass::ShellStartup)),
        ("/etc/csh.login", Some(PathClass::ShellStartup)),
        (
            "/home/a/.config/fish/conf.d/x.fish",
            Some(PathClass::ShellStartup),
        ),
        ("/home/a/.config/fish/completions/x.fish", None),
        ("/etc/fish/config.fish", Some(PathClass::ShellStartup)),
        ("/etc/fish/completions/x.fish", Some(PathClass::EtcBelow)),
        ("/root/.bash_history", Some(PathClass::ShellHistory)),
        ("/etc/alternatives/awk", Some(PathClass::Program)),
        ("/etc/doas.conf", Some(PathClass::Sudoers)),
        ("/etc/udev/rules.d/9-x.rules", Some(PathClass::Service)),
        ("/etc/network/interfaces", Some(PathClass::EtcBelow)),
        ("/etc/apt/apt.conf.d/99x", Some(PathClass::PackageSources)),
        ("/etc/pip.conf", Some(PathClass::PackageSources)),
        (
            "/root/.config/pip/pip.conf",
            Some(PathClass::PackageSources),
        ),
        ("/home/u/.npmrc", Some(PathClass::PackageSources)),
        (
            "/usr/share/bash-completion/completions/ls",
            Some(PathClass::ShellStartup),
        ),
        ("/usr/share/doc/bash/README", None),
        ("/var/spool/at/a0001", Some(PathClass::Cron)),
        (
            "/root/.local/lib/python3.13/site-packages/x.pth",
            Some(PathClass::ShellStartup),
        ),
        ("/root/.local/lib/python3.13/site-packages/x.py", None),
        (
            "/var/lib/postgresql/.profile",
            Some(PathClass::ShellStartup),
        ),
        (
            "/var/lib/redis/.ssh/authorized_keys2",
            Some(PathClass::SshAccess),
        ),
        ("/srv/app/.bashrc", Some(PathClass::ShellStartup)),
        ("/srv/app/site/.bashrc", None),
        ("/tmp/.ssh/authorized_keys", None),
        ("/docker-entrypoint.d/99-x.sh", Some(PathClass::Service)),
        ("/docker-entrypoint-initdb.d/x.sh", Some(PathClass::Service)),
        ("/docker-entrypoint-initdb.d/seed.sql", None),
        ("/entrypoint.sh", Some(PathClass::Service)),
        ("/srv/entrypoint.sh", None),
        ("/var/log/nginx/access.log", Some(PathClass::Log)),
        ("/tmp/etc/passwd", None),
        ("/var/lib/postgresql/data/x", None),
        ("/", None),
        ("", None),
    ] {
        assert_eq!(of(path.as_bytes()), place, "{path}");
    }
}

#[test]
fn a_directory_has_the_class_of_its_files() {
    for (path, place) in [
        ("/etc/cron.d", Some(PathClass::Cron)),
        ("/etc/nginx", Some(PathClass::EtcTop)),
        ("/etc/nsswitch.conf", Some(PathClass::EtcTop)),
        ("/etc/passwd", Some(PathClass::Accounts)),
        ("/usr/sbin", Some(PathClass::Program)),
        ("/var/log", Some(PathClass::Log)),
        ("/srv", None),
        ("/tmp/x", None),
    ] {
        assert_eq!(of_entry(path.as_bytes()), place, "{path}");
    }
}
