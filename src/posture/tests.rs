use super::*;
use crate::event::{Confinement, Limits, Mount, PublishedPort, Security};

fn outcome(info: &ContainerInfo, id: &str) -> PostureOutcome {
    let all = posture(info, None);
    all.iter().find(|r| r.id == id).unwrap().outcome
}

fn good() -> ContainerInfo {
    ContainerInfo {
        image: "web@sha256:00".into(),
        user: "1000".into(),
        healthcheck: vec!["true".into()],
        limits: Limits {
            memory: 1 << 30,
            cpu_milli: 500,
            pids: 64,
        },
        security: Security {
            cap_drop: vec!["ALL".to_owned()],
            apparmor: "docker-default".to_owned(),
            readonly_root: true,
            no_new_privileges: true,
            ..Security::default()
        },
        ..ContainerInfo::default()
    }
}

#[test]
fn each_check_passes_without_and_fails_with_what_it_is_about() {
    let none = good();
    for result in posture(&none, None) {
        assert_eq!(result.outcome, PostureOutcome::Pass, "{result:?}");
    }
    type Change = fn(&mut ContainerInfo);
    let mount = |source: &str, writable: bool| Mount {
        kind: "bind".to_owned(),
        source: source.into(),
        destination: "/x".into(),
        writable,
    };
    let cases: [(&str, Change); 22] = [
        ("privileged", |i| i.security.privileged = true),
        ("caps-added", |i| {
            i.security.cap_add = vec!["CAP_SYS_ADMIN".to_owned()]
        }),
        ("root", |i| i.user = "0:0".into()),
        ("no-new-privileges", |i| {
            i.security.no_new_privileges = false
        }),
        ("seccomp-off", |i| {
            i.security.seccomp = "unconfined".to_owned()
        }),
        ("apparmor-off", |i| {
            i.security.apparmor = "unconfined".to_owned()
        }),
        ("root-writable", |i| i.security.readonly_root = false),
        ("host-pid", |i| i.security.pid_mode = "host".to_owned()),
        ("host-net", |i| i.security.network_mode = "host".to_owned()),
        ("host-ipc", |i| i.security.ipc_mode = "host".to_owned()),
        ("host-uts", |i| i.security.uts_mode = "host".to_owned()),
        ("host-user", |i| i.security.user_mode = "host".to_owned()),
        ("devices", |i| i.security.devices = vec!["/dev/sda".into()]),
        ("propagation", |i| {
            i.security.shared_mounts = vec!["/data".into()]
        }),
        ("unmasked", |i| i.security.unmasked = true),
        ("env-secret", |i| {
            i.environment = vec!["PATH".into(), "DB_PASSWORD".into()]
        }),
        ("restart-always", |i| i.restart_policy = "always".to_owned()),
        ("sshd", |i| i.command = vec!["/usr/sbin/sshd".into()]),
        ("no-memory-limit", |i| i.limits.memory = 0),
        ("no-pids-limit", |i| i.limits.pids = 0),
        ("unpinned", |i| i.image = "web:1".into()),
        ("no-health-check", |i| i.healthcheck.clear()),
    ];
    for (id, change) in cases {
        let mut info = good();
        change(&mut info);
        assert_eq!(outcome(&info, id), PostureOutcome::Fail, "{id}");
    }
    for (source, id) in [
        ("/", "mount-sensitive"),
        ("/etc/ssl", "mount-sensitive"),
        ("/var/run/docker.sock", "engine-socket"),
    ] {
        let mut info = good();
        info.mounts = vec![mount(source, false)];
        assert_eq!(outcome(&info, id), PostureOutcome::Fail, "{source}");
    }
    let mut info = good();
    info.mounts = vec![mount("/srv/data", true), mount("/etcetera", true)];
    assert_eq!(outcome(&info, "mount-sensitive"), PostureOutcome::Pass);
    info.ports = vec![PublishedPort {
        container: "80/tcp".to_owned(),
        host: "[::]:80".to_owned(),
    }];
    assert_eq!(outcome(&info, "published-any"), PostureOutcome::Fail);
}

fn shares(kind: &str) -> Option<Vec<String>> {
    Some(vec![kind.to_owned()])
}

#[test]
fn a_variable_that_names_a_file_or_nothing_secret_passes() {
    let mut info = good();
    info.environment = vec![
        "POSTGRES_PASSWORD_FILE".into(),
        "LANG".into(),
        "NGINX_VERSION".into(),
    ];
    assert_eq!(outcome(&info, "env-secret"), PostureOutcome::Pass);
    // A camera is not a disk.
    info.security.devices = vec!["/dev/video0".into()];
    let all = posture(&info, None);
    let devices = all.iter().find(|r| r.id == "devices").unwrap();
    assert_eq!(devices.severity, crate::event::Severity::Low);
    info.security.devices.push("/dev/nvme0n1".into());
    let all = posture(&info, None);
    let devices = all.iter().find(|r| r.id == "devices").unwrap();
    assert_eq!(devices.severity, crate::event::Severity::High);
}

#[test]
fn a_container_without_facts_has_no_finding() {
    let none = ContainerInfo::default();
    assert_eq!(outcome(&none, "privileged"), PostureOutcome::Unknown);
    assert_eq!(outcome(&none, "host-pid"), PostureOutcome::Unknown);
}

#[test]
fn the_setting_in_force_decides_not_the_declaration() {
    let confined = Confinement {
        pid: 7,
        uid: 1000,
        bounding: 1,
        no_new_privileges: true,
        seccomp: 2,
        apparmor: "docker-default (enforce)".to_owned(),
        host_namespaces: Some(vec!["user".to_owned()]),
        ..Confinement::default()
    };
    let with = |confinement: Confinement| ContainerInfo {
        confinement: Some(confinement),
        ..good()
    };
    for result in posture(&with(confined.clone()), None) {
        let expected = match result.id {
            // Nothing was observed.
            "caps-unused" => PostureOutcome::Unknown,
            _ => PostureOutcome::Pass,
        };
        assert_eq!(result.outcome, expected, "{result:?}");
    }
    // The engine's own default is off, and AppArmor is not applied, though all is declared well.
    type Change = fn(&mut Confinement);
    let cases: [(&str, Change); 8] = [
        ("seccomp-off", |c| c.seccomp = 0),
        ("apparmor-off", |c| c.apparmor.clear()),
        ("no-new-privileges", |c| c.no_new_privileges = false),
        ("caps-added", |c| c.bounding |= 1 << 21),
        ("root", |c| c.uid = 0),
        ("host-pid", |c| c.host_namespaces = shares("pid")),
        ("host-net", |c| c.host_namespaces = shares("net")),
        ("host-ipc", |c| c.host_namespaces = shares("ipc")),
    ];
    for (id, change) in cases {
        let mut confined = confined.clone();
        change(&mut confined);
        let info = with(confined);
        assert_eq!(outcome(&info, id), PostureOutcome::Fail, "{id}");
        let result = posture(&info, None).into_iter().find(|r| r.id == id);
        assert!(!result.unwrap().effective.is_empty(), "{id}");
    }
    // Switched on for the whole engine: declared nowhere, and in force.
    let mut info = with(confined);
    info.security.no_new_privileges = false;
    assert_eq!(outcome(&info, "no-new-privileges"), PostureOutcome::Pass);
}
