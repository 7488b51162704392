//! The live stream: probes and runtimes merged, attributed, numbered, applied.
