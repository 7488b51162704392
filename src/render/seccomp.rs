//! A seccomp profile as JSON for Docker, Podman and Kubernetes, in the form that all of them read.

use serde_json::{Value, json};

use crate::advice::{Advice, SeccompProfile, Setting};

/// The name that the other formats give the profile's file.
pub(super) const FILE: &str = "seccomp.json";

const ENOSYS: u8 = 38;
const EPERM: u8 = 1;
/// Flags of `clone` that make namespaces.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
/// The `personality` values that Docker's default allows.
const PERSONALITIES: [u32; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Families of sockets that it refuses: AF_ALG and AF_VSOCK.
const REFUSED_FAMILIES: [u32; 2] = [38, 40];

fn rule(name: &str, args: &Value) -> Value {
    json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": args})
}

fn argument(value: u32, of: &str) -> Value {
    json!([{"index": 0, "value": value, "op": of}])
}

/// The profile as JSON.
#[must_use]
pub fn seccomp_profile(profile: &SeccompProfile) -> String {
    let architectures: &[&str] = if cfg!(target_arch = "aarch64") {
        &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    } else {
        &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    };
    let mut plain = Vec::new();
    let mut rules = Vec::new();
    for name in &profile.allowed {
        match name.as_str() {
            "clone" if !profile.unconditional => rules.push(json!({
                "names": ["clone"], "action": "SCMP_ACT_ALLOW",
                "args": [{
                    "index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ",
                }],
            })),
            "personality" => {
                let of = PERSONALITIES.map(|value| argument(value, "SCMP_CMP_EQ"));
                rules.extend(of.iter().map(|args| rule(name, args)));
            }
            "socket" => {
                let [low, high] = REFUSED_FAMILIES;
                let of = [
                    argument(low, "SCMP_CMP_LT"),
                    argument(low + 1, "SCMP_CMP_EQ"),
                    argument(high, "SCMP_CMP_GT"),
                ];
                rules.extend(of.iter().map(|args| rule(name, args)));
            }
            _ => plain.push(name.as_str()),
        }
    }
    // Removed calls fail as if the kernel did not have them, so that libraries use alternatives.
    let mut missing: Vec<&str> = profile.removed.clone();
    if !profile.unconditional {
        missing.push("clone3");
    }
    let mut all = vec![json!({"names": plain, "action": "SCMP_ACT_ALLOW"})];
    all.append(&mut rules);
    all.push(json!({"names": missing, "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}));
    let value = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": architectures,
        "syscalls": all,
    });
    format!("{value:#}\n")
}

pub(super) fn render(advice: &[Advice]) -> String {
    let own = advice.iter().find_map(|advice| match &advice.setting {
        Setting::Seccomp(profile) if advice.verdict.is_advised() => Some(profile),
        _ => None,
    });
    match own {
        Some(profile) => seccomp_profile(profile),
        None => "// the engine's default profile is advised\n".to_owned(),
    }
}
