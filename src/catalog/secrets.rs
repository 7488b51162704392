//! Names of files whose content is secret: credentials, private keys, memory.
//!
//! The kernel program compares only the last two components of a path with these tables; the
//! whole path decides afterwards.

use super::path::parent_and_leaf;

/// Matches any name.
pub(crate) const ANY: &[u8] = b"*";

/// Pattern of a secret file's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SecretName {
    /// Name of the directory that holds the file, or [`ANY`].
    pub(crate) parent: &'static [u8],
    /// Name of the file. At most one `*`, which matches any bytes.
    pub(crate) leaf: &'static [u8],
    /// Beginning of the whole path, with its final slash; empty: anywhere.
    pub(crate) under: &'static [u8],
}

const fn named(parent: &'static [u8], leaf: &'static [u8]) -> SecretName {
    SecretName {
        parent,
        leaf,
        under: b"",
    }
}

const fn under(under: &'static [u8], parent: &'static [u8], leaf: &'static [u8]) -> SecretName {
    SecretName {
        parent,
        leaf,
        under,
    }
}

/// Credentials and private keys.
pub(crate) const CREDENTIALS: &[SecretName] = &[
    // Passwords of accounts, and who may become root.
    named(b"etc", b"shadow"),
    named(b"etc", b"shadow-"),
    named(b"etc", b"gshadow"),
    named(b"etc", b"gshadow-"),
    named(b"etc", b"sudoers"),
    // Private keys of SSH users.
    named(ANY, b"id_rsa"),
    named(ANY, b"id_dsa"),
    named(ANY, b"id_ecdsa"),
    named(ANY, b"id_ed25519"),
    named(b".ssh", ANY),
    // Credential files of cloud, cluster and database clients.
    named(b".aws", b"credentials"),
    named(b".kube", b"config"),
    named(b".docker", b"config.json"),
    named(ANY, b".git-credentials"),
    named(ANY, b".netrc"),
    named(ANY, b".pgpass"),
    named(ANY, b".vault-token"),
    named(b"gcloud", b"application_default_credentials.json"),
    named(b"gcloud", b"credentials.db"),
    named(b".azure", b"msal_token_cache.json"),
    named(b".azure", b"accessTokens.json"),
    named(b"kubernetes", b"admin.conf"),
    // Credential files of package registries, storage and hosting clients.
    named(ANY, b".npmrc"),
    named(ANY, b".pypirc"),
    named(b".cargo", b"credentials*"),
    named(b".composer", b"auth.json"),
    named(ANY, b".my.cnf"),
    named(ANY, b".s3cfg"),
    named(ANY, b".boto"),
    named(ANY, b".passwd-s3fs"),
    named(ANY, b".smbcredentials"),
    named(b"rclone", b"rclone.conf"),
    named(b"gh", b"hosts.yml"),
    named(b"doctl", b"config.yaml"),
    named(b".terraform.d", b"credentials.tfrc.json"),
    // Private keys of servers, where distributions and certificate tools store them.
    under(b"/etc/", b"ssh", b"ssh_host_*_key"),
    under(b"/etc/", b"private", ANY),
    under(b"/etc/", ANY, b"privkey*"),
    // Secrets that the engine or the cluster mounts.
    under(b"/run/secrets/", ANY, b"token"),
    under(b"/run/secrets/", b"secrets", ANY),
    under(b"/var/run/secrets/", ANY, b"token"),
    under(b"/var/run/secrets/", b"secrets", ANY),
];

/// The directory and name of a file in which clients keep their credentials, and the clients.
struct ClientFile(&'static [u8], &'static [u8], &'static [&'static [u8]]);

