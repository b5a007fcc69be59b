//! The lab on the real thing: libvirt, QEMU, namespaces. Needs root.

mod faults;
mod guests;
mod lifetimes;
mod support;
