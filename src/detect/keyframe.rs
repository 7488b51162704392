//! The rules' memory with compressed findings, for keyframes: texts are most of its size.

use std::sync::Arc;

use super::{Detector, Finding};

/// Compression level.
const LEVEL: i32 = 1;

/// A detector with compressed findings.
#[derive(Debug)]
pub(crate) struct Frozen {
    thin: Detector,
    findings: Vec<u8>,
}

impl Detector {
    /// Compresses the detector; `None` when that fails.
    pub(crate) fn freeze(&self) -> Option<Frozen> {
        let mut packer = zstd::Encoder::new(Vec::new(), LEVEL).ok()?;
        let out = std::io::BufWriter::new(&mut packer);
        serde_json::to_writer(out, self.findings()).ok()?;
        Some(Frozen {
            findings: packer.finish().ok()?,
            thin: Self {
                settings: self.settings.clone(),
                table: Arc::clone(&self.table),
                memory: self.memory.clone(),
                rule_memories: self.rule_memories.clone(),
                baselines: self.baselines.clone(),
                findings: self.findings.without_findings(),
                silence_ends: self.silence_ends,
            },
        })
    }
}

impl Frozen {
    /// Restores the detector; `None` when the bytes were not packed here.
    pub(crate) fn thaw(&self) -> Option<Detector> {
        let findings = zstd::decode_all(&self.findings[..]).ok()?;
        let findings: Vec<Arc<Finding>> = serde_json::from_slice(&findings).ok()?;
        let thin = &self.thin;
        Some(Detector {
            settings: thin.settings.clone(),
            table: Arc::clone(&thin.table),
            memory: thin.memory.clone(),
            rule_memories: thin.rule_memories.clone(),
            baselines: thin.baselines.clone(),
            findings: thin.findings.with_findings(findings),
            silence_ends: thin.silence_ends,
        })
    }

    /// Approximate size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.findings.len()
            + self.thin.findings.bytes()
            + self.thin.memory.bytes()
            + self.thin.rule_memories.bytes()
    }
}
