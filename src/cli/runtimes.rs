//! Which engines are queried: the options of every command that queries any.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, docker_host};
use crate::containers::{ContainerdChoice, EngineKind, RuntimeOptions, engine_kind};

/// Engines to query. The files of runtimes are read in any case.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Engines")]
pub struct RuntimeArgs {
    /// Address of the Docker engine, e.g. unix:///run/docker.sock [default: $DOCKER_HOST, else
    /// the docker context of the caller, else /var/run/docker.sock]
    #[arg(long, value_name = "URL", value_parser = docker_host::address)]
    pub docker_host: Option<String>,

    /// Query only this engine (repeatable) [default: docker and containerd where they exist]
    #[arg(long, value_name = "RUNTIME", value_enum)]
    pub runtime: Vec<RuntimeChoice>,

    /// Query only the engine at this socket, which may be Docker's or containerd's (repeatable)
    #[arg(long, value_name = "URL", value_parser = socket, conflicts_with_all = ["docker_host", "runtime"])]
    pub runtime_endpoint: Vec<String>,

    /// Do not query any engine: names come from the files of the runtimes
    #[arg(long, conflicts_with_all = ["docker_host", "runtime", "runtime_endpoint"])]
    pub no_engine: bool,
}

/// A runtime that may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RuntimeChoice {
    /// The Docker engine
    Docker,
    /// Each containerd of this host
    Containerd,
    /// Podman's files; no service is started
    Podman,
    /// CRI-O's files
    Crio,
    /// The files of all runtimes
    Files,
    /// The same as files
    None,
}

impl RuntimeArgs {
    /// The engines to query.
    ///
    /// # Errors
    /// When an address is invalid, or no engine answers there.
    pub(super) fn options(&self) -> Result<RuntimeOptions, CliError> {
        if !self.runtime_endpoint.is_empty() {
            return self.at_endpoints();
        }
        let asks =
            |choice| !self.no_engine && (self.runtime.is_empty() || self.runtime.contains(&choice));
        let docker = asks(RuntimeChoice::Docker);
        if self.docker_host.is_some() && !docker {
            return Err(CliError::expected(
                "--docker-host has no effect when --runtime excludes docker",
            ));
        }
        Ok(RuntimeOptions {
            docker,
            docker_host: match docker {
                true => docker_host::resolve(self.docker_host.as_deref())?,
                false => None,
            },
            containerd: match asks(RuntimeChoice::Containerd) {
                true => ContainerdChoice::Found,
                false => ContainerdChoice::None,
            },
        })
    }

    fn at_endpoints(&self) -> Result<RuntimeOptions, CliError> {
        let mut docker_host = None;
        let mut containerds = Vec::new();
        for url in &self.runtime_endpoint {
            let kind = engine_kind(url)
                .map_err(|why| CliError::Expected(format!("--runtime-endpoint {url}: {why}")))?;
            match kind {
                EngineKind::Containerd => {
                    containerds.push(path(url));
                }
                EngineKind::Docker if docker_host.is_none() => docker_host = Some(url.clone()),
                EngineKind::Docker => {
                    let why = "a second Docker engine; one at a time is queried";
                    return Err(CliError::Expected(format!(
                        "--runtime-endpoint {url}: {why}"
                    )));
                }
            }
        }
        Ok(RuntimeOptions {
            docker: docker_host.is_some(),
            docker_host,
            containerd: match containerds.is_empty() {
                true => ContainerdChoice::None,
                false => ContainerdChoice::At(containerds),
            },
        })
    }
}

/// The path in `unix:///PATH`, or a bare path.
pub(super) fn path(url: &str) -> PathBuf {
    url.strip_prefix("unix://").unwrap_or(url).into()
}

/// `unix:///PATH`, or a bare path.
fn socket(text: &str) -> Result<String, String> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    match path.starts_with('/') {
        true => Ok(format!("unix://{path}")),
        false => Err("not the path of a socket (unix:///PATH)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(runtime: &[RuntimeChoice]) -> RuntimeArgs {
        RuntimeArgs {
            runtime: runtime.to_vec(),
            ..RuntimeArgs::default()
        }
    }

    #[test]
    fn only_the_chosen_engines_are_queried() {
        let containerd = args(&[RuntimeChoice::Containerd]).options().unwrap();
        assert!(!containerd.docker && containerd.containerd == ContainerdChoice::Found);
        for without in [
            RuntimeChoice::Podman,
            RuntimeChoice::Files,
            RuntimeChoice::None,
        ] {
            assert!(args(&[without]).options().unwrap().is_empty());
        }
        let none = RuntimeArgs {
            no_engine: true,
            ..RuntimeArgs::default()
        };
        assert!(none.options().unwrap().is_empty());
    }

    #[test]
    fn an_endpoint_is_the_path_of_a_socket() {
        assert_eq!(socket("/run/c.sock").unwrap(), "unix:///run/c.sock");
        assert!(socket("tcp://10.0.0.1:9").is_err());
    }

    #[test]
    fn an_endpoint_without_an_answer_is_an_error_that_names_it() {
        let args = RuntimeArgs {
            runtime_endpoint: vec!["unix:///nonexistent/c.sock".to_owned()],
            ..RuntimeArgs::default()
        };
        let Err(CliError::Expected(why)) = args.options() else {
            panic!("it was accepted");
        };
        assert!(why.contains("/nonexistent/c.sock"), "{why}");
    }
}
