//! hullwatch on the running kernel, and on real containers of a real Docker engine.
//!
//! One crate, since each crate links the whole program again.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod builds;
mod by_namespace;
mod calls;
mod cgroup;
mod clocks;
#[path = "../common/mod.rs"]
mod common;
mod confinement;
mod containerd;
mod containerd_engine;
mod cri;
mod cri_client;
mod daemon;
mod dockerd;
mod engine_reports;
mod engines_together;
mod entered;
mod files;
mod full_disk;
mod in_container;
mod io_uring;
mod isolation;
mod life;
mod names;
mod network;
mod notify;
mod podman;
mod probes;
mod processes;
mod responses;
mod ring;
mod runtime;
mod sockets;
mod storage;
mod user_namespaces;
mod watch;
mod watched;
