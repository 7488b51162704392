//! Which Docker engine is queried: the one that the docker command would use for the calling user.

use std::env;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::CliError;
use super::error::print_message;
use crate::caller::InvokingUser;
use crate::text::hex;
use crate::user_files;

/// Docker's configuration, as far as it names a context.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DockerConfig {
    #[serde(rename = "currentContext")]
    current_context: String,
}

/// A context's file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContextFile {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoints {
    docker: DockerEndpoint,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DockerEndpoint {
    #[serde(rename = "Host")]
    host: String,
}

/// The engine's address: of the option, else of `DOCKER_HOST`, else of the docker context in
/// `DOCKER_CONTEXT` or in the caller's Docker configuration. `None` is the standard socket. A
/// context that is followed, or is not, is reported on stderr.
///
/// # Errors
/// When `DOCKER_HOST` is no address that can be used, or `DOCKER_CONTEXT` names no context.
pub(super) fn resolve(option: Option<&str>) -> Result<Option<String>, CliError> {
    let variable = |name| env::var(name).ok().filter(|text| !text.is_empty());
    let invoking = InvokingUser::from_environment();
    let home = match &invoking {
        Some(user) => user.home.clone(),
        None => env::var_os("HOME").map(PathBuf::from),
    };
    let folder = variable("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(home?.join(".docker")));
    let choice = choose(
        option,
        variable("DOCKER_HOST").as_deref(),
        variable("DOCKER_CONTEXT").as_deref(),
        folder.as_deref(),
    )
    .map_err(CliError::Expected)?;
    if let Some(notice) = choice.notice {
        print_message(notice);
    }
    Ok(choice.host)
}

/// Parses the address of an engine. One without a scheme is a TCP address, as for Docker's client.
pub(super) fn address(text: &str) -> Result<String, String> {
    let known = ["unix://", "tcp://", "http://", "/"];
    let fits = |front: &&str| {
        let rest = text.strip_prefix(*front).filter(|rest| !rest.is_empty());
        rest.is_some_and(|rest| !front.ends_with("p://") || has_a_port_or_none(rest))
    };
    if known.iter().any(fits) {
        return Ok(text.to_owned());
    }
    let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !text.contains('/') && matches!(port, Some(Ok(_))) {
        return Ok(format!("tcp://{text}"));
    }
    Err("write it like unix:///run/docker.sock or tcp://127.0.0.1:2375".to_owned())
}

/// Whether what follows the last colon of a host is a port.
fn has_a_port_or_none(host: &str) -> bool {
    let host = host.split('/').next().unwrap_or(host);
    let after = host.rsplit_once(':').filter(|_| !host.ends_with(']'));
    !host.is_empty()
        && after.is_none_or(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok())
}

/// An address, and what to say about it.
#[derive(Debug, Default, PartialEq, Eq)]
struct HostChoice {
    host: Option<String>,
    notice: Option<String>,
}

fn choose(
    option: Option<&str>,
    host: Option<&str>,
    context: Option<&str>,
    folder: Option<&Path>,
) -> Result<HostChoice, String> {
    if let Some(option) = option {
        return Ok(HostChoice {
            host: Some(option.to_owned()),
            notice: None,
        });
    }
    if let Some(host) = host {
        let host = address(host).map_err(|why| {
            format!("DOCKER_HOST is {host:?}: {why}; or name the engine with --docker-host")
        })?;
        return Ok(HostChoice {
            host: Some(host),
            notice: None,
        });
    }
    let configured = match context {
        Some(context) => Ok(context.to_owned()),
        None => folder.map_or_else(|| Ok(String::new()), configured),
    };
    let name = match configured {
        Ok(name) if name.is_empty() || name == "default" => return Ok(HostChoice::default()),
        Ok(name) => name,
        Err(why) => {
            return Ok(HostChoice {
                host: None,
                notice: Some(format!(
                    "the docker context is not known: {why}; using the engine at the standard \
                     socket (--docker-host selects another)"
                )),
            });
        }
    };
    let why = match endpoint(folder, &name) {
        Ok(at) if is_on_this_host(&at) && address(&at).is_ok() => {
            return Ok(HostChoice {
                notice: Some(format!("using the engine of docker context {name}: {at}")),
                host: Some(at),
            });
        }
        Ok(at) => format!("its engine {at:?} is not on this host"),
        Err(why) if context.is_some() => {
            return Err(format!("DOCKER_CONTEXT is {name:?}: {why}"));
        }
        Err(why) => why,
    };
    Ok(HostChoice {
        host: None,
        notice: Some(format!(
            "docker context {name} is not used: {why}; using the engine at the standard socket \
             (--docker-host selects another)"
        )),
    })
}

/// The context in the caller's Docker configuration; empty when it names none.
fn configured(folder: &Path) -> Result<String, String> {
    let path = folder.join("config.json");
    let why = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    match user_files::read(&path) {
        Ok(text) => {
            let config: DockerConfig = serde_json::from_str(&text).map_err(|e| why(&e))?;
            Ok(config.current_context)
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(String::new())
        }
        Err(error) => Err(why(&error)),
    }
}

/// A socket, or a port without TLS at this host's own address: containers of other hosts are not
/// watched.
fn is_on_this_host(at: &str) -> bool {
    if at.starts_with("unix://") {
        return true;
    }
    let rest = at
        .strip_prefix("tcp://")
        .or_else(|| at.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let host = rest.trim_end_matches('/');
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    })
}