/// Credential files and their clients. [`ANY`] as name: every file of the directory.
const CLIENTS: &[ClientFile] = &[
    ClientFile(
        b".aws",
        ANY,
        &[
            b"aws",
            b"aws_completer",
            b"sam",
            b"cdk",
            b"terraform",
            b"tofu",
        ],
    ),
    ClientFile(
        b".kube",
        ANY,
        &[
            b"kubectl",
            b"helm",
            b"k9s",
            b"kustomize",
            b"flux",
            b"argocd",
        ],
    ),
    ClientFile(
        b".docker",
        ANY,
        &[
            b"docker",
            b"podman",
            b"skopeo",
            b"buildah",
            b"crane",
            b"buildctl",
        ],
    ),
    ClientFile(
        b"gcloud",
        ANY,
        &[
            b"gcloud",
            b"gsutil",
            b"bq",
            b"gcloud.py",
            b"kubectl",
            b"terraform",
        ],
    ),
    ClientFile(b".azure", ANY, &[b"az", b"kubectl", b"terraform"]),
    ClientFile(ANY, b".git-credentials", &[b"git", b"git-credential-store"]),
    ClientFile(
        ANY,
        b".netrc",
        &[
            b"curl",
            b"wget",
            b"git-remote-http",
            b"git-remote-https",
            b"ftp",
            b"heroku",
        ],
    ),
    ClientFile(
        ANY,
        b".pgpass",
        &[
            b"psql",
            b"pg_dump",
            b"pg_dumpall",
            b"pg_restore",
            b"pg_isready",
            b"pg_basebackup",
            b"createdb",
            b"dropdb",
            b"vacuumdb",
            b"reindexdb",
            b"pgbench",
        ],
    ),
    ClientFile(
        ANY,
        b".vault-token",
        &[b"vault", b"consul-template", b"terraform"],
    ),
    ClientFile(
        ANY,
        b".npmrc",
        &[
            b"npm",
            b"npm-cli.js",
            b"npx",
            b"npx-cli.js",
            b"yarn",
            b"yarn.js",
            b"pnpm",
            b"pnpm.cjs",
            b"corepack",
            b"bun",
            b"next",
        ],
    ),
    ClientFile(ANY, b".pypirc", &[b"twine", b"poetry", b"flit"]),
    ClientFile(b".cargo", ANY, &[b"cargo"]),
    ClientFile(b".composer", ANY, &[b"composer", b"composer.phar"]),
    ClientFile(
        ANY,
        b".my.cnf",
        &[
            b"mysql",
            b"mysqldump",
            b"mysqladmin",
            b"mysqlcheck",
            b"mysqlimport",
            b"mysqlshow",
            b"mysqlbinlog",
            b"mysqlpump",
            b"mariadb",
            b"mariadb-dump",
            b"mariadb-admin",
            b"mariadb-check",
            b"mydumper",
            b"mysqlsh",
            b"my_print_defaults",
            b"mysqld",
            b"mariadbd",
        ],
    ),
    ClientFile(ANY, b".s3cfg", &[b"s3cmd"]),
    ClientFile(ANY, b".boto", &[b"gsutil", b"gsutil.py", b"aws"]),
    ClientFile(ANY, b".passwd-s3fs", &[b"s3fs"]),
    ClientFile(ANY, b".smbcredentials", &[b"mount.cifs", b"smbclient"]),
    ClientFile(b"rclone", ANY, &[b"rclone", b"restic"]),
    ClientFile(b"gh", ANY, &[b"gh"]),
    ClientFile(b"doctl", ANY, &[b"doctl"]),
    ClientFile(b".terraform.d", ANY, &[b"terraform", b"tofu"]),
];

/// Whether a program keeps its own credentials in the file at `path`.
#[must_use]
pub(crate) fn keeps_credentials_in(path: &[u8], program: &[u8]) -> bool {
    let (parent, leaf) = parent_and_leaf(path);
    CLIENTS.iter().any(|ClientFile(directory, file, clients)| {
        (*directory == ANY || *directory == parent)
            && (*file == ANY || *file == leaf)
            && clients.contains(&program)
    })
}

/// Memory of the host.
pub(crate) const HOST_MEMORY: &[SecretName] = &[
    named(b"proc", b"kcore"),
    named(b"proc", b"kmem"),
    named(b"dev", b"mem"),
    named(b"dev", b"kmem"),
    named(b"dev", b"port"),
];

/// Memory and environment of processes.
pub(crate) const PROCESS_MEMORY: &[SecretName] = &[
    under(b"/proc/", ANY, b"environ"),
    under(b"/proc/", ANY, b"mem"),
];

/// Files that a pattern of [`CREDENTIALS`] matches though they are public.
const PUBLIC: &[SecretName] = &[
    named(b".ssh", b"*.pub"),
    named(b".ssh", b"known_hosts*"),
    under(b"/etc/", b"private", b"*.pub"),
];

/// Everything below these directories is secret.
const SECRET_DIRECTORIES: &[&[u8]] = &[b"/run/secrets/", b"/var/run/secrets/"];

impl SecretName {
    /// Whether the pattern matches a whole path.
    fn matches(&self, path: &[u8]) -> bool {
        let (parent, leaf) = parent_and_leaf(path);
        (self.parent == ANY || self.parent == parent)
            && matches_name(self.leaf, leaf)
            && path.starts_with(self.under)
    }
}

