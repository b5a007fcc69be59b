//! libvirtd, looked after as systemd does it on a real host.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lab::Daemon;

use super::World;

/// How often it is looked whether one has crashed.
const LOOKED_AFTER: Duration = Duration::from_secs(1);

impl World {
    /// Does something while a libvirtd that crashed is started again. (9.0's was seen to, in its own code, when it was let go on after its
    /// client had been killed; 11.3's does when what it takes from a stream finds no space left.)
    pub(crate) fn supervised<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Also where the work panics.
        struct Until<'a>(&'a AtomicBool);
        impl Drop for Until<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let over = AtomicBool::new(false);
        let hosts = self.lab.hosts().expect("the hosts");
        thread::scope(|scope| {
            let _until = Until(&over);
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for host in
                        hosts.iter().filter(|host| host.is_running() && !host.has_daemon(Daemon::Libvirtd))
                    {
                        let started = host.start_daemon(Daemon::Libvirtd);
                        println!(
                            "libvirtd of {} is gone by itself, and is started again: {started:?}",
                            host.name()
                        );
                    }
                    thread::sleep(LOOKED_AFTER);
                }
            });
            work()
        })
    }
}
