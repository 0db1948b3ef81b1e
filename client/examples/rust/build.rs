//! Generates the stubs of protos/ into OUT_DIR, with the `protoc` of the machine.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let protos =
        PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../../protos");
    println!("cargo::rerun-if-changed={}", protos.display());
    let mut files: Vec<PathBuf> = fs::read_dir(protos.join("inventory/v1"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    tonic_prost_build::configure()
        .build_server(false)
        // tonic-types has the same messages, and reads them from a status.
        .extern_path(".google.rpc", "::tonic_types::pb")
        .compile_protos(&files, &[protos])
}
