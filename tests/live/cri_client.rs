//! Kubernetes' interface to a container runtime (CRI), as far as a kubelet needs it to run a pod.
//! Messages and numbers of the fields: `cri-api`, `runtime/v1/api.proto`.

use std::collections::HashMap;
use std::path::PathBuf;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixStream;

/// Bytes before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// `PodSandboxMetadata`
#[derive(Clone, PartialEq, Message)]
pub struct PodMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
}

/// `NamespaceOption`; 2 is the node's own namespace.
#[derive(Clone, PartialEq, Message)]
pub struct Namespaces {
    #[prost(int32, tag = "1")]
    pub network: i32,
    #[prost(int32, tag = "2")]
    pub pid: i32,
}

/// `LinuxSandboxSecurityContext`
#[derive(Clone, PartialEq, Message)]
pub struct PodSecurity {
    #[prost(message, optional, tag = "1")]
    pub namespaces: Option<Namespaces>,
}

/// `LinuxContainerSecurityContext`
#[derive(Clone, PartialEq, Message)]
pub struct ContainerSecurity {
    #[prost(message, optional, tag = "3")]
    pub namespaces: Option<Namespaces>,
}

/// `LinuxPodSandboxConfig`
#[derive(Clone, PartialEq, Message)]
pub struct LinuxPod {
    #[prost(message, optional, tag = "2")]
    pub security: Option<PodSecurity>,
}

/// `LinuxContainerConfig`
#[derive(Clone, PartialEq, Message)]
pub struct LinuxContainer {
    #[prost(message, optional, tag = "2")]
    pub security: Option<ContainerSecurity>,
}

/// `PodSandboxConfig`
#[derive(Clone, PartialEq, Message)]
pub struct Pod {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<PodMetadata>,
    #[prost(map = "string, string", tag = "6")]
    pub labels: HashMap<String, String>,
    #[prost(message, optional, tag = "8")]
    pub linux: Option<LinuxPod>,
}

#[derive(Clone, PartialEq, Message)]
struct RunPod {
    #[prost(message, optional, tag = "1")]
    config: Option<Pod>,
}

/// `ContainerMetadata`
#[derive(Clone, PartialEq, Message)]
pub struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, PartialEq, Message)]
struct Container {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "2")]
    image: Option<Image>,
    #[prost(string, repeated, tag = "3")]
    command: Vec<String>,
    #[prost(map = "string, string", tag = "9")]
    labels: HashMap<String, String>,
    #[prost(message, optional, tag = "15")]
    linux: Option<LinuxContainer>,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainer {
    #[prost(string, tag = "1")]
    pod: String,
    #[prost(message, optional, tag = "2")]
    config: Option<Container>,
    #[prost(message, optional, tag = "3")]
    pod_config: Option<Pod>,
}

#[derive(Clone, PartialEq, Message)]
struct ExecSync {
    #[prost(string, tag = "1")]
    container: String,
    #[prost(string, repeated, tag = "2")]
    command: Vec<String>,
    #[prost(int64, tag = "3")]
    seconds: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ExecSynced {
    #[prost(bytes = "vec", tag = "1")]
    output: Vec<u8>,
    #[prost(int32, tag = "3")]
    exit_code: i32,
}

/// A request, or an answer, that is an identifier.
#[derive(Clone, PartialEq, Message)]
struct Id {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Empty {}

/// A client at this socket.
#[derive(Debug)]
pub struct Cri(pub PathBuf);

impl Cri {
    /// Starts a pod; returns the identifier of its sandbox.
    pub fn run_pod(&self, pod: &Pod) -> String {
        let config = Some(pod.clone());
        self.call::<Id>("RunPodSandbox", &RunPod { config }).id
    }

    /// Creates and starts a container of the pod; returns its identifier.
    pub fn run(
        &self,
        sandbox: &str,
        pod: &Pod,
        name: &str,
        image: &str,
        command: &[&str],
    ) -> String {
        let namespaces = |of: &Pod| of.linux.as_ref()?.security.as_ref()?.namespaces.clone();
        let security = Some(ContainerSecurity {
            namespaces: namespaces(pod),
        });
        let labels = [
            ("io.kubernetes.container.name", name),
            ("io.kubernetes.pod.name", &metadata(pod).name),
            ("io.kubernetes.pod.namespace", &metadata(pod).namespace),
            ("io.kubernetes.pod.uid", &metadata(pod).uid),
        ];
        let config = Container {
            metadata: Some(ContainerMetadata { name: name.into() }),
            image: Some(Image {
                image: image.into(),
            }),
            command: command.iter().map(ToString::to_string).collect(),
            labels: labels.map(|(key, value)| (key.into(), value.into())).into(),
            linux: Some(LinuxContainer { security }),
        };
        let request = CreateContainer {
            pod: sandbox.into(),
            config: Some(config),
            pod_config: Some(pod.clone()),
        };
        let id = self.call::<Id>("CreateContainer", &request).id;
        self.call::<Empty>("StartContainer", &Id { id: id.clone() });
        id
    }

    /// Runs a program in the container and waits for its end, as an exec probe does.
    pub fn exec(&self, container: &str, command: &[&str]) {
        let request = ExecSync {
            container: container.into(),
            command: command.iter().map(ToString::to_string).collect(),
            seconds: 60,
        };
        let answer: ExecSynced = self.call("ExecSync", &request);
        assert_eq!(answer.exit_code, 0, "{:?}", answer.output);
    }

    /// Stops and removes the pod with its containers.
    pub fn remove(&self, sandbox: &str) {
        for method in ["StopPodSandbox", "RemovePodSandbox"] {
            self.call::<Empty>(method, &Id { id: sandbox.into() });
        }
    }

    fn call<A: Message + Default>(&self, method: &str, request: &impl Message) -> A {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let message = request.encode_to_vec();
        let mut body = vec![0];
        body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&message);
        let request = Request::post(format!(
            "http://localhost/runtime.v1.RuntimeService/{method}"
        ))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
        runtime.unwrap().block_on(async {
            let stream = UnixStream::connect(&self.0).await.unwrap();
            let connecting = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
            let (mut sender, connection) = connecting.await.unwrap();
            tokio::spawn(connection);
            let answer = sender.send_request(request).await.unwrap();
            // An answer without content has its status in the headers.
            let mut ended = answer.headers().clone();
            let answer = answer.into_body().collect().await.unwrap();
            ended.extend(answer.trailers().cloned().unwrap_or_default());
            assert_eq!(ended["grpc-status"], "0", "{method}: {ended:?}");
            A::decode(&answer.to_bytes()[PREFIX..]).unwrap()
        })
    }
}

/// The metadata of a pod.
pub fn metadata(pod: &Pod) -> &PodMetadata {
    pod.metadata.as_ref().unwrap()
}
