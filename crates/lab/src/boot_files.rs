//! What a test guest boots: Debian's cloud kernel and an initramfs with our PID 1 and the modules it needs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::cpio::Archive;
use crate::roots::KERNEL_DIR;

static GUEST_PROGRAM: &[u8] = include_bytes!(env!("FERRY_GUEST_PROGRAM"));

/// Writes `vmlinuz` and `initrd.img` into `directory`, from the kernel that `root` keeps.
pub(crate) fn write(root: &Path, directory: &Path) -> Result<()> {
    let kernel = root.join(KERNEL_DIR);
    fs::create_dir_all(directory)?;
    fs::copy(kernel.join("vmlinuz"), directory.join("vmlinuz")).context("the root has no kernel")?;
    let modules = read_modules(&kernel.join("modules"))?;
    fs::write(directory.join("initrd.img"), initramfs(&modules)?)?;
    Ok(())
}

fn read_modules(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut modules = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().replace('-', "_"));
        modules.insert(name.unwrap_or_default(), fs::read(&path)?);
    }
    Ok(modules)
}

fn initramfs(modules: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in ["dev", "proc", "sys", "modules"] {
        archive.directory(directory);
    }
    archive.file("init", 0o755, GUEST_PROGRAM);
    let mut order = String::new();
    for name in load_order(modules)? {
        order.push_str(&format!("{name}.ko\n"));
        archive.file(&format!("modules/{name}.ko"), 0o644, &modules[&name]);
    }
    archive.file("modules/order", 0o644, order.as_bytes());
    Ok(archive.finish())
}

/// The modules, each after those it depends on. A dependency that is not here is built into the kernel.
fn load_order(modules: &BTreeMap<String, Vec<u8>>) -> Result<Vec<String>> {
    let mut waiting: Vec<&String> = modules.keys().collect();
    let mut order: Vec<String> = Vec::new();
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|name| {
            let needs = dependencies(&modules[*name]);
            let ready = needs.iter().all(|need| order.contains(need) || !modules.contains_key(need));
            if ready {
                order.push((*name).clone());
            }
            !ready
        });
        if waiting.len() == before {
            bail!("kernel modules that depend on each other: {waiting:?}");
        }
    }
    Ok(order)
}

/// Reads `depends=a,b` from the module's own information section.
fn dependencies(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(at) = module.windows(key.len()).position(|window| window == key) else { return Vec::new() };
    let value = module[at + key.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value).replace('-', "_");
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(depends: &str) -> Vec<u8> {
        format!("\u{7f}ELF\0license=GPL\0depends={depends}\0name=x\0").into_bytes()
    }

    #[test]
    fn modules_come_after_what_they_need() {
        let modules = [("a", "z"), ("m", "a,built_in"), ("z", "")];
        let modules = modules.map(|(name, depends)| (name.to_owned(), module(depends)));
        assert_eq!(load_order(&BTreeMap::from(modules)).expect("there is an order"), ["z", "a", "m"]);
    }

    #[test]
    fn a_circle_is_refused() {
        let modules = [("a", "b"), ("b", "a")].map(|(name, depends)| (name.to_owned(), module(depends)));
        assert!(load_order(&BTreeMap::from(modules)).is_err());
    }

    #[test]
    fn the_guest_program_is_static() {
        let interpreter = b"/ld-linux-x86-64.so.2";
        assert!(GUEST_PROGRAM.starts_with(b"\x7fELF"));
        assert!(!GUEST_PROGRAM.windows(interpreter.len()).any(|window| window == interpreter));
    }
}