/// The address in a context's file.
fn endpoint(folder: Option<&Path>, name: &str) -> Result<String, String> {
    let folder = folder.ok_or("the home directory is unknown")?;
    let digest = hex(&Sha256::digest(name.as_bytes()));
    let path = folder.join("contexts/meta").join(digest).join("meta.json");
    let text = user_files::read(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("no such context in {}", folder.display()),
        _ => format!("{}: {error}", path.display()),
    })?;
    let file: ContextFile =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(file.endpoints.docker.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_chosen_as_docker_does() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Some(dir.path());
        let context = |name: &str, meta: &str| {
            let digest = hex(&Sha256::digest(name.as_bytes()));
            let at = dir.path().join("contexts/meta").join(digest);
            std::fs::create_dir_all(&at).unwrap();
            std::fs::write(at.join("meta.json"), meta).unwrap();
        };
        let at =
            |url: &str| format!(r#"{{"Name":"x","Endpoints":{{"docker":{{"Host":"{url}"}}}}}}"#);
        context("rootless", &at("unix:///run/user/1000/docker.sock"));
        context("far", &at("ssh://me@far"));
        context("near", &at("tcp://127.0.0.1:2375"));
        context("other", &at("tcp://192.0.2.7:2375"));
        context("odd", "[");
        let host = |choice: &Result<HostChoice, String>| choice.as_ref().unwrap().host.clone();
        let rootless = Some("unix:///run/user/1000/docker.sock".to_owned());

        assert_eq!(choose(None, None, None, folder), Ok(HostChoice::default()));
        assert_eq!(choose(None, None, None, None), Ok(HostChoice::default()));
        let set = |text: &str| std::fs::write(dir.path().join("config.json"), text).unwrap();
        set(r#"{"auths":{},"currentContext":"rootless"}"#);
        assert_eq!(host(&choose(None, None, None, folder)), rootless);
        // The environment wins over the configuration, the option over everything.
        assert_eq!(host(&choose(None, None, Some("default"), folder)), None);
        let tcp = choose(None, Some("tcp://127.0.0.1:2375"), Some("rootless"), folder);
        assert_eq!(host(&tcp).unwrap(), "tcp://127.0.0.1:2375");
        let option = choose(Some("/o.sock"), Some("bad"), Some("far"), folder);
        assert_eq!(host(&option).unwrap(), "/o.sock");

        set(r#"{"currentContext":"far"}"#);
        let far = choose(None, None, None, folder).unwrap();
        assert_eq!(far.host, None);
        assert!(
            far.notice
                .is_some_and(|n| n.contains("far") && n.contains("ssh://me@far"))
        );
        set(r#"{"currentContext":"odd"}"#);
        let odd = choose(None, None, None, folder).unwrap();
        assert!(odd.notice.is_some_and(|n| n.contains("meta.json")));

        let near = choose(None, None, Some("near"), folder);
        assert_eq!(host(&near).unwrap(), "tcp://127.0.0.1:2375");
        let other = choose(None, None, Some("other"), folder).unwrap();
        assert_eq!(other.host, None);
        assert!(other.notice.is_some_and(|n| n.contains("192.0.2.7")));
        // A configuration that docker refuses is not ignored without a word.
        set(r#"{"currentContext": 7}"#);
        let odd = choose(None, None, None, folder).unwrap();
        assert_eq!(odd.host, None);
        assert!(odd.notice.is_some_and(|n| n.contains("config.json")));
        assert_eq!(
            host(&choose(None, None, Some("rootless"), folder)),
            rootless
        );

        let missing = choose(None, None, Some("nosuch"), folder).unwrap_err();
        assert!(
            missing.contains("\"nosuch\": no such context in"),
            "{missing}"
        );
        for bad in ["ssh://x", "localhost:port", "unix://", "\u{1b}[31m"] {
            let error = choose(None, Some(bad), None, folder).unwrap_err();
            assert!(error.starts_with("DOCKER_HOST is \"") && error.contains("unix:///run"));
            assert!(!error.contains('\u{1b}'));
        }
    }

    #[test]
    fn an_engines_address_must_be_one() {
        for good in [
            "unix:///run/docker.sock",
            "/run/docker.sock",
            "tcp://h:1",
            "http://h:1",
            "tcp://h",
            "tcp://[::1]",
            "tcp://[::1]:2375/",
        ] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bare in ["localhost:2375", "[::1]:2375"] {
            assert_eq!(address(bare), Ok(format!("tcp://{bare}")));
        }
        for bad in [
            "",
            "unix://",
            "garbage",
            "ssh://host",
            "h:",
            "h:70000",
            "a/b:1",
            "tcp://h:port",
            "tcp://h:70000",
            "tcp://:2375",
            "http:///v1",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
