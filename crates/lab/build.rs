//! Builds the guest's PID 1 as a static program, which the library then carries inside itself: whoever has the lab
//! has the guest that belongs to it, and no later step can mix a dynamic or an older one in.
//!
//! A cargo of its own is needed because static linking is a property of a whole build; its target directory is this
//! script's own, so it does not wait for the lock that the outer cargo holds.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let guest = here.join("../guest");
    let target_dir = PathBuf::from(variable("OUT_DIR")).join("guest");
    println!("cargo::rerun-if-changed={}", guest.join("src").display());
    println!("cargo::rerun-if-changed={}", guest.join("Cargo.toml").display());
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--quiet", "--release", "--target", TARGET, "--bin", "ferry-guest"]);
    cargo.arg("--manifest-path").arg(guest.join("Cargo.toml")).arg("--target-dir").arg(&target_dir);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static\u{1f}-Cstrip=symbols");
    // Under clippy the outer cargo names a wrapper here, which would check instead of build.
    cargo.env_remove("RUSTC_WORKSPACE_WRAPPER");
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the static guest was not built");
    let program = target_dir.join(TARGET).join("release/ferry-guest");
    println!("cargo::rustc-env=FERRY_GUEST_PROGRAM={}", program.display());
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