/// Whether a name matches a pattern with at most one `*`.
fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    let Some(star) = pattern.iter().position(|b| *b == b'*') else {
        return pattern == name;
    };
    let (head, tail) = pattern.split_at(star);
    let tail = tail.get(1..).unwrap_or_default();
    name.strip_prefix(head)
        .is_some_and(|rest| rest.ends_with(tail))
}

/// All patterns that the kernel program compares file names with.
pub(crate) fn kernel_names() -> impl Iterator<Item = &'static SecretName> {
    CREDENTIALS.iter().chain(HOST_MEMORY).chain(PROCESS_MEMORY)
}

/// Whether the file at `path` holds credentials or a private key.
#[must_use]
pub(crate) fn is_secret(path: &[u8]) -> bool {
    let in_table = |table: &[SecretName]| table.iter().any(|name| name.matches(path));
    !in_table(PUBLIC)
        && (in_table(CREDENTIALS) || SECRET_DIRECTORIES.iter().any(|d| path.starts_with(d)))
}

/// Whether `path` is memory of the host.
#[must_use]
pub(crate) fn is_host_memory(path: &[u8]) -> bool {
    HOST_MEMORY.iter().any(|name| name.matches(path))
}

/// Whether `path` is memory or environment of a process.
#[must_use]
pub(crate) fn is_process_memory(path: &[u8]) -> bool {
    PROCESS_MEMORY.iter().any(|name| name.matches(path))
}

/// Whether `path` is the private key of a server. Unlike passwords, the servers themselves read
/// these.
#[must_use]
pub(crate) fn is_server_key(path: &[u8]) -> bool {
    let (parent, leaf) = parent_and_leaf(path);
    path.starts_with(b"/etc/")
        && match parent {
            b"ssh" => matches_name(b"ssh_host_*_key", leaf),
            b"private" => !leaf.ends_with(b".pub"),
            _ => leaf.starts_with(b"privkey"),
        }
}

/// Files that hold the passwords of logins, as hashes.
#[must_use]
pub(crate) fn is_password_file(path: &[u8]) -> bool {
    matches!(
        path,
        b"/etc/shadow" | b"/etc/shadow-" | b"/etc/gshadow" | b"/etc/gshadow-"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_files_with_similar_names_are_no_secrets() {
        for path in [
            "/etc/shadow",
            "/home/u/.aws/credentials",
            "/etc/ssh/ssh_host_rsa_key",
            "/etc/ssl/private/site.key",
            "/etc/letsencrypt/archive/site/privkey1.pem",
            "/root/.config/gcloud/application_default_credentials.json",
            "/root/.ssh/deploy",
            "/run/secrets/a/b/ca.crt",
        ] {
            assert!(is_secret(path.as_bytes()), "{path}");
        }
        for path in [
            "/etc/ssh/ssh_host_rsa_key.pub",
            "/etc/ssl/private/site.pub",
            "/srv/private/photo.jpg",
            "/srv/privkey.md",
            "/srv/credentials.db",
            "/root/.ssh/known_hosts",
            "/root/.ssh/id_rsa.pub",
            "/etc/passwd",
        ] {
            assert!(!is_secret(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a_client_keeps_its_own_credentials_and_no_others() {
        assert!(keeps_credentials_in(b"/root/.aws/credentials", b"aws"));
        assert!(keeps_credentials_in(b"/home/u/.pgpass", b"pg_dump"));
        assert!(keeps_credentials_in(
            b"/root/.cargo/credentials.toml",
            b"cargo"
        ));
        assert!(!keeps_credentials_in(b"/root/.aws/credentials", b"psql"));
        assert!(!keeps_credentials_in(b"/root/.pgpass", b"cat"));
        for path in [
            "/root/.npmrc",
            "/home/u/.config/gh/hosts.yml",
            "/root/.cargo/credentials",
        ] {
            assert!(is_secret(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn patterns_have_at_most_one_star() {
        for name in kernel_names().chain(PUBLIC) {
            let stars = name.leaf.iter().filter(|b| **b == b'*').count();
            assert!(stars <= 1, "{name:?}");
            assert!(name.parent == ANY || !name.parent.contains(&b'*'));
            assert!(name.under.is_empty() || name.under.ends_with(b"/"));
        }
    }

    #[test]
    fn memory_is_recognized_by_its_directory() {
        assert!(is_host_memory(b"/dev/mem") && is_host_memory(b"/proc/kcore"));
        assert!(!is_host_memory(b"/srv/mem"));
        assert!(is_process_memory(b"/proc/1/environ") && is_process_memory(b"/proc/1/task/1/mem"));
        assert!(!is_process_memory(b"/srv/environ"));
    }
}
